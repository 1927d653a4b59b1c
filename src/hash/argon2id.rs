//! Argon2id (RFC 9106) in the PHC string format, with a pepper as its secret input.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, ParamsBuilder, Version};
use auth_core::policy::InvalidSetting;
use auth_core::port::Verdict;
use auth_core::types::PasswordHash;
use zeroize::Zeroizing;

use super::params::MAX_ITERATIONS;
use super::spare::Spare;
use super::{Argon2Params, HashFault, Pepper};

/// How the hashes of this scheme begin.
pub(super) const PREFIX: &str = "$argon2id$";
pub(super) const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
/// Memory in KiB that a stored hash may ask for whatever today's parameters are: four times RFC 9106's 64 MiB.
pub(super) const DEFAULT_MEMORY_LIMIT: u32 = 256 << 10;
/// KiB that a stored hash may write in all its passes, unless today's parameters write more.
pub(super) const MAX_WORK: u64 = 8 << 20;

pub(super) struct Argon2id {
    /// Today's cost, tag length and key id. A stored hash with any other is outdated.
    today: Params,
    pepper: Option<Pepper>,
}

impl Argon2id {
    pub(super) fn new(params: Argon2Params, pepper: Option<Pepper>) -> Result<Self, InvalidSetting> {
        let mut today = ParamsBuilder::new();
        today.m_cost(params.memory_kib()).t_cost(params.iterations()).p_cost(params.parallelism());
        today.output_len(TAG_BYTES);
        if let Some(pepper) = &pepper {
            today.keyid(pepper.current());
        }
        let today = today.build().map_err(|error| InvalidSetting::new("hash.params", error.to_string()))?;
        Ok(Self { today, pepper })
    }

    /// The memory that a thread reuses for one hash after the other: fresh pages cost a fifth of the time, and the
    /// allocator keeps several times as many resident.
    ///
    /// Empty if the system has none to give; each hash then asks anew, and fails on its own.
    pub(super) fn memory(&self) -> Zeroizing<Vec<Block>> {
        let count = self.today.block_count();
        let mut blocks = Vec::new();
        if blocks.try_reserve_exact(count).is_ok() {
            blocks.resize(count, Block::new());
        }
        Zeroizing::new(blocks)
    }

    /// Hashes under today's parameters and pepper.
    pub(super) fn hash(
        &self,
        password: &str,
        salt: &[u8; SALT_BYTES],
        memory: &mut [Block],
    ) -> Result<PasswordHash, HashFault> {
        let mut tag = [0; TAG_BYTES];
        let secret = self.secret(self.today.keyid())?;
        // Today's hashes fit into the threads' memory, unless the system had none to give.
        derive(secret, (Algorithm::Argon2id, Version::V0x13), &self.today, password, salt, &mut tag, memory)?;
        encode(&self.today, salt, &tag)
    }

    /// A hash to check where there is none. It costs what a hash of today costs; what it says is thrown away, so it
    /// need not be the hash of anything.
    pub(super) fn dummy(&self) -> Result<PasswordHash, HashFault> {
        encode(&self.today, &[0; SALT_BYTES], &[0; TAG_BYTES])
    }

    /// Checks a password against an Argon2 hash of any kind.
    pub(super) fn verify(
        &self,
        password: &str,
        encoded: &str,
        memory: &mut [Block],
        spare: &Spare,
    ) -> Result<Verdict, HashFault> {
        let work_limit = work(&self.today).max(MAX_WORK);
        let Stored { kind, params, salt, tag } = Stored::read(encoded, self.memory_limit(), work_limit)?;
        let secret = self.secret(params.keyid())?;
        let mut found = Zeroizing::new([0; Output::MAX_LENGTH]);
        let found = found.get_mut(..tag.len()).ok_or(HashFault::Malformed)?;
        let _turn = (params.block_count() > memory.len()).then(|| spare.turn());
        derive(secret, kind, &params, password, &salt, found, memory)?;
        // `Output` compares in constant time.
        if Output::new(found).map_err(not_run)? != tag {
            // A refusal takes as long as that of an account that does not exist, or its time would tell that this one does.
            if let Some(missing) = self.missing(&params) {
                let today = (Algorithm::Argon2id, Version::V0x13);
                derive(&[], today, &missing, password, &[0; SALT_BYTES], &mut [0; TAG_BYTES], memory)?;
            }
            return Ok(Verdict::Mismatch);
        }
        let today = (Algorithm::Argon2id, Version::V0x13);
        let current = params == self.today && kind == today && salt.len() == SALT_BYTES;
        Ok(if current { Verdict::Match } else { Verdict::MatchOutdated })
    }

