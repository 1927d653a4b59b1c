//! Tokens of mailed links that bring along what no row keeps, sealed: whoever reads a log or a dump learns no address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Tokens;
use super::purpose::SealedPurpose;
use crate::types::{Email, TenantId, Timestamp, Token, TokenVersion, UserId};

/// The content of a sealed link. Whether it still fits the account is for its flow to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedLink {
    /// The address that the account shall move to, or back to.
    pub email: Email,
    /// The account's version: the one that the request was made under, or the one that the reported change led to.
    pub token_version: TokenVersion,
    /// The end of its life, in whole seconds.
    pub expires_at: Timestamp,
    /// Further content that only its flow reads. Empty in links of earlier releases.
    pub extra: Vec<u8>,
}

/// Ends the address where further content follows. No address contains it.
const END: u8 = 0;

impl Tokens {
    /// A link token for this account.
    pub fn sealed_link(&self, purpose: SealedPurpose, tenant: TenantId, user: UserId, link: &SealedLink) -> Token {
        let version = link.token_version.get().to_be_bytes();
        let expiry = link.expires_at.seconds().to_be_bytes();
        let mut content = [&version[..], &expiry, link.email.spelling().as_bytes()].concat();
        if !link.extra.is_empty() {
            content.push(END);
            content.extend_from_slice(&link.extra);
        }
        let sealed = self.ring.signing().sealer(purpose).seal(&context(&tenant, &user), &content);
        Token::new(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a token that was made for this purpose and account, expired or not. Returns `None` for any other text.
    pub fn open_link(&self, purpose: SealedPurpose, tenant: TenantId, user: UserId, token: &str) -> Option<SealedLink> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let context = context(&tenant, &user);
        let content = self.ring.accepted().find_map(|key| key.sealer(purpose).open(&context, &sealed))?;
        let (version, rest) = content.split_first_chunk()?;
        let (expiry, rest) = rest.split_first_chunk()?;
        let end = rest.iter().position(|byte| *byte == END);
        let (email, extra) = end.map_or((rest, &[][..]), |end| (&rest[..end], &rest[end + 1..]));
        Some(SealedLink {
            email: Email::parse(std::str::from_utf8(email).ok()?).ok()?,
            token_version: TokenVersion::new(u32::from_be_bytes(*version)),
            expires_at: Timestamp::from_seconds(i64::from_be_bytes(*expiry)),
            extra: extra.to_vec(),
        })
    }
}

fn context<'a>(tenant: &'a TenantId, user: &'a UserId) -> [&'a [u8]; 2] {
    [tenant.as_str().as_bytes(), user.as_str().as_bytes()]
}
