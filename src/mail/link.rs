//! The links in mails, and their lifetime in words.

use std::fmt;
use std::time::Duration;

use auth_core::port::{LinkPage, MailPurpose};
use auth_core::types::Timestamp;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Uri;

use super::SetupError;

/// The address of the front-end, without a slash at the end.
#[derive(Clone, Debug)]
pub(super) struct FrontEnd(String);

impl FrontEnd {
    pub(super) fn parse(url: &str) -> Result<Self, SetupError> {
        let refuse = || SetupError::new("the front-end's address must be http(s)://HOST[:PORT][/PATH] in ASCII");
        let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"'<>\\`".contains(&b));
        let uri = url.parse::<Uri>().map_err(|_| refuse())?;
        let web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
        if plain && web { Ok(Self(url.trim_end_matches('/').to_owned())) } else { Err(refuse()) }
    }

    /// The front-end's start page.
    pub(super) fn home(&self) -> &str {
        &self.0
    }

    /// The page at `path`, told who comes and with which proof.
    pub(super) fn link(&self, path: &str, user: &str, token: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("uid", &BASE64_URL_SAFE_NO_PAD.encode(user))
            .append_pair("token", token)
            .finish();
        format!("{}{path}?{query}", self.0)
    }

    /// The page that says "this was not me", told as well which mail has the link. What the link does follows from its
    /// token alone: the mail's name only lets the page choose its words.
    pub(super) fn not_me(&self, mail: MailPurpose, user: &str, token: &str) -> String {
        format!("{}&kind={}", self.link(NOT_ME, user, token), mail.as_str())
    }

    /// The link of a mail. `None` for a mail without a token.
    pub(super) fn link_of(&self, mail: MailPurpose, user: &str, token: &str) -> Option<String> {
        path(mail)
            .map(|path| if path == NOT_ME { self.not_me(mail, user, token) } else { self.link(path, user, token) })
    }
}

/// Where the link leads that says "this was not me".
const NOT_ME: &str = "/not-me";

/// Where the link of a mail leads. `None` for a mail without a token.
fn path(purpose: MailPurpose) -> Option<&'static str> {
    match purpose.page()? {
        LinkPage::VerifyAccount => Some("/verify-account"),
        LinkPage::SetPassword => Some("/password-reset-confirm"),
        LinkPage::ChangeEmail => Some("/verify-email-change"),
        LinkPage::NotMe => Some(NOT_ME),
        _ => None,
    }
}

/// A moment in every language: `2026-01-31 18:05 UTC`.
pub(super) fn moment(time: Timestamp) -> String {
    let (days, minutes) = (time.seconds().div_euclid(86_400), time.seconds().rem_euclid(86_400) / 60);
    // The calendar repeats every 400 years. Counted from March, the leap day is the last day of a year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// A lifetime as people say it, in the largest unit of which it has two; never longer than it is.
pub(super) struct Lifetime {
    pub(super) count: u64,
    pub(super) unit: &'static str,
}

impl From<Duration> for Lifetime {
    fn from(duration: Duration) -> Self {
        const HOUR: u64 = 60;
        const DAY: u64 = 24 * HOUR;
        let minutes = (duration.as_secs() / 60).max(1);
        let (count, unit) = match minutes {
            _ if minutes >= 2 * DAY => (minutes / DAY, "day"),
            _ if minutes >= 2 * HOUR => (minutes / HOUR, "hour"),
            _ => (minutes, "minute"),
        };
        Self { count, unit }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.count, self.unit, if self.count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_end_is_a_plain_web_address() {
        for good in ["https://app.example.org", "http://127.0.0.1:3000/", "https://example.org/app//"] {
            let home = FrontEnd::parse(good).map(|front_end| front_end.home().to_owned());
            assert_eq!(home.ok().as_deref(), Some(good.trim_end_matches('/')), "{good}");
        }
        for bad in [
            "",
            "app.example.org",
            "//app.example.org",
            "ftp://app.example.org",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://app.example.org?a=b",
            "https://app.example.org#a",
            "https://app.example.org/\"><b>",
            "https://app.example.org/\r\nBcc: x",
            "https://bücher.example",
        ] {
            assert!(FrontEnd::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_are_encoded() -> Result<(), SetupError> {
        let front_end = FrontEnd::parse("https://example.org/app/")?;
        // base64url of `4>?2`: with the standard alphabet it would have `+` or `/`; `=` never appears.
        assert_eq!(
            front_end.link("/verify-account", "4>?2", "a&b=c d/é"),
            "https://example.org/app/verify-account?uid=ND4_Mg&token=a%26b%3Dc+d%2F%C3%A9"
        );
        Ok(())
    }

    #[test]
    fn only_a_not_me_link_names_its_mail() -> Result<(), SetupError> {
        let front_end = FrontEnd::parse("https://example.org")?;
        assert_eq!(
            front_end.link_of(MailPurpose::EmailChanged, "1", "t").as_deref(),
            Some("https://example.org/not-me?uid=MQ&token=t&kind=email_changed")
        );
        assert_eq!(
            front_end.link_of(MailPurpose::VerifyEmail, "1", "t").as_deref(),
            Some("https://example.org/verify-account?uid=MQ&token=t")
        );
        assert_eq!(front_end.link_of(MailPurpose::AccountExists, "1", "t"), None);
        Ok(())
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, words) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(moment(Timestamp::from_seconds(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn lifetimes_read_well_and_never_promise_too_much() {
        for (seconds, words) in [
            (0, "1 minute"),
            (119, "1 minute"),
            (300, "5 minutes"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (86_400, "24 hours"),
            (172_799, "47 hours"),
            (259_200, "3 days"),
            (300_000, "3 days"),
        ] {
            assert_eq!(Lifetime::from(Duration::from_secs(seconds)).to_string(), words, "{seconds}");
        }
    }
}