    /// What a check of weaker parameters lacks to the work of today's, which is memory times passes. `None` for too little
    /// to be noticed.
    fn missing(&self, done: &Params) -> Option<Params> {
        let passes = self.today.t_cost();
        let memory = work(&self.today).saturating_sub(work(done)) / u64::from(passes);
        Params::new(u32::try_from(memory).ok()?, passes, self.today.p_cost(), Some(TAG_BYTES)).ok()
    }

    /// The most memory, in KiB, that a stored hash may ask for: four times today's or RFC 9106's 64 MiB, whichever is
    /// more, but beyond 1 GiB only what today's parameters take.
    fn memory_limit(&self) -> u32 {
        let today = self.today.m_cost();
        today.saturating_mul(4).clamp(DEFAULT_MEMORY_LIMIT, 1 << 20).max(today)
    }

    /// Whether the check takes more memory than a thread has.
    pub(super) fn is_heavy(&self, encoded: &str) -> bool {
        let stored = Stored::read(encoded, self.memory_limit(), work(&self.today).max(MAX_WORK));
        stored.is_ok_and(|stored| stored.params.block_count() > self.today.block_count())
    }

    pub(super) fn has_pepper(&self, id: &[u8]) -> bool {
        self.pepper.as_ref().is_some_and(|pepper| pepper.find(id).is_some())
    }

    /// The pepper key of this id; no id is no pepper.
    fn secret(&self, key_id: &[u8]) -> Result<&[u8], HashFault> {
        if key_id.is_empty() {
            return Ok(&[]);
        }
        let key = self.pepper.as_ref().and_then(|pepper| pepper.find(key_id));
        key.ok_or_else(|| HashFault::UnknownKey { key_id: key_id.escape_ascii().to_string() })
    }
}

/// An Argon2 hash as it is stored, within bounds.
pub(super) struct Stored {
    kind: (Algorithm, Version),
    params: Params,
    salt: Salt,
    tag: Output,
}

impl Stored {
    /// Reads a hash in the PHC format. The limits are in KiB: of memory, and of what all passes write.
    pub(super) fn read(encoded: &str, memory_limit: u32, work_limit: u64) -> Result<Self, HashFault> {
        let stored = Phc::new(encoded).map_err(|_| HashFault::Malformed)?;
        let params = Params::try_from(&stored).map_err(|_| HashFault::Malformed)?;
        let algorithm = Algorithm::new(stored.algorithm.as_str()).map_err(|_| HashFault::Malformed)?;
        // The format makes these three mandatory; the parser fills in its own defaults.
        let complete = ["m", "t", "p"].into_iter().all(|name| stored.params.get(name).is_some());
        let (true, Some(salt), Some(tag)) = (complete, stored.salt, stored.hash) else {
            return Err(HashFault::Malformed);
        };
        // A hash that names no version is of the first one.
        let version = stored.version.map_or(Ok(Version::V0x10), Version::try_from).map_err(|_| HashFault::Malformed)?;
        if params.m_cost() > memory_limit || params.t_cost() > MAX_ITERATIONS || work(&params) > work_limit {
            return Err(HashFault::TooCostly);
        }
        Ok(Self { kind: (algorithm, version), params, salt, tag })
    }
}

