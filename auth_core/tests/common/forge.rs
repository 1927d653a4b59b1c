//! What an attacker who got hold of a root secret could sign. It follows the documented format, not the crate's code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret_bytes;

/// The header of all JWTs under [`secret`](super::secret)`(1)`.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"CP0i8Z4N"}"#;

/// A JWT with any header and payload, rightly signed by the key of `secret(1)` for `purpose`.
pub(crate) fn jwt(purpose: &str, header: &str, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = mac(&key(1, purpose), signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

pub(crate) fn key(number: u8, purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let info = format!("auth-system/1/{purpose}");
    Hkdf::<Sha256>::new(None, &secret_bytes(number)).expand(info.as_bytes(), &mut key).unwrap();
    key
}

pub(crate) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}
