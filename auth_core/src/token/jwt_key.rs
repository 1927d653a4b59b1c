//! A key of JWTs: its header and its signatures.

use std::mem::MaybeUninit;
use std::sync::Arc;

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};
use constant_time_eq::constant_time_eq;
use hmac::Hmac;
use sha2::Sha256;

use super::secret::mac;
use crate::port::{MAX_SIGNATURE_BYTES, Signer, SignerError};
use crate::types::KeyId;

/// A key of JWTs, with the one header that all of its tokens have.
#[derive(Clone)]
pub(super) struct JwtKey {
    /// Encoded, with its dot.
    header: Box<str>,
    /// The length of a signature in bytes.
    length: usize,
    signer: Arc<dyn Signer>,
}

impl JwtKey {
    pub(super) fn new(signer: impl Signer) -> Self {
        let header = format!(r#"{{"alg":"{}","typ":"JWT","kid":"{}"}}"#, signer.algorithm(), signer.key_id());
        let length = signer.signature_len().min(MAX_SIGNATURE_BYTES);
        Self {
            length,
            header: format!("{}.", URL_SAFE_NO_PAD.encode_to_string(header)).into(),
            signer: Arc::new(signer),
        }
    }

    /// Whether a token has the header of this key.
    pub(super) fn begins(&self, token: &str) -> bool {
        token.starts_with(&*self.header)
    }

    /// Appends header, payload and signature to `token`, which is empty.
    pub(super) fn sign(&self, payload: &str, token: &mut String) -> Result<(), SignerError> {
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_append(payload, token);
        let mut signature = [0; MAX_SIGNATURE_BYTES];
        let signature = &mut signature[..self.length];
        self.signer.sign(token.as_bytes(), signature)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_append(signature, token);
        Ok(())
    }

    /// Returns the encoded payload of a token whose signature is good.
    pub(super) fn open<'t>(&self, token: &'t str) -> Option<&'t str> {
        let signature_chars = (self.length * 4).div_ceil(3);
        let (signed, signature) = token.split_at_checked(token.len().checked_sub(signature_chars + 1)?)?;
        let signature = signature.strip_prefix('.')?;
        let payload = signed.get(self.header.len()..)?;
        let mut claimed = [MaybeUninit::uninit(); MAX_SIGNATURE_BYTES];
        let claimed = URL_SAFE_NO_PAD.decode(signature.as_bytes(), claimed.as_mut_slice().as_out()).ok()?;
        self.signer.verify(signed.as_bytes(), claimed).then_some(payload)
    }
}

/// HMAC-SHA-256 under a key that is derived from a root secret.
pub(super) struct Hs256 {
    id: KeyId,
    key: Hmac<Sha256>,
}

impl Hs256 {
    pub(super) fn new(id: KeyId, key: Hmac<Sha256>) -> Self {
        Self { id, key }
    }
}

impl Signer for Hs256 {
    fn algorithm(&self) -> &str {
        "HS256"
    }

    fn key_id(&self) -> &str {
        self.id.as_str()
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Result<(), SignerError> {
        signature.copy_from_slice(&mac(&self.key, &[message]));
        Ok(())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        constant_time_eq(&mac(&self.key, &[message]), signature)
    }
}