/// KiB written in all passes.
fn work(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

fn derive(
    secret: &[u8],
    (algorithm, version): (Algorithm, Version),
    params: &Params,
    password: &str,
    salt: &[u8],
    tag: &mut [u8],
    memory: &mut [Block],
) -> Result<(), HashFault> {
    let argon2 = Argon2::new_with_secret(secret, algorithm, version, params.clone()).map_err(not_run)?;
    match memory.get_mut(..params.block_count()) {
        Some(blocks) => argon2.hash_password_into_with_memory(password.as_bytes(), salt, tag, blocks),
        // A hash of more memory than today's: rare, and renewed once it matches.
        None => argon2.hash_password_into(password.as_bytes(), salt, tag),
    }
    .map_err(not_run)
}

fn encode(params: &Params, salt: &[u8], tag: &[u8]) -> Result<PasswordHash, HashFault> {
    let encoded = Phc {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(not_run)?,
        salt: Some(Salt::new(salt).map_err(not_run)?),
        hash: Some(Output::new(tag).map_err(not_run)?),
    };
    Ok(PasswordHash::new(encoded.to_string()))
}

fn not_run(error: impl std::error::Error + Send + Sync + 'static) -> HashFault {
    HashFault::NotRun(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse";
    const SALT: [u8; SALT_BYTES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    // Computed by OpenSSL 3 (through Python's `cryptography`) for PASSWORD, SALT and, as key `2026`, bytes 0 to 31.
    const PLAIN: &str = "$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$O/p5aoYmC3NFfhKQtRaVkxoX4mb2AdD7RVY+KC+2hls";
    const PEPPERED: &str =
        "$argon2id$v=19$m=8,t=1,p=1,keyid=MjAyNg$AAECAwQFBgcICQoLDA0ODw$cOMBxpwnP3DEp4gCOFn3CQpoGvjsUzbB3F4a3EmMXd4";
    const WITH_DATA: &str =
        "$argon2id$v=19$m=32,t=3,p=2,keyid=MjAyNg,data=YXBw$AAECAwQFBgcICQoLDA0ODw$Lu7M7i6Z2fcuMjW6R8aTsyWWComSi0YC";

    /// A scheme at test cost; each key counts up from its number.
    fn scheme(keys: &[(&str, u8)]) -> Argon2id {
        let bytes: Vec<[u8; 32]> = keys.iter().map(|(_, first)| std::array::from_fn(|i| first + i as u8)).collect();
        let ring: Vec<_> = keys.iter().zip(&bytes).map(|((id, _), key)| (*id, key)).collect();
        let pepper = (!ring.is_empty()).then(|| Pepper::new(&ring).unwrap());
        Argon2id::new(Argon2Params::insecure_for_tests(), pepper).unwrap()
    }

    fn verify(scheme: &Argon2id, password: &str, encoded: &str) -> Result<Verdict, HashFault> {
        scheme.verify(password, encoded, &mut scheme.memory(), &Spare::default())
    }

    fn hash(scheme: &Argon2id) -> String {
        scheme.hash(PASSWORD, &SALT, &mut scheme.memory()).unwrap().expose().to_owned()
    }

    #[test]
    fn rfc_9106_section_5_3() {
        let data = argon2::AssociatedData::new(&[4; 12]).unwrap();
        let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
        let password = "\u{1}".repeat(32);
        let expected = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0, 0x1e,
            0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
        ];
        // In memory of our own, which holds an earlier hash's remains, and in memory that is too small.
        let mut used = vec![Block::new(); 40];
        for block in &mut used {
            block.as_mut().fill(u64::MAX);
        }
        for memory in [used.as_mut_slice(), &mut []] {
            let mut tag = [0; 32];
            derive(&[3; 8], (Algorithm::Argon2id, Version::V0x13), &params, &password, &[2; 16], &mut tag, memory)
                .unwrap();
            assert_eq!(tag, expected);
        }
    }

    #[test]
    fn agrees_with_another_implementation_byte_for_byte() {
        let (plain, peppered) = (scheme(&[]), scheme(&[("2026", 0)]));
        assert_eq!(hash(&plain), PLAIN);
        assert_eq!(hash(&peppered), PEPPERED);
        for (scheme, encoded, verdict) in [
            (&plain, PLAIN, Verdict::Match),
            (&peppered, PEPPERED, Verdict::Match),
            (&peppered, WITH_DATA, Verdict::MatchOutdated),
        ] {
            assert_eq!(verify(scheme, PASSWORD, encoded).unwrap(), verdict, "{encoded}");
            assert_eq!(verify(scheme, "correct Horse", encoded).unwrap(), Verdict::Mismatch, "{encoded}");
            assert_eq!(verify(scheme, "", encoded).unwrap(), Verdict::Mismatch, "{encoded}");
        }
    }

    #[test]
    fn a_refused_hash_of_weaker_parameters_is_made_up_to_the_work_of_todays() {
        let today = Argon2id::new(Argon2Params::default(), None).unwrap();
        let missing = |memory, passes, lanes| {
            let missing = today.missing(&Params::new(memory, passes, lanes, None).unwrap());
            missing.map(|missing| (missing.m_cost(), missing.t_cost(), missing.p_cost()))
        };
        assert_eq!(missing(8, 1, 1), Some((19_452, 2, 1)));
        assert_eq!(missing(4_096, 3, 4), Some((19_456 - 6_144, 2, 1)));
        for enough in [(19_456, 2, 1), (7_782, 5, 1), (19_450, 2, 1), (65_536, 3, 4)] {
            assert_eq!(missing(enough.0, enough.1, enough.2), None, "{enough:?}");
        }
    }

    #[test]
    fn any_other_parameter_is_outdated_in_either_direction() {
        let today = scheme(&[]);
        let of = |m, t, p, version: Version, salt: &[u8], tag_bytes: usize| {
            let params = Params::new(m, t, p, Some(tag_bytes)).unwrap();
            let mut tag = vec![0; tag_bytes];
            derive(&[], (Algorithm::Argon2id, version), &params, PASSWORD, salt, &mut tag, &mut []).unwrap();
            let encoded = encode(&params, salt, &tag).unwrap();
            encoded.expose().replace("v=19", &format!("v={}", u32::from(version)))
        };
        let (v19, v16) = (Version::V0x13, Version::V0x10);
        assert_eq!(of(8, 1, 1, v19, &SALT, 32), PLAIN);
        for encoded in [
            of(9, 1, 1, v19, &SALT, 32),
            of(64, 1, 1, v19, &SALT, 32),
            of(8, 2, 1, v19, &SALT, 32),
            of(16, 1, 2, v19, &SALT, 32),
            of(8, 1, 1, v19, &SALT, 31),
            of(8, 1, 1, v19, &SALT, 64),
            of(8, 1, 1, v19, &SALT[..8], 32),
            of(8, 1, 1, v19, &[9; 32], 32),
            of(8, 1, 1, v16, &SALT, 32),
            of(8, 1, 1, v16, &SALT, 32).replace("v=16$", ""),
        ] {
            assert_eq!(verify(&today, PASSWORD, &encoded).unwrap(), Verdict::MatchOutdated, "{encoded}");
            assert_eq!(verify(&today, "another", &encoded).unwrap(), Verdict::Mismatch, "{encoded}");
        }
        // A stronger choice makes yesterday's hashes outdated, and the other way round.
        let stronger = Argon2id::new(Argon2Params::new(7_168, 5, 1).unwrap(), None).unwrap();
        assert_eq!(verify(&stronger, PASSWORD, PLAIN).unwrap(), Verdict::MatchOutdated);
        assert_eq!(verify(&today, PASSWORD, &hash(&stronger)).unwrap(), Verdict::MatchOutdated);
    }

    #[test]
    fn a_pepper_is_rotated_and_never_guessed() {
        let (none, old) = (scheme(&[]), scheme(&[("2025", 7)]));
        let rotated = scheme(&[("2026", 0), ("2025", 7)]);
        let (unpeppered, under_old) = (hash(&none), hash(&old));
        assert_eq!(verify(&old, PASSWORD, &under_old).unwrap(), Verdict::Match);
        assert_eq!(verify(&rotated, PASSWORD, &under_old).unwrap(), Verdict::MatchOutdated);
        assert_eq!(verify(&rotated, PASSWORD, &unpeppered).unwrap(), Verdict::MatchOutdated);
        assert_eq!(verify(&rotated, PASSWORD, &hash(&rotated)).unwrap(), Verdict::Match);
        // The key counts, not only its name.
        assert_eq!(verify(&scheme(&[("2025", 8)]), PASSWORD, &under_old).unwrap(), Verdict::Mismatch);
        for without in [&none, &scheme(&[("2026", 0)])] {
            let fault = verify(without, PASSWORD, &under_old).unwrap_err();
            assert!(matches!(&fault, HashFault::UnknownKey { key_id } if key_id == "2025"), "{fault:?}");
            assert!(fault.to_string().contains("`2025`"), "{fault}");
        }
    }

    #[test]
    fn cost_beyond_bounds_is_refused_and_not_run() {
        let at = |m: u32, t: u32| format!("$argon2id$v=19$m={m},t={t},p=1$AAECAwQFBgcICQoLDA0ODw${}", "A".repeat(43));
        let limit =
            |memory_kib| Argon2id::new(Argon2Params::new(memory_kib, 5, 1).unwrap(), None).unwrap().memory_limit();
        assert_eq!(limit(19_456), 256 << 10);
        assert_eq!(limit(128 << 10), 512 << 10);
        assert_eq!(limit(512 << 10), 1 << 20);
        assert_eq!(limit(4 << 20), 4 << 20, "never below today's");
        let scheme = scheme(&[]);
        for encoded in [at((256 << 10) + 1, 1), at(u32::MAX, 1), at(8, 101), at(8, u32::MAX)] {
            assert!(matches!(verify(&scheme, PASSWORD, &encoded), Err(HashFault::TooCostly)), "{encoded}");
        }
        assert!(verify(&scheme, PASSWORD, &at(8, 100)).is_ok());
    }

    #[test]
    fn what_is_no_hash_is_an_error_that_does_not_show_it() {
        let tail = "$AAECAwQFBgcICQoLDA0ODw$O/p5aoYmC3NFfhKQtRaVkxoX4mb2AdD7RVY+KC+2hls";
        let heads =
            ["v=19$t=1,p=1", "v=19$m=8,p=1", "v=19$m=8,t=1", "v=19", "v=20$m=8,t=1,p=1", "v=19$m=8,t=1,p=1,x=1"];
        let heads =
            heads.into_iter().chain(["v=19$m=7,t=1,p=1", "v=19$m=8,t=0,p=1", "v=19$m=8,t=1,p=0", "v=19$m=-8,t=1,p=1"]);
        let mut broken: Vec<String> = heads.map(|head| format!("{PREFIX}{head}{tail}")).collect();
        broken.push(PREFIX.to_owned());
        broken.push(format!("{PREFIX}v=19$m=8,t=1,p=1"));
        broken.push(format!("{PREFIX}v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw"));
        broken.push(format!("{PLAIN}$"));
        broken.push(format!("{PLAIN}="));
        broken.push(PLAIN.replace("DA0ODw$", "DA0ODw==$"));
        for encoded in broken {
            let fault = verify(&scheme(&[]), PASSWORD, &encoded).unwrap_err();
            assert!(matches!(fault, HashFault::Malformed), "{encoded}: {fault:?}");
            assert!(!format!("{fault} {fault:?}").contains('$'), "{fault}");
        }
    }

    #[test]
    fn no_change_of_one_character_leaves_a_match() {
        let scheme = scheme(&[("2026", 0)]);
        let mut memory = scheme.memory();
        for at in PREFIX.len()..PEPPERED.len() {
            for character in b' '..=b'~' {
                let mut changed = PEPPERED.as_bytes().to_vec();
                changed[at] = character;
                let changed = String::from_utf8(changed).unwrap();
                let verdict = scheme.verify(PASSWORD, &changed, &mut memory, &Spare::default());
                assert!(
                    changed == PEPPERED || matches!(verdict, Ok(Verdict::Mismatch) | Err(_)),
                    "{changed}: {verdict:?}"
                );
            }
        }
    }
}
