//! Root secrets. Every key in use is derived by HKDF (RFC 5869) with its purpose as context, so that what is made for one
//! purpose is garbage to all others.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::weak_secret::{self, WeakSecret};
use crate::types::KeyId;

/// A secret that keys are derived from: at least 32 bytes that nobody can guess.
#[derive(Clone)]
pub struct RootSecret(Zeroizing<Vec<u8>>);

impl RootSecret {
    /// Takes raw bytes.
    ///
    /// # Errors
    /// [`WeakSecret`] for what can be guessed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeakSecret> {
        weak_secret::check_bytes(bytes)?;
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Takes hexadecimal or base64 (either alphabet, padded or not). White space around it is dropped.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is neither, or can be guessed.
    pub fn parse(text: &str) -> Result<Self, WeakSecret> {
        let text = text.trim();
        if let Some(bytes) = decode_hex(text).map(Zeroizing::new) {
            return Self::from_bytes(&bytes);
        }
        let bytes = Zeroizing::new(decode_base64(text).ok_or(WeakSecret::NotEncoded)?);
        let secret = Self::from_bytes(&bytes)?;
        weak_secret::check_base64(text).map(|()| secret)
    }

    /// Builds a secret of any text, for tests whose secrets are public in this repository.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn unchecked(text: &str) -> Self {
        let text = text.trim();
        let bytes = decode_hex(text).or_else(|| decode_base64(text)).unwrap_or_else(|| text.as_bytes().to_vec());
        Self(Zeroizing::new(bytes))
    }

    /// Builds a secret of any bytes, like [`unchecked`](Self::unchecked).
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn unchecked_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The key for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [b"auth-system/1/", purpose.as_bytes()];
        // HKDF-SHA-256 gives up to 8160 bytes, so 32 always fit.
        let _ = Hkdf::<Sha256>::new(None, &self.0).expand_multi_info(&info, key.as_mut_slice());
        key
    }

    pub(super) fn id(&self) -> KeyId {
        let derived = self.derive("key-id");
        let mut id = [b'-'; KeyId::LEN];
        // Six bytes are eight characters, exactly.
        let _ = URL_SAFE_NO_PAD.encode_slice(&derived[..6], &mut id);
        KeyId::new(id)
    }

    pub(super) fn hmac(&self, purpose: &str) -> Hmac<Sha256> {
        // HMAC pads a short key to its block with zeros (RFC 2104 section 2); done here, no length can be wrong.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.derive(purpose).as_slice());
        Hmac::new(&(*block).into())
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(…)")
    }
}

/// HMAC-SHA-256 of the parts, under a prepared key.
pub(super) fn mac(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = concat!("6a2f0c91d4e85b37f1086ac2953e7bd0", "1c44e9a7680df3b25972ce1f8b034da6");

    #[test]
    fn one_secret_has_many_spellings() {
        let hex = RootSecret::parse(HEX).map(|secret| secret.id());
        assert_eq!(RootSecret::parse(&format!(" {}\n", HEX.to_uppercase())).map(|s| s.id()), hex);
        assert_eq!(RootSecret::parse(concat!("ai8MkdToWzfxCGrClT570BxE", "6adoDfOyWXLOH4sDTaY=")).map(|s| s.id()), hex);
        assert_eq!(RootSecret::parse(concat!("ai8MkdToWzfxCGrClT570BxE", "6adoDfOyWXLOH4sDTaY")).map(|s| s.id()), hex);
    }
}
