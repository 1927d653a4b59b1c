use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use auth_core::port::{Random, RandomError};
use auth_core::types::PasswordHash;

use super::*;
use crate::hash::Argon2Params;
use crate::hash::schemes::Schemes;

const PASSWORD: &str = "pässwörd für 日本語";

/// Made by Django 5.2, argon2-cffi and Python's hashlib, at little cost.
const HASHES: [&str; 12] = [
    "pbkdf2_sha256$1000$sel1$SbTRyDiFtj0k/fJCjm77cO3JhBJ6xHrkaWVKG/N4JGI=",
    "pbkdf2_sha1$1000$sel1$MYsOGgy1kTD7dCc4Fd44iaNDAik=",
    "scrypt$16$sel1$8$1$lCUBWgwZ5LFsoSdljzZ4Dz0gP03AbBs2HCdn2zervR/yxcRUVmfKg5KgcidHHWRSgOJTvI+9+QtI9q7IafMp8g==",
    "bcrypt_sha256$$2b$04$sUqTqPTk3rW5QkCKzAo8/.rA408HjCsWJzcZlqYTl218C45xAFTwW",
    "bcrypt$$2b$04$0rLVI3vwes28uoyqmG3Ew.OGbgMfhGA6QJQh9Au9d6UBPHfQCh1/W",
    "$2b$04$0rLVI3vwes28uoyqmG3Ew.OGbgMfhGA6QJQh9Au9d6UBPHfQCh1/W",
    "$argon2i$v=19$m=8,t=1,p=1$fAodP3YEKQ2tq7GOMZkoeg$LvbtEQmBC7MxJADmbTYjS9grtxed4oNDHenVL4tr69w",
    "$argon2d$v=19$m=8,t=1,p=1$UEvwChoj0+sbwYtI/8AihA$LX/A67whMIOs5yMTDA3Kxq+X5C5hQw1aXhVdXoGfSm0",
    "argon2$argon2id$v=19$m=8,t=1,p=1$+uB+m9C7c3TyMoGi70h58w$QLZekdwE2iDcZ0fpOpKpn58k3Qfp/nbK82qrudvPc1o",
    "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$oNBdpgd4hB0naEB9AlKYNnx2ClB5q+BsyonoQhlo+hI",
    "$pbkdf2-sha512$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$4yAVdpaEgSTDmlC/Ak0uv/y5awOcHrKqJqsFm8d33az6uyBcmSYSHRXKX9+BvqhoUq3BL+WwjKpFP0ZMVmLW/Q",
    "$scrypt$ln=4,r=8,p=2$MDEyMzQ1Njc4OWFiY2RlZg$FGVrbxejJ9viNsLTiF/Ffy/ZTKiLC2ZWUKDMaWyqECM",
];
/// Of the same password, with more memory than the threads of a test have.
const LARGE: &str = "$argon2id$v=19$m=32768,t=2,p=2$pNB41xizYNBGlAodXZsXyQ$8VMrT0gcSggXGpFWU3OK0nFJWpnaVoAsFgWHmhvBe9c";

struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(0);
        Ok(())
    }
}

fn schemes() -> Schemes {
    Schemes::new(Argon2Params::insecure_for_tests(), None, Vec::new(), Arc::new(Zeros)).unwrap()
}

fn verify(password: &str, encoded: &str) -> Result<Verdict, HashFault> {
    let schemes = schemes();
    schemes.check(password, Some(&PasswordHash::new(encoded)), &mut schemes.memory())
}

