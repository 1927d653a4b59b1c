use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{InvalidSetting, common_passwords};
use crate::types::{FieldError, FieldReason, KnownText};
use crate::types::{MAX_PASSWORD_BYTES, Password, Personal};

/// What makes an acceptable password (NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 section 6.2).
///
/// Lengths count Unicode code points after NFC. There are no composition rules, and nothing is trimmed or folded but to
/// compare. Besides the limits:
///
/// * **Too common**: the whole password, whatever its case, is one of about 18,000 that are tried first.
/// * **Too similar**: take away from the password, whatever its case, all that is known of its owner and of the service:
///   the address, its parts, the username, [`service_names`](Self::service_names), each from 3 characters on. Refused if
///   there was something to take away, and neither 4 letters nor 8 characters of any kind are left. A password that is
///   itself a piece of those texts, but for digits and punctuation at its ends, counts as taken away. So Ada Lovelace
///   gets neither `Lovelace1815!` nor `ada.lovelace@work`, but `Lovelace loved engines`.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// The shortest password: 8 to 64. Default 8.
    pub min_chars: usize,
    /// The longest password: 128 to 1024. Default 256. Past 1024 bytes none is accepted, whatever its characters.
    pub max_chars: usize,
    /// Whether digits alone are refused, however many. Default off: the length and the list of common ones decide.
    pub refuse_numeric: bool,
    /// What the service is called, which a password must not resemble. Default none; the facade adds its product's name
    /// and its issuer.
    pub service_names: Vec<String>,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_chars: 8, max_chars: 256, refuse_numeric: false, service_names: Vec::new() }
    }
}

/// Fewer letters than this beside what is known do not make a password...
const OWN_LETTERS: usize = 4;
/// ...unless there are so many characters.
const OWN_CHARS: usize = 8;
/// Shorter texts are part of too many words.
const KNOWN_CHARS: usize = 3;

/// A password that [`PasswordPolicy::accept`] found fit to be set.
#[derive(Debug)]
pub struct NewPassword(Password);

impl NewPassword {
    /// The password.
    pub fn as_password(&self) -> &Password {
        &self.0
    }
}

