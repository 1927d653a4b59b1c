//! An authenticator that is not ours: RFC 6238, written down once more.

/// The code of a secret in base32, at so many seconds since 1970.
pub(crate) fn totp(secret: &str, seconds: i64) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap();
    mac.update(&(seconds / 30).to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}
