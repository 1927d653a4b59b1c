//! Encoded hashes to values, strictly, and no further than may be computed.

use argon2::password_hash::phc::PasswordHash as Phc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::HashFault;
use crate::hash::argon2id::{self, DEFAULT_MEMORY_LIMIT, MAX_WORK};

const MAX_ITERATIONS: u32 = 5_000_000;
const MAX_BCRYPT_COST: u32 = 16;
/// Of scrypt's N·r·p.
const MAX_SCRYPT_WORK: u64 = 1 << 23;
/// Longer texts are no hashes.
const MAX_CHARS: usize = 512;

/// The hash function under PBKDF2.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A hash of another system, within bounds.
pub(crate) enum Scheme<'a> {
    /// In the PHC format, to be checked by the code that checks our own.
    Argon2(&'a str),
    /// The salt as bytes; the tag is a whole digest.
    Pbkdf2 {
        digest: Digest,
        iterations: u32,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        tag: Vec<u8>,
    },
    /// In the format of crypt(3). `digested`: of the password's SHA-256 in hexadecimal.
    Bcrypt {
        encoded: &'a str,
        digested: bool,
    },
}

/// Reads a hash by how it begins.
pub(crate) fn read(encoded: &str) -> Result<Scheme<'_>, HashFault> {
    if encoded.len() > MAX_CHARS {
        return Err(HashFault::Malformed);
    }
    let behind = |prefix| encoded.strip_prefix(prefix);
    if let Some(rest) = behind("pbkdf2_sha256$") {
        django_pbkdf2(Digest::Sha256, rest)
    } else if let Some(rest) = behind("pbkdf2_sha1$") {
        django_pbkdf2(Digest::Sha1, rest)
    } else if let Some(rest) = behind("scrypt$") {
        django_scrypt(rest)
    } else if let Some(rest) = behind("bcrypt_sha256$") {
        bcrypt(rest, true)
    } else if let Some(rest) = behind("bcrypt$") {
        bcrypt(rest, false)
    } else if let Some(rest) = behind("argon2").filter(|rest| rest.starts_with("$argon2")) {
        argon2(rest)
    } else if ["$argon2i$", "$argon2d$", "$argon2id$"].iter().any(|prefix| encoded.starts_with(prefix)) {
        argon2(encoded)
    } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| encoded.starts_with(prefix)) {
        bcrypt(encoded, false)
    } else if encoded.starts_with("$pbkdf2-sha256$") {
        phc_pbkdf2(Digest::Sha256, encoded)
    } else if encoded.starts_with("$pbkdf2-sha512$") {
        phc_pbkdf2(Digest::Sha512, encoded)
    } else if encoded.starts_with("$scrypt$") {
        phc_scrypt(encoded)
    } else {
        Err(HashFault::UnknownScheme)
    }
}

/// `iterations$salt$base64`.
fn django_pbkdf2(digest: Digest, rest: &str) -> Result<Scheme<'_>, HashFault> {
    let [iterations, salt, tag] = fields(rest)?;
    pbkdf2(digest, number(iterations)?, salt.as_bytes(), base64(tag)?)
}

/// `N$salt$r$p$base64`.
fn django_scrypt(rest: &str) -> Result<Scheme<'_>, HashFault> {
    let [n, salt, r, p, tag] = fields(rest)?;
    let n = number(n)?;
    if !n.is_power_of_two() {
        return Err(HashFault::Malformed);
    }
    scrypt(n.trailing_zeros(), number(r)?, number(p)?, salt.as_bytes(), base64(tag)?)
}

/// `$pbkdf2-sha256$i=...,l=...$salt$tag`.
fn phc_pbkdf2(digest: Digest, encoded: &str) -> Result<Scheme<'_>, HashFault> {
    let (phc, salt, tag) = phc(encoded)?;
    if phc.params.get_decimal("l").is_some_and(|length| usize::try_from(length) != Ok(tag.len())) {
        return Err(HashFault::Malformed);
    }
    pbkdf2(digest, phc.params.get_decimal("i").ok_or(HashFault::Malformed)?, &salt, tag)
}