impl PasswordPolicy {
    /// As the default, with the 15 characters that NIST SP 800-63B-4 asks for where a password is the only factor.
    pub fn nist_800_63b_4() -> Self {
        Self { min_chars: 15, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        if !(8..=64).contains(&self.min_chars) {
            return Err(InvalidSetting::new(
                "password.min_chars",
                format!("{} is not between 8 and 64", self.min_chars),
            ));
        }
        if !(128..=MAX_PASSWORD_BYTES).contains(&self.max_chars) {
            let problem = format!("{} is not between 128 and {MAX_PASSWORD_BYTES}", self.max_chars);
            return Err(InvalidSetting::new("password.max_chars", problem));
        }
        Ok(())
    }

    /// Judges a password that a user wants to set in the named field, by all rules at once. `personal` is what the request
    /// says of its owner.
    ///
    /// Takes the raw text, because one that is too long never becomes a [`Password`].
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn accept(
        &self,
        field: &'static str,
        text: &str,
        personal: Personal<'_>,
    ) -> Result<NewPassword, Vec<FieldError>> {
        let error = |reason| FieldError { field, reason };
        let Ok(password) = Password::new(text) else {
            return Err(vec![error(FieldReason::TooLong(self.max_chars))]);
        };
        let folded = fold(password.expose());
        let chars = password.expose().chars().count();
        let numeric = chars > 0 && password.expose().chars().all(char::is_numeric);
        let findings = [
            (chars > self.max_chars).then_some(FieldReason::TooLong(self.max_chars)),
            self.resembles(&folded, personal).map(FieldReason::PasswordTooSimilar),
            (chars < self.min_chars).then_some(FieldReason::PasswordTooShort(self.min_chars)),
            common_passwords::contains(&folded).then_some(FieldReason::PasswordTooCommon),
            (self.refuse_numeric && numeric).then_some(FieldReason::PasswordNumeric),
        ];
        let errors: Vec<_> = findings.into_iter().flatten().map(error).collect();
        if errors.is_empty() { Ok(NewPassword(password)) } else { Err(errors) }
    }

    /// Compares an accepted password with what is known of its owner. Every flow that sets a password asks this once it
    /// knows the owner, and then the application's own [`PasswordCheck`](crate::port::PasswordCheck).
    pub(crate) fn is_like(&self, password: &NewPassword, personal: Personal<'_>) -> Option<KnownText> {
        self.resembles(&fold(password.0.expose()), personal)
    }

    /// The first of the known texts that is in a folded password with too little besides, if any.
    fn resembles(&self, password: &str, personal: Personal<'_>) -> Option<KnownText> {
        let email = personal.email.into_iter().flat_map(|email| [email.as_str(), email.local_part()]);
        let names: Vec<_> = self.service_names.iter().map(|name| fold(name)).collect();
        let texts = email.map(|text| (KnownText::Email, text));
        let texts = texts.chain(personal.username.map(|name| (KnownText::Username, name.as_str())));
        let texts = texts.chain(names.iter().map(|name| (KnownText::ServiceName, name.as_str())));

        let core = password.trim_matches(|c: char| !c.is_alphabetic());
        let mut taken = vec![false; password.len()];
        let mut first = None;
        for (what, text) in texts {
            let parts = text.split(|c: char| !c.is_alphanumeric());
            let piece = Some(core).filter(|core| text.contains(core));
            for part in parts.chain([text]).chain(piece).filter(|part| part.chars().count() >= KNOWN_CHARS) {
                for (at, found) in password.match_indices(part) {
                    taken[at..at + found.len()].fill(true);
                    first.get_or_insert(what);
                }
            }
        }
        let own = password.char_indices().filter(|(at, _)| !taken[*at]).map(|(_, c)| c);
        let (letters, others): (Vec<_>, Vec<_>) = own.map(char::is_alphabetic).partition(|letter| *letter);
        first.filter(|_| letters.len() < OWN_LETTERS && letters.len() + others.len() < OWN_CHARS)
    }
}

/// The form in which passwords are compared with what is known: NFC and lower case.
pub(super) fn fold(text: &str) -> Zeroizing<String> {
    let lower = Zeroizing::new(text.to_lowercase());
    Zeroizing::new(lower.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Email, Username};

    fn judge(policy: &PasswordPolicy, text: &str, personal: Personal<'_>) -> Vec<FieldReason> {
        let errors = policy.accept("password", text, personal).err().unwrap_or_default();
        errors.into_iter().map(|error| error.reason).collect()
    }

    fn reasons(text: &str) -> Vec<FieldReason> {
        judge(&PasswordPolicy::default(), text, Personal::default())
    }

    #[test]
    fn a_password_is_told_all_that_is_wrong_with_it() {
        assert_eq!(reasons("1234"), [FieldReason::PasswordTooShort(8)]);
        assert_eq!(reasons("short"), [FieldReason::PasswordTooShort(8)]);
        assert_eq!(reasons(""), [FieldReason::PasswordTooShort(8)]);
        assert_eq!(reasons(&"x".repeat(257)), [FieldReason::TooLong(256)]);
        assert_eq!(reasons(&"x".repeat(2000)), [FieldReason::TooLong(256)]);
        assert_eq!(reasons("a good long one"), []);
        // Eight code points, whatever their bytes.
        assert_eq!(reasons("пароль-х"), []);
        let strict = PasswordPolicy { refuse_numeric: true, ..PasswordPolicy::nist_800_63b_4() };
        let expected =
            [FieldReason::PasswordTooShort(15), FieldReason::PasswordTooCommon, FieldReason::PasswordNumeric];
        assert_eq!(judge(&strict, "123456789", Personal::default()), expected);
    }

    #[test]
    fn a_common_password_is_refused_in_any_case_and_as_a_whole_only() {
        for common in ["password", "PASSWORD", "PassWord1", "QWERTYUIOP", "СОЛНЫШКО"] {
            assert_eq!(reasons(common), [FieldReason::PasswordTooCommon], "{common}");
        }
        for other in ["password of mine", " password", "mypasswordpassword", "84736251940"] {
            assert_eq!(reasons(other), [], "{other}");
        }
    }

    #[test]
    fn a_password_that_others_could_put_together_is_too_similar() -> Result<(), Box<dyn std::error::Error>> {
        let (email, username) = (Email::parse("ada.lovelace@engines.example")?, Username::parse("countess_ada")?);
        let policy = PasswordPolicy { service_names: vec!["Analytical Shop".into()], ..PasswordPolicy::default() };
        let personal = Personal { email: Some(&email), username: Some(&username) };
        let judge = |text: &str| judge(&policy, text, personal);
        for (text, what) in [
            ("ada.lovelace@engines.example", KnownText::Email),
            ("Ada.Lovelace", KnownText::Email),
            ("LOVELACE", KnownText::Email),
            ("lovelace1815!", KnownText::Email),
            ("adalovelace", KnownText::Email),
            ("2026-ada-lovelace", KnownText::Email),
            ("ada12345", KnownText::Email),
            ("AdaAdaAda", KnownText::Email),
            ("engines.example", KnownText::Email),
            ("lovela99", KnownText::Email),
            ("Countess1", KnownText::Username),
            ("1countess_1", KnownText::Username),
            ("analytical", KnownText::ServiceName),
            ("Analytical-Shop7", KnownText::ServiceName),
            ("shop_analytical", KnownText::ServiceName),
        ] {
            assert_eq!(judge(text), [FieldReason::PasswordTooSimilar(what)], "{text}");
        }
        for text in [
            "Lovelace loved engines",
            "shop till you drop",
            "canada is wide",
            "ada 8472 9913 5520",
            "correct horse battery",
            "adamant-walrus",
        ] {
            assert_eq!(judge(text), [], "{text}");
        }
        // Of all that is similar the first is told, and whatever else is wrong.
        assert_eq!(judge("ada"), [FieldReason::PasswordTooSimilar(KnownText::Email), FieldReason::PasswordTooShort(8)]);
        Ok(())
    }

    #[test]
    fn short_texts_are_known_to_nobody() -> Result<(), Box<dyn std::error::Error>> {
        let email = Email::parse("an@x.io")?;
        let personal = Personal { email: Some(&email), username: None };
        let policy = PasswordPolicy { service_names: vec![String::new(), "-".into()], ..PasswordPolicy::default() };
        assert_eq!(judge(&policy, "banan-42", personal), []);
        assert_eq!(judge(&policy, "an@x.io1", personal), [FieldReason::PasswordTooSimilar(KnownText::Email)]);
        Ok(())
    }
}
