//! The two key rings: that of tokens, and that of stored data.

use std::fmt;

use hmac::Hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::jwt_key::{Hs256, JwtKey};
use super::purpose::{LinkPurpose, SealedPurpose};
use super::seal::Sealer;
use super::secret::RootSecret;
use crate::types::KeyId;

/// The keys of tokens: one that signs, and all that are accepted.
///
/// To change the secret of a running fleet: first let every node accept the new one, then sign with it and accept the old
/// one, then, once the longest session and link have expired, drop the old one. Stored secrets have keys of their own: see
/// [`DataRing`].
#[derive(Clone)]
pub struct TokenRing {
    signing: TokenKey,
    /// Accepted beside the signing one.
    others: Vec<TokenKey>,
}

impl TokenRing {
    /// Signs with `signing`, accepts it and all of `accepted`.
    pub fn new(signing: &RootSecret, accepted: &[RootSecret]) -> Self {
        Self { signing: TokenKey::new(signing), others: accepted.iter().map(TokenKey::new).collect() }
    }

    pub(super) fn signing(&self) -> &TokenKey {
        &self.signing
    }

    pub(super) fn accepted(&self) -> impl Iterator<Item = &TokenKey> {
        std::iter::once(&self.signing).chain(&self.others)
    }
}

impl fmt::Debug for TokenRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.accepted().map(|key| key.id)).finish()
    }
}

/// One root secret's keys, prepared: the two key blocks of each HMAC are hashed once, here.
#[derive(Clone)]
pub(super) struct TokenKey {
    id: KeyId,
    pub(super) access: JwtKey,
    pub(super) refresh: JwtKey,
    pub(super) device: Hmac<Sha256>,
    links: [Hmac<Sha256>; LinkPurpose::ALL.len()],
    sealers: [Sealer; SealedPurpose::ALL.len()],
}

impl TokenKey {
    fn new(secret: &RootSecret) -> Self {
        let id = secret.id();
        Self {
            id,
            access: JwtKey::new(Hs256::new(id, secret.hmac("access"))),
            refresh: JwtKey::new(Hs256::new(id, secret.hmac("refresh"))),
            device: secret.hmac("device"),
            links: LinkPurpose::ALL.map(|purpose| secret.hmac(purpose.context())),
            sealers: SealedPurpose::ALL.map(|purpose| Sealer::new(secret, purpose.context())),
        }
    }

    pub(super) fn link(&self, purpose: LinkPurpose) -> &Hmac<Sha256> {
        &self.links[purpose as usize]
    }

    pub(super) fn sealer(&self, purpose: SealedPurpose) -> &Sealer {
        &self.sealers[purpose as usize]
    }
}

/// The keys of stored data: peppers, keyed hashes, sealed values. Each stored value names its key.
///
/// To change the key of a running fleet: first add the new one behind the current one on every node, then put it first.
/// Values are written anew under it as they are used. A key may go once no value names it, which
/// [`AuthSystem::missing_data_keys`](crate::AuthSystem::missing_data_keys) tells.
#[derive(Clone)]
pub struct DataRing {
    keys: Vec<(KeyId, RootSecret)>,
}

impl DataRing {
    /// New values use `current`; values under any of `older` stay readable.
    pub fn new(current: &RootSecret, older: &[RootSecret]) -> Self {
        Self { keys: std::iter::once(current).chain(older).map(|secret| (secret.id(), secret.clone())).collect() }
    }

    /// Its secrets, the current one first.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&KeyId, &RootSecret)> {
        self.keys.iter().map(|(id, secret)| (id, secret))
    }

    /// Each key of the ring for one purpose, the current one first.
    pub fn keys_for(&self, purpose: &str) -> Vec<(KeyId, Zeroizing<[u8; 32]>)> {
        let purpose = format!("data/{purpose}");
        self.keys.iter().map(|(id, secret)| (*id, secret.derive(&purpose))).collect()
    }
}

impl fmt::Debug for DataRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::WeakSecret;
    use super::*;

    const HEX: &str = concat!("6a2f0c91d4e85b37f1086ac2953e7bd0", "1c44e9a7680df3b25972ce1f8b034da6");

    #[test]
    fn every_purpose_has_a_key_of_its_own() -> Result<(), WeakSecret> {
        let secret = RootSecret::parse(HEX)?;
        let links = LinkPurpose::ALL.map(LinkPurpose::context).into_iter();
        let sealed = SealedPurpose::ALL.map(SealedPurpose::context);
        let nonces = sealed.map(|purpose| format!("{purpose}/nonce"));
        let others = ["key-id", "access", "refresh", "device", "data/pepper"].into_iter();
        let purposes: Vec<String> = others.chain(links).chain(sealed).map(str::to_owned).chain(nonces).collect();
        let keys: std::collections::HashSet<_> = purposes.iter().map(|purpose| *secret.derive(purpose)).collect();
        assert_eq!(keys.len(), purposes.len());
        assert!(LinkPurpose::ALL.iter().enumerate().all(|(index, purpose)| *purpose as usize == index));
        assert!(SealedPurpose::ALL.iter().enumerate().all(|(index, purpose)| *purpose as usize == index));
        Ok(())
    }

    #[test]
    fn debug_shows_key_ids_only() -> Result<(), WeakSecret> {
        let secret = RootSecret::parse(HEX)?;
        assert_eq!(format!("{secret:?}"), "RootSecret(…)");
        let shown = format!("{:?}{:?}", TokenRing::new(&secret, &[]), DataRing::new(&secret, &[]));
        assert_eq!(shown, format!("[{0:?}][{0:?}]", secret.id()));
        Ok(())
    }
}
