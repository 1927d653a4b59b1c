//! Hashes of other systems: which, and what they may cost, is told in `crate::import`.

mod read;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use auth_core::port::Verdict;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::HashFault;
use super::spare::Spare;
use read::Digest;
pub(crate) use read::{Scheme, read};

/// Django's mark for an account without a password.
pub(crate) fn is_unusable(encoded: &str) -> bool {
    encoded.starts_with('!')
}

impl Scheme<'_> {
    /// Checks a password. A match is never of today's scheme.
    pub(super) fn verify(&self, password: &str, spare: &Spare) -> Result<Verdict, HashFault> {
        let matches = match self {
            Scheme::Pbkdf2 { digest, iterations, salt, tag } => {
                let mut found = Zeroizing::new(vec![0; tag.len()]);
                let derive = match digest {
                    Digest::Sha1 => pbkdf2_hmac::<Sha1>,
                    Digest::Sha256 => pbkdf2_hmac::<Sha256>,
                    Digest::Sha512 => pbkdf2_hmac::<Sha512>,
                };
                derive(password.as_bytes(), salt, *iterations, &mut found);
                constant_time_eq::constant_time_eq(&found, tag)
            }
            Scheme::Scrypt { params, salt, tag } => {
                let mut found = Zeroizing::new(vec![0; tag.len()]);
                // Its memory is its own, not the thread's.
                let _turn = spare.turn();
                scrypt::scrypt(password.as_bytes(), salt, params, &mut found).map_err(not_run)?;
                constant_time_eq::constant_time_eq(&found, tag)
            }
            Scheme::Bcrypt { encoded, digested: false } => {
                bcrypt::verify(password, encoded).map_err(|_| HashFault::Malformed)?
            }
            Scheme::Bcrypt { encoded, digested: true } => {
                let mut hex = Zeroizing::new(String::with_capacity(64));
                for byte in Sha256::digest(password) {
                    write!(hex, "{byte:02x}").map_err(not_run)?;
                }
                bcrypt::verify(hex.as_str(), encoded).map_err(|_| HashFault::Malformed)?
            }
            // The caller's, for it takes the thread's memory.
            Scheme::Argon2(_) => return Err(HashFault::UnknownScheme),
        };
        Ok(if matches { Verdict::MatchOutdated } else { Verdict::Mismatch })
    }
}

fn not_run(error: impl std::error::Error + Send + Sync + 'static) -> HashFault {
    HashFault::NotRun(Box::new(error))
}