#[test]
fn every_scheme_agrees_with_its_maker_and_asks_to_be_renewed() {
    for encoded in HASHES.into_iter().chain([LARGE]) {
        assert_eq!(crate::import::password(encoded).unwrap().unwrap().expose(), encoded);
        assert_eq!(verify(PASSWORD, encoded).unwrap(), Verdict::MatchOutdated, "{encoded}");
        for other in ["", "Pässwörd für 日本語", "pässwörd für 日本", "pässwörd für 日本語 "] {
            assert_eq!(verify(other, encoded).unwrap(), Verdict::Mismatch, "{encoded}");
        }
    }
    for version in ["$2a$", "$2y$"] {
        let encoded = HASHES[5].replace("$2b$", version);
        assert_eq!(verify(PASSWORD, &encoded).unwrap(), Verdict::MatchOutdated, "{encoded}");
    }
    // As its maker does, bcrypt reads 72 bytes.
    let of_72 = "$2b$04$e1T/H4t0pZOe7DpzCDKTkuhKUHV632.DAIaDmvoK13oNfi4M3ckmC";
    for (length, verdict) in [(71, Verdict::Mismatch), (72, Verdict::MatchOutdated), (1024, Verdict::MatchOutdated)] {
        assert_eq!(verify(&"x".repeat(length), of_72).unwrap(), verdict, "{length}");
    }
}

#[test]
fn an_account_without_a_password_has_none() {
    for column in ["", "!", "!cHEVQI1UDR4TJsDXZmfq2AtEjNtQTgWJ3jsUrwHv", "!pbkdf2_sha256$1$a$b"] {
        assert_eq!(crate::import::password(column).unwrap(), None);
    }
    // If the mark was stored as it came, it costs what no hash costs, and nothing matches.
    let (marked, none) = (schemes(), schemes());
    let (mut known, mut unknown) = (marked.memory(), none.memory());
    let mark = PasswordHash::new("!");
    for password in ["", "!", PASSWORD] {
        assert_eq!(marked.verify(password, Some(&mark), &mut known).unwrap(), Verdict::Mismatch);
        assert_eq!(none.verify(password, None, &mut unknown).unwrap(), Verdict::Mismatch);
        assert!(known.iter().zip(unknown.iter()).all(|(a, b)| a.as_ref() == b.as_ref()));
    }
}

#[test]
fn what_is_no_hash_never_matches_and_is_not_shown() {
    let mut broken: Vec<String> =
        ["", " ", "$", "secret", "md5$salt$secret", "plain$secret", "pbkdf2_sha256", "bcrypt$"]
            .map(str::to_owned)
            .into();
    for encoded in HASHES {
        broken.extend(
            (0..encoded.len()).filter(|end| encoded.is_char_boundary(*end)).map(|end| encoded[..end].to_owned()),
        );
        broken.extend([format!("{encoded}$"), format!("{encoded}A"), format!(" {encoded}"), encoded.to_uppercase()]);
    }
    for (from, to) in [
        ("$1000$", "$0$"),
        ("$1000$", "$+1000$"),
        ("$1000$", "$-1$"),
        ("$1000$", "$$"),
        ("$sel1$", "$$"),
        ("i=1000", "i=0"),
        ("i=1000", "x=1000"),
        ("l=32", "l=31"),
        ("$i=", "$v=1$i="),
        ("ln=4", "ln=0"),
        ("r=8", "r=0"),
        ("$16$", "$15$"),
        ("$16$", "$1$"),
        ("$8$1$", "$0$1$"),
        ("$8$1$", "$8$0$"),
        ("$04$", "$03$"),
        ("$04$", "$4$"),
        ("$2b$", "$2x$"),
        ("$2b$", "$2$"),
        ("m=8", "m=7"),
        ("t=1", "t=0"),
        ("p=1", "p=0"),
        ("=19", "=20"),
    ] {
        let changed =
            HASHES.iter().filter(|encoded| encoded.contains(from)).map(|encoded| encoded.replacen(from, to, 1));
        broken.extend(changed);
    }
    broken.push("x".repeat(100_000));
    for encoded in broken {
        for password in [PASSWORD, ""] {
            match verify(password, &encoded) {
                // A tag of Argon2 may be of several lengths: a shorter one is another hash.
                Ok(Verdict::Mismatch) => assert!(encoded.contains("argon2"), "{encoded}"),
                Ok(verdict) => panic!("{verdict:?}: {encoded}"),
                Err(fault) => {
                    assert!(matches!(fault, HashFault::Malformed | HashFault::UnknownScheme), "{encoded}: {fault:?}");
                    assert!(!format!("{fault} {fault:?}").contains("secret"));
                }
            }
        }
    }
}

