//! Secrets that can be guessed: what this repository prints, what tutorials print, and what no random generator makes.

use sha2::{Digest as _, Sha256, Sha512};

/// The shortest root secret, in bytes.
const MIN_SECRET_BYTES: usize = 32;

/// Why a text or some bytes make no root secret. Never shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakSecret {
    /// Neither hexadecimal nor base64.
    #[error("is neither hexadecimal nor base64; make one with `openssl rand -hex 32`")]
    NotEncoded,
    /// Fewer than 32 bytes.
    #[error("has {0} bytes where at least {MIN_SECRET_BYTES} are due; make one with `openssl rand -hex 32`")]
    TooShort(usize),
    /// So few different bytes that no random generator made it.
    #[error("repeats so few bytes that it can be guessed; make one with `openssl rand -hex 32`")]
    Repetitive,
    /// A short sequence of bytes that repeats.
    #[error("repeats the same bytes and can be guessed; make one with `openssl rand -hex 32`")]
    Periodic,
    /// Bytes that count up or down.
    #[error("counts up or down and can be guessed; make one with `openssl rand -hex 32`")]
    Arithmetic,
    /// Words that a person typed.
    #[error("is made of words and can be guessed; make one with `openssl rand -hex 32`")]
    Readable,
    /// Printed in documentation, or the hash of a common word.
    #[error("is printed in public, or is the hash of a common word; make one with `openssl rand -hex 32`")]
    WellKnown,
}

/// The first eight bytes of SHA-256 of each secret that this repository prints. `tests/printed_secrets.rs` looks for
/// others.
const PRINTED: &[u64] = &[
    0x03f6_8e4a_7b95_96e9,
    0x2937_a687_a88e_dea3,
    0x4af5_23c8_20e1_6e1d,
    0x4c6d_6259_b533_cfc4,
    0x6141_9492_2c01_c38a,
    0x69cf_4880_e8bb_e543,
    0x727e_adbf_aa0d_fba9,
    0x744f_eed1_996c_4ab0,
    0x7b06_b4e7_014e_5922,
    0x7d18_40d5_142d_d9cf,
    0x9205_b7f3_5bf6_da93,
    0xa891_baed_b9f1_a733,
    0xb430_1261_57cf_11b1,
    0xb71b_fc3d_ac26_dde1,
    0xb7c1_50d0_66ce_ccff,
    0xbdb8_b318_8641_6f66,
    0xcd25_d409_6436_90cc,
    0xcf8c_c6b4_4aea_77b3,
    0xd54d_65c8_080c_fe95,
    0xd68b_cbd3_32d6_4c5f,
    0xe3d3_a646_9842_4f1e,
    0xf15f_54a2_1edc_bcd1,
    0xf498_03ae_bbdd_f1d0,
    0xf541_0b6f_6eb3_401a,
];

/// Words whose plain hash passes for a secret.
const HASHED_WORDS: &[&str] = &[
    "",
    "a",
    "abc",
    "abc123",
    "admin",
    "administrator",
    "auth",
    "auth-system",
    "authsystem",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "debug",
    "default",
    "demo",
    "dev",
    "development",
    "django",
    "example",
    "foo",
    "foobar",
    "guest",
    "hello",
    "hello world",
    "helloworld",
    "iloveyou",
    "jwt",
    "jwt-secret",
    "jwt_secret",
    "jwtsecret",
    "key",
    "letmein",
    "local",
    "master",
    "my-secret",
    "mysecret",
    "mysecretkey",
    "pass",
    "passw0rd",
    "password",
    "password1",
    "password123",
    "prod",
    "production",
    "qwerty",
    "root",
    "s3cr3t",
    "secret",
    "secret-key",
    "secret_key",
    "secretkey",
    "supersecret",
    "test",
    "test123",
    "testing",
    "token",
    "topsecret",
    "user",
    "welcome",
    "your-secret-key",
    "0",
    "1",
    "123",
    "1234",
    "12345",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "1234567890",
];

/// Words that stand in secrets of tutorials, in lower case. Each has so many letters that a random secret in base64 holds
/// any of them once in about 10^6 draws.
const TYPED_WORDS: &[&str] = &[
    "256bit", "512bit", "abcdef", "change", "default", "develop", "example", "foobar", "letmein", "password", "please",
    "private", "product", "qwerty", "random", "replace", "secret", "signing", "testing", "supers", "123456", "yourkey",
];

/// Refuses bytes that can be guessed.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), WeakSecret> {
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(WeakSecret::TooShort(bytes.len()));
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    // Thirty-two random bytes have fewer than eight different values once in about 10^35 draws.
    if seen.iter().filter(|seen| **seen).count() < 8 {
        return Err(WeakSecret::Repetitive);
    }
    if is_periodic(bytes) {
        return Err(WeakSecret::Periodic);
    }
    if is_arithmetic(bytes) {
        return Err(WeakSecret::Arithmetic);
    }
    if is_readable(bytes) {
        return Err(WeakSecret::Readable);
    }
    if is_well_known(bytes) {
        return Err(WeakSecret::WellKnown);
    }
    Ok(())
}

