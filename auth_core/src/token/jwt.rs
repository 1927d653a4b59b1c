//! The compact form (RFC 7515 section 3.1) with our one constant header per key, compared as bytes. `alg`, `kid`, `jku`
//! and their like are therefore never interpreted (RFC 8725 section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq_32;
use hmac::Hmac;
use sha2::Sha256;

use super::TokenError;
use super::ring::{TokenKey, TokenRing, mac};
use crate::types::Token;

/// Longer tokens are refused unread. Ours stay below: two names of 200 bytes, two ids of 64, and about 400 of the rest.
pub(super) const MAX_TOKEN_BYTES: usize = 2048;
/// The longest payload that fits such a token.
pub(super) const MAX_PAYLOAD_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;
/// A signature: 32 bytes in base64url.
const SIGNATURE_CHARS: usize = 43;

/// Which of a key's HMACs a kind of token uses.
pub(super) type Select = fn(&TokenKey) -> &Hmac<Sha256>;

/// Signs a payload with the ring's signing key.
pub(super) fn sign(ring: &TokenRing, select: Select, payload: &str) -> Token {
    let key = ring.signing();
    let mut token = String::with_capacity(MAX_TOKEN_BYTES);
    token.push_str(&key.header);
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = mac(select(key), &[token.as_bytes()]);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Token::new(token)
}

/// Checks a token's form and signature and decodes its payload into `buffer`.
pub(super) fn open<'b>(
    ring: &TokenRing,
    select: Select,
    token: &str,
    buffer: &'b mut [u8; MAX_PAYLOAD_BYTES],
) -> Result<&'b [u8], TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid);
    }
    let key = ring.accepted().find(|key| token.starts_with(&*key.header)).ok_or(TokenError::Invalid)?;
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
    let payload = signed.get(key.header.len()..).ok_or(TokenError::Invalid)?;
    let mut claimed = [0; 32];
    if signature.len() != SIGNATURE_CHARS || URL_SAFE_NO_PAD.decode_slice(signature, &mut claimed) != Ok(32) {
        return Err(TokenError::Invalid);
    }
    if !constant_time_eq_32(&mac(select(key), &[signed.as_bytes()]), &claimed) {
        return Err(TokenError::Invalid);
    }
    let length = URL_SAFE_NO_PAD.decode_slice(payload, buffer).map_err(|_| TokenError::Invalid)?;
    buffer.get(..length).ok_or(TokenError::Invalid)
}