#[test]
fn no_change_of_one_character_leaves_a_match() {
    for encoded in HASHES {
        // What stands before the salt decides the cost; the cases above are about that.
        let from = encoded.rfind('$').unwrap() + 1;
        for at in from..encoded.len() {
            let mut changed = encoded.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'Q' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!matches!(verify(PASSWORD, &changed), Ok(Verdict::MatchOutdated | Verdict::Match)), "{changed}");
        }
    }
}

#[test]
fn a_cost_that_no_honest_hash_has_is_refused_and_not_run() {
    for (from, to) in [
        ("$1000$", "$5000001$"),
        ("$1000$", "$4294967296$"),
        ("$1000$", "$99999999999999999999$"),
        ("i=1000", "i=5000001"),
        ("$04$", "$17$"),
        ("$04$", "$31$"),
        ("$16$", "$2147483648$"),
        ("$16$sel1$8$", "$262144$sel1$16$"),
        ("$16$sel1$8$1$", "$16384$sel1$8$65$"),
        ("$16$sel1$8$1$", "$16$sel1$4294967295$4294967295$"),
        ("ln=4", "ln=19"),
        ("ln=4", "ln=64"),
        ("r=8", "r=4294967295"),
        ("p=2", "p=65537"),
        ("m=8,", "m=262145,"),
        ("m=8,t=1", "m=262144,t=33"),
        ("t=1", "t=101"),
    ] {
        let changed: Vec<_> = HASHES.iter().filter(|encoded| encoded.contains(from)).collect();
        assert!(!changed.is_empty(), "{from}");
        for encoded in changed {
            let encoded = encoded.replacen(from, to, 1);
            assert!(matches!(crate::import::password(&encoded), Err(HashFault::TooCostly)), "{encoded}");
            assert!(matches!(verify(PASSWORD, &encoded), Err(HashFault::TooCostly)), "{encoded}");
        }
    }
    // Django's own defaults, and those of others, are far from the bounds.
    for (from, to) in [
        ("$1000$", "$1500000$"),
        ("$04$", "$15$"),
        ("$16$sel1$8$1$", "$16384$sel1$8$5$"),
        ("m=8,t=1,p=1", "m=102400,t=2,p=8"),
    ] {
        for encoded in HASHES.iter().filter(|encoded| encoded.contains(from)) {
            assert!(crate::import::password(&encoded.replacen(from, to, 1)).is_ok(), "{to}");
        }
    }
}

#[test]
fn memory_beyond_the_threads_own_is_lent_to_one_check_at_a_time() {
    let schemes = Arc::new(schemes());
    for encoded in [LARGE, HASHES[2], HASHES[11]] {
        let turn = schemes.spare().turn();
        let (done, answer) = mpsc::channel();
        let check = thread::spawn({
            let schemes = Arc::clone(&schemes);
            move || {
                let hash = PasswordHash::new(encoded);
                done.send(schemes.verify(PASSWORD, Some(&hash), &mut schemes.memory()).unwrap()).unwrap();
            }
        });
        answer.recv_timeout(Duration::from_millis(50)).unwrap_err();
        // What fits goes on meanwhile.
        let small = PasswordHash::new(HASHES[0]);
        schemes.verify(PASSWORD, Some(&small), &mut schemes.memory()).unwrap();
        drop(turn);
        assert_eq!(answer.recv().unwrap(), Verdict::MatchOutdated, "{encoded}");
        check.join().unwrap();
    }
}
