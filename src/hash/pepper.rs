//! Keys that hashes depend on and that no dump of the database holds.

use std::fmt;

use argon2::KeyId;
use auth_core::policy::InvalidSetting;
use zeroize::Zeroizing;

/// A ring of keys for Argon2's secret input (RFC 9106 section 3.1). New hashes use the first; older ones are checked
/// with the key that they name in `keyid`, and renewed at the next login.
///
/// To rotate, put a new key first and keep the others while any hash names them: where the key is gone, the right password
/// is refused. Hashes from before the first pepper stay valid and are renewed as well.
pub struct Pepper {
    current: KeyId,
    keys: Vec<(KeyId, Zeroizing<Vec<u8>>)>,
}

impl Pepper {
    /// Takes keys by id, the current one first. An id is 1 to 8 ASCII letters, digits, `-`, `_` or `.`: it is public
    /// and the PHC format caps it. A key is 32 random bytes.
    ///
    /// # Errors
    /// [`InvalidSetting`] for no key, an id of another form or used twice, or a key of one repeated byte.
    pub fn new(keys: &[(&str, &[u8; 32])]) -> Result<Self, InvalidSetting> {
        let refuse = |problem: String| InvalidSetting::new("hash.pepper", problem);
        let mut ring: Vec<(KeyId, Zeroizing<Vec<u8>>)> = Vec::with_capacity(keys.len());
        for (id, key) in keys {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            let key_id = KeyId::new(id.as_bytes()).ok().filter(|_| !id.is_empty() && id.bytes().all(plain));
            let Some(key_id) = key_id else {
                return Err(refuse(format!("the key id `{id}` is not 1 to 8 letters, digits, `-`, `_` or `.`")));
            };
            if ring.iter().any(|(other, _)| *other == key_id) {
                return Err(refuse(format!("the key id `{id}` is used twice")));
            }
            if key.iter().all(|byte| *byte == key[0]) {
                return Err(refuse(format!("the key `{id}` is one byte repeated: make it of 32 random ones")));
            }
            ring.push((key_id, Zeroizing::new(key.to_vec())));
        }
        match ring.first() {
            Some((current, _)) => Ok(Self { current: *current, keys: ring }),
            None => Err(refuse("it has no key: give one, or no pepper at all".to_owned())),
        }
    }

    /// The key that new hashes name.
    pub(super) fn current(&self) -> KeyId {
        self.current
    }

    /// The key that a hash names.
    pub(super) fn find(&self, id: &[u8]) -> Option<&[u8]> {
        self.keys.iter().find(|(key_id, _)| key_id.as_bytes() == id).map(|(_, key)| key.as_slice())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|(id, _)| id.as_bytes().escape_ascii().to_string());
        f.debug_tuple("Pepper").field(&ids.collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_cannot_be_right_is_refused() {
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert!(Pepper::new(&[("2026", &key), ("k-1_2.3a", &key)]).is_ok());
        let same = [7; 32];
        let rings: [&[(&str, &[u8; 32])]; 6] = [
            &[],
            &[("", &key)],
            &[("ninechars", &key)],
            &[("a,b", &key)],
            &[("a", &key), ("a", &key)],
            &[("a", &key), ("b", &same)],
        ];
        for ring in rings {
            assert_eq!(Pepper::new(ring).err().map(|error| error.setting), Some("hash.pepper"));
        }
    }

    #[test]
    fn debug_shows_ids_and_no_key() {
        let mut key = [0xab; 32];
        key[0] = 0xcd;
        let shown = format!("{:?}", Pepper::new(&[("2026", &key), ("2025", &key)]));
        assert_eq!(shown, r#"Ok(Pepper(["2026", "2025"]))"#);
    }
}
