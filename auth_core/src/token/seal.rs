//! Sealing: XChaCha20-Poly1305 (RFC 8439, draft-irtf-cfrg-xchacha), bound to a context.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::{RootSecret, mac};

const NONCE_BYTES: usize = 24;

/// Seals texts for one purpose under one secret.
///
/// The nonce is a MAC of context and content: what is sealed twice comes out the same, so a mail that is sent again
/// carries the same link, and no weak generator can ever use one nonce for two contents.
#[derive(Clone)]
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonces: Hmac<Sha256>,
}

impl Sealer {
    pub(super) fn new(secret: &RootSecret, purpose: &str) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new((&*secret.derive(purpose)).into()),
            nonces: secret.hmac(&format!("{purpose}/nonce")),
        }
    }

    /// Nonce and ciphertext.
    pub(crate) fn seal(&self, context: &[&[u8]], content: &[u8]) -> Vec<u8> {
        let context = joined(context);
        let length = (context.len() as u64).to_be_bytes();
        let mac = mac(&self.nonces, &[&length, &context, content]);
        let mut sealed = Vec::with_capacity(NONCE_BYTES + content.len() + 16);
        let nonce: &[u8; NONCE_BYTES] = mac.first_chunk().unwrap_or(&[0; NONCE_BYTES]);
        sealed.extend_from_slice(nonce);
        // Fails past 256 GiB only; what is cut short opens as nothing.
        let encrypted = self.cipher.encrypt(nonce.into(), Payload { msg: content, aad: &context });
        sealed.extend(encrypted.unwrap_or_default());
        sealed
    }

    /// The content, if this was sealed under this key in this context.
    pub(crate) fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: encrypted, aad: &joined(context) };
        self.cipher.decrypt(nonce.into(), payload).ok().map(Zeroizing::new)
    }
}

/// Each part after its length, so that parts cannot run into each other.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let with_length = |part: &&[u8]| [&(part.len() as u64).to_be_bytes(), *part].concat();
    parts.iter().flat_map(with_length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8, purpose: &str) -> Sealer {
        let secret: Vec<u8> = (byte..byte + 32).collect();
        Sealer::new(&RootSecret::unchecked_bytes(&secret), purpose)
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_context_only() {
        let sealed = sealer(0, "a").seal(&[b"tenant", b"user"], b"content");
        let open = |sealer: Sealer, context: &[&[u8]]| sealer.open(context, &sealed).map(|content| content.to_vec());
        assert_eq!(open(sealer(0, "a"), &[b"tenant", b"user"]), Some(b"content".to_vec()));
        assert_eq!(open(sealer(0, "b"), &[b"tenant", b"user"]), None);
        assert_eq!(open(sealer(1, "a"), &[b"tenant", b"user"]), None);
        for context in [&[b"tenant" as &[u8]][..], &[b"tenan", b"tuser"], &[b"user", b"tenant"], &[]] {
            assert_eq!(open(sealer(0, "a"), context), None);
        }
    }

    #[test]
    fn one_content_has_one_form_and_no_other_opens() {
        let sealer = sealer(0, "a");
        let sealed = sealer.seal(&[b"x"], b"content");
        assert_eq!(sealer.seal(&[b"x"], b"content"), sealed);
        assert_ne!(sealer.seal(&[b"x"], b"contenu")[..NONCE_BYTES], sealed[..NONCE_BYTES]);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(&[b"x"], &changed).is_none(), "byte {at}");
            assert!(sealer.open(&[b"x"], &sealed[..at]).is_none(), "cut at {at}");
        }
    }
}
