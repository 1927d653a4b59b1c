//! Which scheme a stored hash belongs to.

use std::sync::Arc;

use argon2::Block;
use auth_core::policy::InvalidSetting;
use auth_core::port::{Random, Verdict};
use auth_core::types::PasswordHash;
use zeroize::Zeroizing;

use super::argon2id::{Argon2id, PREFIX, SALT_BYTES};
#[cfg(feature = "import")]
use super::import;
use super::spare::Spare;
use super::{Argon2Params, HashFault, PasswordScheme, Pepper};

/// All schemes of a pool: Argon2id, which is today's, and those of earlier systems.
pub(super) struct Schemes {
    argon2id: Argon2id,
    dummy: PasswordHash,
    legacy: Vec<Box<dyn PasswordScheme>>,
    random: Arc<dyn Random>,
    spare: Spare,
}

impl Schemes {
    pub(super) fn new(
        params: Argon2Params,
        pepper: Option<Pepper>,
        legacy: Vec<Box<dyn PasswordScheme>>,
        random: Arc<dyn Random>,
    ) -> Result<Self, InvalidSetting> {
        let mut prefixes = legacy.iter().flat_map(|scheme| scheme.prefixes());
        if let Some(prefix) = prefixes.find(|prefix| PREFIX.starts_with(**prefix) || prefix.starts_with(PREFIX)) {
            let problem = format!("the prefix `{prefix}` would take hashes that are Argon2id's");
            return Err(InvalidSetting::new("hash.legacy", problem));
        }
        let argon2id = Argon2id::new(params, pepper)?;
        let unusable = |fault: HashFault| InvalidSetting::new("hash.params", fault.to_string());
        let dummy = argon2id.dummy().map_err(unusable)?;
        Ok(Self { argon2id, dummy, legacy, random, spare: Spare::default() })
    }

    #[cfg(all(test, feature = "import"))]
    pub(super) fn spare(&self) -> &Spare {
        &self.spare
    }

    /// See [`Argon2id::memory`].
    pub(super) fn memory(&self) -> Zeroizing<Vec<Block>> {
        self.argon2id.memory()
    }

    pub(super) fn hash(&self, password: &str, memory: &mut [Block]) -> Result<PasswordHash, HashFault> {
        let mut salt = [0; SALT_BYTES];
        self.random.fill(&mut salt).map_err(|error| HashFault::NotRun(Box::new(error)))?;
        self.argon2id.hash(password, &salt, memory)
    }

    /// Checks a password. A hash that cannot be checked is a mismatch and takes as long as no hash at all.
    pub(super) fn verify(
        &self,
        password: &str,
        hash: Option<&PasswordHash>,
        memory: &mut [Block],
    ) -> Result<Verdict, HashFault> {
        match self.check(password, hash, memory) {
            Err(fault @ HashFault::NotRun(_)) => Err(fault),
            Err(fault) => {
                tracing::error!(target: "auth", %fault, "a stored password hash cannot be checked");
                self.verify_none(password, memory).map(|_| Verdict::Unreadable)
            }
            verdict => verdict,
        }
    }

    /// Whether the check takes memory beyond the thread's own, of which there is one hash's worth for all.
    pub(super) fn is_heavy(&self, hash: Option<&PasswordHash>) -> bool {
        let Some(encoded) = hash.map(PasswordHash::expose) else { return false };
        if encoded.starts_with(PREFIX) {
            return self.argon2id.is_heavy(encoded);
        }
        #[cfg(feature = "import")]
        return match import::read(encoded) {
            Ok(import::Scheme::Scrypt { .. }) => true,
            Ok(import::Scheme::Argon2(phc)) => self.argon2id.is_heavy(phc),
            _ => false,
        };
        #[cfg(not(feature = "import"))]
        false
    }

    pub(super) fn has_pepper(&self, id: &[u8]) -> bool {
        self.argon2id.has_pepper(id)
    }

    /// Checks a password like [`verify`](Self::verify), and tells why a hash cannot be checked.
    pub(super) fn check(
        &self,
        password: &str,
        hash: Option<&PasswordHash>,
        memory: &mut [Block],
    ) -> Result<Verdict, HashFault> {
        let Some(hash) = hash else {
            return self.verify_none(password, memory);
        };
        let encoded = hash.expose();
        if encoded.starts_with(PREFIX) {
            return self.argon2id.verify(password, encoded, memory, &self.spare);
        }
        let owned = |prefixes: &[&str]| prefixes.iter().any(|prefix| encoded.starts_with(prefix));
        if let Some(scheme) = self.legacy.iter().find(|scheme| owned(scheme.prefixes())) {
            return Ok(if scheme.verify(password, encoded)? { Verdict::MatchOutdated } else { Verdict::Mismatch });
        }
        #[cfg(feature = "import")]
        return match import::read(encoded) {
            _ if import::is_unusable(encoded) => self.verify_none(password, memory),
            // Even at today's cost it is not written as ours are.
            Ok(import::Scheme::Argon2(phc)) => match self.argon2id.verify(password, phc, memory, &self.spare)? {
                Verdict::Match => Ok(Verdict::MatchOutdated),
                other => Ok(other),
            },
            Ok(scheme) => scheme.verify(password, &self.spare),
            Err(fault) => Err(fault),
        };
        #[cfg(not(feature = "import"))]
        Err(HashFault::UnknownScheme)
    }

