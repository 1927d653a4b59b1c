//! Tokens of mailed links: an expiry and a MAC over all that the link depends on. No row is kept; a link dies with the
//! state that it is bound to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq_32;

use super::Tokens;
use super::purpose::LinkPurpose;
use super::ring::TokenKey;
use super::secret::mac;
use crate::types::{TenantId, Timestamp, Token, User, UserId};

impl Tokens {
    /// A link token for the account as it is now: tenant, id, address and token version.
    pub fn link(&self, purpose: LinkPurpose, user: &User, expires_at: Timestamp) -> Token {
        let expiry = expires_at.seconds().max(0);
        let mac = link_mac(self.ring.signing(), purpose, &Subject::of(user), expiry);
        Token::new(format!("{expiry:x}-{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// Whether `token` was made for this purpose and account, fits its present state, and is in time.
    ///
    /// Without an account the work is the same and the answer is no.
    pub fn verify_link(&self, purpose: LinkPurpose, user: Option<&User>, token: &str, now: Timestamp) -> bool {
        let Some((expiry, claimed)) = parse(token) else { return false };
        let subject = user.map_or_else(Subject::nobody, Subject::of);
        let mut genuine = false;
        for key in self.ring.accepted() {
            genuine |= constant_time_eq_32(&link_mac(key, purpose, &subject, expiry), &claimed);
        }
        genuine && user.is_some() && now.seconds() < expiry
    }
}

struct Subject<'a> {
    tenant: TenantId,
    user: Option<UserId>,
    email: &'a str,
    token_version: u32,
}

impl<'a> Subject<'a> {
    fn nobody() -> Self {
        Self { tenant: TenantId::default(), user: None, email: "", token_version: 0 }
    }

    fn of(user: &'a User) -> Self {
        Self {
            tenant: user.tenant,
            user: Some(user.id),
            email: user.email.as_str(),
            token_version: user.token_version.get(),
        }
    }
}

fn link_mac(key: &TokenKey, purpose: LinkPurpose, subject: &Subject<'_>, expiry: i64) -> [u8; 32] {
    let user = subject.user.as_ref().map_or("", UserId::as_str);
    let texts = [subject.tenant.as_str(), user, subject.email];
    let lengths = texts.map(|text| (text.len() as u64).to_be_bytes());
    let numbers = [i64::from(subject.token_version).to_be_bytes(), expiry.to_be_bytes()];
    let [tenant, user, email] = texts.map(str::as_bytes);
    mac(key.link(purpose), &[&lengths[0], tenant, &lengths[1], user, &lengths[2], email, &numbers[0], &numbers[1]])
}

/// Only the one spelling that [`Tokens::link`] writes.
fn parse(token: &str) -> Option<(i64, [u8; 32])> {
    let (expiry, mac) = token.split_once('-')?;
    let seconds = i64::from_str_radix(expiry, 16).ok()?;
    let mut bytes = [0; 32];
    let canonical = mac.len() == 43 && format!("{seconds:x}") == expiry;
    (canonical && URL_SAFE_NO_PAD.decode_slice(mac, &mut bytes) == Ok(32)).then_some((seconds, bytes))
}
