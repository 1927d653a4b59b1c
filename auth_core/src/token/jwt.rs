//! The compact form (RFC 7515 section 3.1) with our one constant header per key, compared as bytes. `alg`, `kid`, `jku`
//! and their like are therefore never interpreted (RFC 8725 section 3.1).

use std::mem::MaybeUninit;

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};
use constant_time_eq::constant_time_eq_32;
use hmac::Hmac;
use sha2::Sha256;

use super::TokenError;
use super::ring::{TokenKey, TokenRing};
use super::secret::mac;
use crate::types::Token;

/// Longer tokens are refused unread. Ours stay below: two names of 200 bytes, two ids of 64, and about 400 of the rest.
pub(super) const MAX_TOKEN_BYTES: usize = 2048;
/// The longest payload that fits such a token.
const MAX_PAYLOAD_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;
/// A signature: 32 bytes in base64url.
const SIGNATURE_CHARS: usize = 43;

/// Where a payload is decoded to.
pub(super) type Buffer = [MaybeUninit<u8>; MAX_PAYLOAD_BYTES];

/// Room for any payload, not zeroed.
pub(super) const fn buffer() -> Buffer {
    [MaybeUninit::uninit(); MAX_PAYLOAD_BYTES]
}

/// Which of a key's HMACs a kind of token uses.
pub(super) type Select = fn(&TokenKey) -> &Hmac<Sha256>;

/// Signs a payload with the ring's signing key.
pub(super) fn sign(ring: &TokenRing, select: Select, payload: &str) -> Token {
    let key = ring.signing();
    let mut token = String::with_capacity(MAX_TOKEN_BYTES);
    token.push_str(&key.header);
    URL_SAFE_NO_PAD.encode_append(payload, &mut token);
    let signature = mac(select(key), &[token.as_bytes()]);
    token.push('.');
    URL_SAFE_NO_PAD.encode_append(signature, &mut token);
    Token::new(token)
}

/// Checks a token's form and signature and decodes its payload into `buffer`.
pub(super) fn open<'b>(
    ring: &TokenRing,
    select: Select,
    token: &str,
    buffer: &'b mut Buffer,
) -> Result<&'b [u8], TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid);
    }
    let key = ring.accepted().find(|key| token.starts_with(&*key.header)).ok_or(TokenError::Invalid)?;
    let (signed, signature) = split(token).ok_or(TokenError::Invalid)?;
    let payload = signed.get(key.header.len()..).ok_or(TokenError::Invalid)?;
    let mut claimed = [0; 32];
    let decoded = URL_SAFE_NO_PAD.decode(signature.as_bytes(), claimed.as_mut_slice().as_out());
    if decoded.is_err() || !constant_time_eq_32(&mac(select(key), &[signed.as_bytes()]), &claimed) {
        return Err(TokenError::Invalid);
    }
    match URL_SAFE_NO_PAD.decode(payload.as_bytes(), buffer.as_mut_slice().as_out()) {
        Ok(payload) => Ok(payload),
        Err(_) => Err(TokenError::Invalid),
    }
}

/// The signed part and the signature, whose length is known.
fn split(token: &str) -> Option<(&str, &str)> {
    let (signed, signature) = token.split_at_checked(token.len().checked_sub(SIGNATURE_CHARS + 1)?)?;
    Some((signed, signature.strip_prefix('.')?))
}
