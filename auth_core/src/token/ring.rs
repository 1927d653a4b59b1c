//! The two key rings. Every key in use is derived by HKDF (RFC 5869) with its purpose as context, so that what is made
//! for one purpose is garbage to all others.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::seal::Sealer;
use super::weak_secret::{self, WeakSecret};
use super::{LinkPurpose, SealedPurpose};

/// The shortest root secret, in bytes.
pub(super) const MIN_SECRET_BYTES: usize = 32;

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

    fn id(&self) -> KeyId {
        let derived = self.derive("key-id");
        let mut id = [b'-'; KeyId::LEN];
        // Six bytes are eight characters, exactly.
        let _ = URL_SAFE_NO_PAD.encode_slice(&derived[..6], &mut id);
        KeyId(id)
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

/// Names a key: eight characters derived from its secret, of which they tell nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 8;

    /// Reads an id from where a stored value names it; `None` for what is no id.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let id: [u8; Self::LEN] = bytes.try_into().ok()?;
        id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).then_some(Self(id))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// The one header of all our JWTs under this key, encoded, with its dot.
    pub(super) header: Box<str>,
    pub(super) access: Hmac<Sha256>,
    pub(super) refresh: Hmac<Sha256>,
    pub(super) device: Hmac<Sha256>,
    links: [Hmac<Sha256>; LinkPurpose::ALL.len()],
    sealers: [Sealer; SealedPurpose::ALL.len()],
}

impl TokenKey {
    fn new(secret: &RootSecret) -> Self {
        let id = secret.id();
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, id.as_str());
        Self {
            id,
            header: format!("{}.", URL_SAFE_NO_PAD.encode(header)).into(),
            access: secret.hmac("access"),
            refresh: secret.hmac("refresh"),
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
