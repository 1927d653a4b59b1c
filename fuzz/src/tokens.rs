//! Keys, tokens under them, and texts that are nearly such tokens.

use std::sync::LazyLock;

use auth_core::policy::Policy;
use auth_core::token::{RootSecret, TokenError, TokenRing, Tokens};
use auth_core::types::{SessionId, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{AUDIENCE, ISSUER, NOW, account, session};

/// The secret of a number: 0 signs, 1 is accepted, 2 is a stranger's.
pub fn secret(number: u8) -> RootSecret {
    auth_core::testing::root_secret_of(&secret_bytes(number))
}

fn secret_bytes(number: u8) -> [u8; 32] {
    std::array::from_fn(|index| index as u8 * 7 + number)
}

/// The key of secret 0 for a purpose: by the documented derivation, not by the crate's code.
pub fn key(purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let info = format!("auth-system/1/{purpose}");
    Hkdf::<Sha256>::new(None, &secret_bytes(0)).expand(info.as_bytes(), &mut key).expect("32 bytes fit");
    key
}

/// HMAC-SHA-256.
pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key does");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Any payload as an access token, by whoever has secret 0.
pub fn sign_access(payload: &[u8]) -> String {
    static HEADER: LazyLock<String> = LazyLock::new(|| {
        let id = URL_SAFE_NO_PAD.encode(&key("key-id")[..6]);
        URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{id}"}}"#))
    });
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| key("access"));
    let signed = format!("{}.{}", *HEADER, URL_SAFE_NO_PAD.encode(payload));
    let signature = mac(&*KEY, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Tokens under a ring of keys.
pub fn tokens_of(signing: RootSecret, accepted: &[RootSecret]) -> Tokens {
    Tokens::new(TokenRing::new(&signing, accepted), ISSUER, AUDIENCE, &Policy::default()).expect("good settings")
}

/// The tokens under test: signed with secret 0, accepted under 0 and 1.
pub fn tokens() -> &'static Tokens {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| tokens_of(secret(0), &[secret(1)]));
    &TOKENS
}

/// The two kinds of JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For requests.
    Access,
    /// For new tokens.
    Refresh,
}

/// A genuine JWT of somebody's.
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its kind.
    pub kind: Kind,
    /// Whether its key is in our ring.
    pub known_key: bool,
    /// Whether issuer and audience are ours.
    pub for_us: bool,
    session: SessionId,
    issued_at: i64,
    expires_at: i64,
}

impl Issued {
    /// What a good token is worth at a time.
    pub fn in_time(&self, now: Timestamp) -> Result<SessionId, TokenError> {
        match now.seconds() {
            now if self.issued_at > now + 5 => Err(TokenError::Invalid),
            now if now >= self.expires_at => Err(TokenError::Expired),
            _ => Ok(self.session),
        }
    }
}

/// Ten JWTs: ours, of the other key in our ring, of a stranger's key, for another issuer, for another audience; each
/// an access token and a refresh token.
pub fn issued() -> &'static [Issued] {
    static ISSUED: LazyLock<Vec<Issued>> = LazyLock::new(|| {
        let ring = |number| TokenRing::new(&secret(number), &[]);
        let of = |number, issuer, audience| Tokens::new(ring(number), issuer, audience, &Policy::default());
        let makers = [
            (of(0, ISSUER, AUDIENCE), true, true),
            (of(1, ISSUER, AUDIENCE), true, true),
            (of(2, ISSUER, AUDIENCE), false, true),
            (of(0, "another", AUDIENCE), true, false),
            (of(0, ISSUER, "another"), true, false),
        ];
        let session = session(&account("ada", true), 1);
        let mut all = Vec::new();
        for (maker, known_key, for_us) in makers {
            let maker = maker.expect("good settings");
            for (kind, issued) in
                [(Kind::Access, maker.access(&session).unwrap()), (Kind::Refresh, maker.refresh(&session).unwrap())]
            {
                let (issued_at, expires_at) = (issued.issued_at.seconds(), issued.expires_at.seconds());
                let token = issued.token.expose().to_owned();
                all.push(Issued { token, kind, known_key, for_us, session: session.id, issued_at, expires_at });
            }
        }
        all
    });
    &ISSUED
}

/// Times about the ends of tokens made at [`NOW`], and the ends of time.
pub fn instants() -> [Timestamp; 9] {
    let access = 15 * 60;
    let refresh = 7 * 24 * 60 * 60;
    let [a, b, c, d, e, f, g] =
        [-6, -5, 0, access - 1, access, refresh - 1, refresh].map(|after| Timestamp::from_seconds(NOW + after));
    [Timestamp::from_micros(i64::MIN), a, b, c, d, e, f, g, Timestamp::from_micros(i64::MAX)]
}

/// A text made of genuine tokens. The first line is a template: `$3` is token 3, `$3a`, `$3b` and `$3c` are its parts.
/// What follows edits the outcome, three bytes each: where (two of them) and what, which is a character to be put
/// over another, the same plus 128 to be put between, or 0 to delete.
pub fn forge<'a>(data: &[u8], genuine: impl Iterator<Item = &'a str>, separator: char) -> Option<String> {
    let (template, edits) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let mut text = std::str::from_utf8(template).ok()?.to_owned();
    for (index, token) in genuine.enumerate() {
        let parts = token.splitn(if separator == '-' { 2 } else { 3 }, separator);
        for (letter, part) in ('a'..).zip(parts) {
            text = text.replace(&format!("${index}{letter}"), part);
        }
        text = text.replace(&format!("${index}"), token);
    }
    // A token is longer than its name, and many of them say nothing new.
    if text.len() > 8192 {
        return None;
    }
    for edit in edits.chunks_exact(3) {
        let wanted = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (text.len() + 1);
        let at = (0..=wanted).rev().find(|at| text.is_char_boundary(*at))?;
        match char::from(edit[2] & 0x7f) {
            new if edit[2] >= 0x80 => text.insert(at, new),
            new if at < text.len() => {
                text.remove(at);
                if new != '\0' {
                    text.insert(at, new);
                }
            }
            _ => {}
        }
    }
    Some(text)
}