/// `$scrypt$ln=...,r=...,p=...$salt$tag`.
fn phc_scrypt(encoded: &str) -> Result<Scheme<'_>, HashFault> {
    let (phc, salt, tag) = phc(encoded)?;
    let param = |name: &str| phc.params.get_decimal(name).ok_or(HashFault::Malformed);
    scrypt(param("ln")?, param("r")?, param("p")?, &salt, tag)
}

fn phc(encoded: &str) -> Result<(Phc, Vec<u8>, Vec<u8>), HashFault> {
    let phc = Phc::new(encoded).map_err(|_| HashFault::Malformed)?;
    match (phc.salt, phc.hash, phc.version) {
        (Some(salt), Some(tag), None) => Ok((phc, salt.to_vec(), tag.as_bytes().to_vec())),
        _ => Err(HashFault::Malformed),
    }
}

fn pbkdf2(digest: Digest, iterations: u32, salt: &[u8], tag: Vec<u8>) -> Result<Scheme<'static>, HashFault> {
    if iterations > MAX_ITERATIONS {
        return Err(HashFault::TooCostly);
    }
    // A tag that is cut short matches more passwords than one.
    if iterations == 0 || salt.is_empty() || tag.len() != digest.bytes() {
        return Err(HashFault::Malformed);
    }
    Ok(Scheme::Pbkdf2 { digest, iterations, salt: salt.to_vec(), tag })
}

fn scrypt(log_n: u32, r: u32, p: u32, salt: &[u8], tag: Vec<u8>) -> Result<Scheme<'static>, HashFault> {
    if log_n == 0 || r == 0 || p == 0 || salt.is_empty() || ![32, 64].contains(&tag.len()) {
        return Err(HashFault::Malformed);
    }
    let n = 1_u64.checked_shl(log_n).unwrap_or(u64::MAX);
    let blocks = n.saturating_mul(r.into());
    if blocks.saturating_mul(128) > u64::from(DEFAULT_MEMORY_LIMIT) * 1024
        || blocks.saturating_mul(p.into()) > MAX_SCRYPT_WORK
    {
        return Err(HashFault::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| HashFault::TooCostly)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| HashFault::Malformed)?;
    Ok(Scheme::Scrypt { params, salt: salt.to_vec(), tag })
}

/// `$2b$12$`, then salt and tag.
fn bcrypt(encoded: &str, digested: bool) -> Result<Scheme<'_>, HashFault> {
    // $2x$ stands for a mistake in the hashing of other letters than a to z, which nobody shall repeat.
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| encoded.starts_with(prefix)) {
        return Err(HashFault::Malformed);
    }
    let parts: bcrypt::HashParts = encoded.parse().map_err(|_| HashFault::Malformed)?;
    match parts.get_cost() {
        0..4 => Err(HashFault::Malformed),
        4..=MAX_BCRYPT_COST => Ok(Scheme::Bcrypt { encoded, digested }),
        _ => Err(HashFault::TooCostly),
    }
}

fn argon2(encoded: &str) -> Result<Scheme<'_>, HashFault> {
    argon2id::Stored::read(encoded, DEFAULT_MEMORY_LIMIT, MAX_WORK)?;
    Ok(Scheme::Argon2(encoded))
}

/// Exactly so many parts.
fn fields<const N: usize>(rest: &str) -> Result<[&str; N], HashFault> {
    rest.split('$').collect::<Vec<_>>().try_into().map_err(|_| HashFault::Malformed)
}

/// Digits and nothing else; what does not fit is too much of anything.
fn number(text: &str) -> Result<u32, HashFault> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HashFault::Malformed);
    }
    text.parse().map_err(|_| HashFault::TooCostly)
}

fn base64(text: &str) -> Result<Vec<u8>, HashFault> {
    STANDARD.decode(text).map_err(|_| HashFault::Malformed)
}