/// Refuses words that happen to be base64.
pub(super) fn check_base64(text: &str) -> Result<(), WeakSecret> {
    let lower = text.to_ascii_lowercase();
    let letters = |is: fn(&u8) -> bool| text.bytes().filter(is).count() * 5 >= text.len() * 4;
    // Four fifths of one case: of 43 random characters once in about 10^8 draws.
    let words = letters(u8::is_ascii_lowercase) || letters(u8::is_ascii_uppercase) || letters(u8::is_ascii_digit);
    if words || TYPED_WORDS.iter().any(|word| lower.contains(word)) { Err(WeakSecret::Readable) } else { Ok(()) }
}

/// Whether all bytes repeat a start of at most half their number.
fn is_periodic(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|period| bytes[period..].iter().zip(bytes).all(|(later, earlier)| later == earlier))
}

/// Whether three quarters of the bytes differ from the one before by the same step, or from the one two before.
fn is_arithmetic(bytes: &[u8]) -> bool {
    (1..=2).any(|distance| {
        let mut steps = [0_usize; 256];
        let pairs = bytes[distance..].iter().zip(bytes);
        pairs.for_each(|(later, earlier)| steps[usize::from(later.wrapping_sub(*earlier))] += 1);
        steps.iter().any(|count| count * 4 >= (bytes.len() - distance) * 3)
    })
}

/// Whether the bytes are text of any script, or nearly all printable ASCII: of random ones once in about 10^8 draws.
fn is_readable(bytes: &[u8]) -> bool {
    let text = |text: &str| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()).count();
    std::str::from_utf8(bytes).is_ok_and(text) || printable * 8 >= bytes.len() * 7
}

fn is_well_known(bytes: &[u8]) -> bool {
    let hashed = |word: &&str| match bytes.len() {
        32 => Sha256::digest(word).as_slice() == bytes,
        64 => Sha512::digest(word).as_slice() == bytes,
        _ => false,
    };
    PRINTED.contains(&fingerprint(bytes)) || HASHED_WORDS.iter().any(hashed)
}

fn fingerprint(bytes: &[u8]) -> u64 {
    Sha256::digest(bytes).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::RootSecret;
    use super::*;

    fn weakness(text: &str) -> Option<WeakSecret> {
        RootSecret::parse(text).err()
    }

    #[test]
    fn what_can_be_guessed_is_refused_and_told_why() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let counting = |step: u8| hex(&(0..32_u8).map(|index| index.wrapping_mul(step)).collect::<Vec<_>>());
        let phrase = "correct horse battery staple, always the same one";
        for (text, expected) in [
            (String::new(), WeakSecret::TooShort(0)),
            ("change me, please!".into(), WeakSecret::NotEncoded),
            (counting(1)[2..].to_owned(), WeakSecret::TooShort(31)),
            ("ab".repeat(40), WeakSecret::Repetitive),
            ("0123456789abcdef".repeat(4), WeakSecret::Periodic),
            ("1f8b39c7d20a4e65917cc3ab58e0f26d".repeat(2), WeakSecret::Periodic),
            ("your256bitsecret".repeat(3), WeakSecret::Periodic),
            (counting(1), WeakSecret::Arithmetic),
            (counting(255), WeakSecret::Arithmetic),
            (counting(37), WeakSecret::Arithmetic),
            (counting(1).replacen("05", "66", 1), WeakSecret::Arithmetic),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(), WeakSecret::Arithmetic),
            ("ThisIsMySuperSecretKeyForJwtSigningPleaseChange1".into(), WeakSecret::Readable),
            ("mySecretKeymySecretKeyAndSomeMoreOfItForLength12".into(), WeakSecret::Readable),
            ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv".into(), WeakSecret::Readable),
            (hex(phrase.as_bytes()), WeakSecret::Readable),
            (hex("пароль от сервера приложений".as_bytes()), WeakSecret::Readable),
            ("c2VjcmV0LWtleS1mb3ItbXktYXBwbGljYXRpb24tMjAyNg==".into(), WeakSecret::Readable),
            (hex(&Sha256::digest("")), WeakSecret::WellKnown),
            (hex(&Sha256::digest("secret")), WeakSecret::WellKnown),
            (hex(&Sha512::digest("password")), WeakSecret::WellKnown),
        ] {
            assert_eq!(weakness(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_message_shows_the_secret() {
        let text = "ThisIsMySuperSecretKeyForJwtSigningPleaseChange1";
        let shown = weakness(text).map(|weak| format!("{weak} {weak:?}")).unwrap_or_default();
        assert!(!shown.is_empty() && !shown.contains("ThisIs"), "{shown}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn random_secrets_are_taken_in_every_spelling(bytes in proptest::collection::vec(any::<u8>(), 32..80)) {
            use base64::Engine as _;
            prop_assume!(bytes.windows(8).any(|window| window.iter().any(|byte| *byte != window[0])));
            // The generator also makes small and repeated values on purpose.
            prop_assume!(check_bytes(&bytes) != Err(WeakSecret::Repetitive));
            let digest = Sha512::digest(&bytes);
            let hex: String = digest[..32].iter().map(|byte| format!("{byte:02x}")).collect();
            let base64 = base64::engine::general_purpose::STANDARD.encode(&digest[..48]);
            prop_assert_eq!(weakness(&hex), None);
            prop_assert_eq!(weakness(&base64), None);
        }
    }
}
