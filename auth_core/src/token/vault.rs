//! What the database keeps of secrets, under the data ring: sealed where we must read it again, keyed hashes where we
//! need not. Every value begins with the id of its key.

use std::fmt;

use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::ring::DataRing;
use super::seal::Sealer;
use super::secret::mac;
use crate::types::KeyId;

/// Seals and hashes for one purpose with the ring's current key; reads values under any of its keys.
#[derive(Clone)]
pub(crate) struct Vault {
    keys: Vec<VaultKey>,
}

#[derive(Clone)]
struct VaultKey {
    id: KeyId,
    sealer: Sealer,
    hash: Hmac<Sha256>,
}

/// Why a value cannot be read: an operator's matter, for no client can have caused it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The ring has no such key.
    #[error("a stored secret needs the data key {0:?}, which is not configured: add it to the data keys")]
    UnknownKey(String),
    /// Cut short, changed, or of another row.
    #[error("a stored secret does not open under its own data key: it was changed")]
    Damaged,
}

/// A keyed hash, with the id of its key.
pub(crate) const HASH_BYTES: usize = KeyId::LEN + 32;

impl Vault {
    pub(crate) fn new(ring: &DataRing, purpose: &str) -> Self {
        let keys = ring.secrets().map(|(id, secret)| VaultKey {
            id: *id,
            sealer: Sealer::new(secret, &format!("data/{purpose}")),
            hash: secret.hmac(&format!("data/{purpose}/hash")),
        });
        Self { keys: keys.collect() }
    }

    /// Sealed for this context alone.
    pub(crate) fn seal(&self, context: &[&[u8]], content: &[u8]) -> Vec<u8> {
        let Some(key) = self.keys.first() else { return Vec::new() };
        [key.id.as_bytes(), key.sealer.seal(context, content).as_slice()].concat()
    }

    /// What was sealed for this context.
    pub(crate) fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (id, sealed) = sealed.split_first_chunk::<{ KeyId::LEN }>().ok_or(Unreadable::Damaged)?;
        self.key(id)?.sealer.open(context, sealed).ok_or(Unreadable::Damaged)
    }

    /// The keyed hash of a text in this context.
    pub(crate) fn hash(&self, context: &[&[u8]], content: &[u8]) -> [u8; HASH_BYTES] {
        let mut hash = [0; HASH_BYTES];
        if let Some(key) = self.keys.first() {
            key.write(context, content, &mut hash);
        }
        hash
    }

    /// The keyed hash of a text under the key of a stored one, to be compared with it.
    pub(crate) fn hash_like(
        &self,
        stored: &[u8; HASH_BYTES],
        context: &[&[u8]],
        content: &[u8],
    ) -> Result<[u8; HASH_BYTES], Unreadable> {
        let mut hash = [0; HASH_BYTES];
        self.key(&stored[..KeyId::LEN])?.write(context, content, &mut hash);
        Ok(hash)
    }

    /// Whether the ring has this key.
    pub(crate) fn has(&self, id: &KeyId) -> bool {
        self.keys.iter().any(|key| key.id == *id)
    }

    fn key(&self, id: &[u8]) -> Result<&VaultKey, Unreadable> {
        let key = self.keys.iter().find(|key| key.id.as_bytes() == id);
        key.ok_or_else(|| Unreadable::UnknownKey(String::from_utf8_lossy(id).into_owned()))
    }
}

impl VaultKey {
    fn write(&self, context: &[&[u8]], content: &[u8], hash: &mut [u8; HASH_BYTES]) {
        let lengths: Vec<[u8; 8]> = context.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let with_lengths = lengths.iter().zip(context).flat_map(|(length, part)| [length.as_slice(), part]);
        let parts: Vec<&[u8]> = with_lengths.chain([content]).collect();
        hash[..KeyId::LEN].copy_from_slice(self.id.as_bytes());
        hash[KeyId::LEN..].copy_from_slice(&mac(&self.hash, &parts));
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::RootSecret;
    use super::*;

    fn secret(first: u8) -> RootSecret {
        RootSecret::unchecked_bytes(&(first..first + 32).collect::<Vec<u8>>())
    }

    #[test]
    fn what_an_older_key_sealed_is_read_until_the_key_is_gone() {
        let old = Vault::new(&DataRing::new(&secret(0), &[]), "test");
        let both = Vault::new(&DataRing::new(&secret(1), &[secret(0)]), "test");
        let new = Vault::new(&DataRing::new(&secret(1), &[]), "test");
        let sealed = old.seal(&[b"a"], b"content");
        assert!(old.open(&[b"a"], &sealed).is_ok());
        assert!(both.open(&[b"a"], &sealed).is_ok_and(|content| *content == b"content"));
        let error = new.open(&[b"a"], &sealed).err();
        assert!(matches!(error, Some(Unreadable::UnknownKey(_))), "{error:?}");
        assert_eq!(both.open(&[b"b"], &sealed).err(), Some(Unreadable::Damaged));
        assert_eq!(both.open(&[b"a"], &sealed[..7]).err(), Some(Unreadable::Damaged));
    }

    #[test]
    fn a_hash_is_compared_under_its_own_key() {
        let old = Vault::new(&DataRing::new(&secret(0), &[]), "test");
        let both = Vault::new(&DataRing::new(&secret(1), &[secret(0)]), "test");
        let new = Vault::new(&DataRing::new(&secret(1), &[]), "test");
        let stored = old.hash(&[b"a"], b"code");
        assert_ne!(both.hash(&[b"a"], b"code"), stored);
        assert_eq!(both.hash_like(&stored, &[b"a"], b"code"), Ok(stored));
        assert_ne!(both.hash_like(&stored, &[b"b"], b"code"), Ok(stored));
        assert_ne!(both.hash_like(&stored, &[b"a"], b"edoc"), Ok(stored));
        assert!(new.hash_like(&stored, &[b"a"], b"code").is_err());
    }
}
