//! The compact form (RFC 7515 section 3.1) with our one constant header per key, compared as bytes. `alg`, `kid`, `jku`
//! and their like are therefore never interpreted (RFC 8725 section 3.1).

use std::mem::MaybeUninit;

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};

use super::TokenError;
use super::jwt_key::JwtKey;
use super::ring::{TokenKey, TokenRing};
use crate::port::SignerError;
use crate::types::Token;

/// Longer tokens are refused unread. Ours stay below: two names of 200 bytes, two ids of 64, and about 400 of the rest.
pub(super) const MAX_TOKEN_BYTES: usize = 2048;
/// The longest payload that fits such a token.
const MAX_PAYLOAD_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;
/// Where a payload is decoded to.
pub(super) type Buffer = [MaybeUninit<u8>; MAX_PAYLOAD_BYTES];

/// Room for any payload, not zeroed.
pub(super) const fn buffer() -> Buffer {
    [MaybeUninit::uninit(); MAX_PAYLOAD_BYTES]
}

/// Which of a ring's keys a kind of token uses.
pub(super) type Select = fn(&TokenKey) -> &JwtKey;

/// Signs a payload with the ring's signing key.
pub(super) fn sign(ring: &TokenRing, select: Select, payload: &str) -> Result<Token, SignerError> {
    let mut token = String::with_capacity(MAX_TOKEN_BYTES);
    select(ring.signing()).sign(payload, &mut token)?;
    Ok(Token::new(token))
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
    let mut keys = ring.accepted().map(select);
    let key = keys.find(|key| key.begins(token)).ok_or(TokenError::Invalid)?;
    let payload = key.open(token).ok_or(TokenError::Invalid)?;
    match URL_SAFE_NO_PAD.decode(payload.as_bytes(), buffer.as_mut_slice().as_out()) {
        Ok(payload) => Ok(payload),
        Err(_) => Err(TokenError::Invalid),
    }
}