    /// The work of a check of today, and no match.
    fn verify_none(&self, password: &str, memory: &mut [Block]) -> Result<Verdict, HashFault> {
        self.argon2id.verify(password, self.dummy.expose(), memory, &self.spare)?;
        Ok(Verdict::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Random for Zeros {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), auth_core::port::RandomError> {
            bytes.fill(0);
            Ok(())
        }
    }

    struct Broken;

    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), auth_core::port::RandomError> {
            Err(auth_core::port::RandomError)
        }
    }

    /// Hashes that are the password behind a prefix.
    struct Plain(&'static str);

    impl PasswordScheme for Plain {
        fn prefixes(&self) -> &[&'static str] {
            std::slice::from_ref(&self.0)
        }

        fn verify(&self, password: &str, encoded: &str) -> Result<bool, HashFault> {
            Ok(encoded.strip_prefix(self.0) == Some(password))
        }
    }

    fn schemes(legacy: &[&'static str]) -> Result<Schemes, InvalidSetting> {
        let legacy = legacy.iter().map(|prefix| Box::new(Plain(prefix)) as Box<dyn PasswordScheme>).collect();
        Schemes::new(Argon2Params::insecure_for_tests(), None, legacy, Arc::new(Zeros))
    }

    #[test]
    fn the_prefix_finds_the_scheme_and_a_foreign_match_is_outdated() {
        let schemes = schemes(&["$plain$", "$other$"]).unwrap();
        let verify = |encoded: &str| {
            let hash = PasswordHash::new(encoded);
            schemes.check("secret", Some(&hash), &mut schemes.memory())
        };
        assert_eq!(verify("$plain$secret").unwrap(), Verdict::MatchOutdated);
        assert_eq!(verify("$other$secret").unwrap(), Verdict::MatchOutdated);
        assert_eq!(verify("$other$$plain$secret").unwrap(), Verdict::Mismatch);
        let own = schemes.hash("secret", &mut schemes.memory()).unwrap();
        assert_eq!(verify(own.expose()).unwrap(), Verdict::Match);
        for unknown in ["", "secret", "$argon2", "$argon2id", "$2", " $plain$secret"] {
            let fault = verify(unknown).unwrap_err();
            assert!(matches!(fault, HashFault::UnknownScheme), "{unknown}: {fault:?}");
            assert!(!format!("{fault} {fault:?}").contains("secret"));
            let hash = PasswordHash::new(unknown);
            let verdict = schemes.verify("secret", Some(&hash), &mut schemes.memory());
            assert_eq!(verdict.unwrap(), Verdict::Unreadable);
        }
    }

    #[test]
    fn argon2id_keeps_its_prefix() {
        for prefix in ["", "$", "$argon2", "$argon2id$", "$argon2id$v=19"] {
            assert_eq!(schemes(&["$plain$", prefix]).err().map(|error| error.setting), Some("hash.legacy"), "{prefix}");
        }
    }

    #[test]
    fn without_a_hash_one_of_today_is_checked_and_nothing_matches() {
        let ring = [("2026", &std::array::from_fn(|i| i as u8))];
        let pepper = Pepper::new(&ring).unwrap();
        let params = Argon2Params::new(7_168, 5, 1).unwrap();
        let schemes = Schemes::new(params, Some(pepper), Vec::new(), Arc::new(Zeros)).unwrap();
        let tag = "A".repeat(43);
        let dummy = format!("$argon2id$v=19$m=7168,t=5,p=1,keyid=MjAyNg$AAAAAAAAAAAAAAAAAAAAAA${tag}");
        assert_eq!(schemes.dummy.expose(), dummy);
        // The memory shows that the work was done: it is what a check of that very hash leaves.
        let (mut unknown, mut known) = (schemes.memory(), schemes.memory());
        assert_eq!(schemes.verify("secret", None, &mut unknown).unwrap(), Verdict::Mismatch);
        schemes.argon2id.verify("secret", &dummy, &mut known, &schemes.spare).unwrap();
        assert!(unknown.iter().zip(known.iter()).all(|(a, b)| a.as_ref() == b.as_ref()));
        assert!(unknown.iter().all(|block| block.as_ref().iter().any(|word| *word != 0)));
    }

    #[test]
    fn without_randomness_nothing_is_hashed() {
        let schemes = Schemes::new(Argon2Params::insecure_for_tests(), None, Vec::new(), Arc::new(Broken)).unwrap();
        let fault = schemes.hash("secret", &mut schemes.memory()).unwrap_err();
        assert!(matches!(fault, HashFault::NotRun(_)), "{fault:?}");
    }
}
