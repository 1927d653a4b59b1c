//! The changes that the owner of an account took back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Email, Timestamp, TokenVersion, User};

/// Security changes that the owner of an account declared not to be theirs: spans of token versions. Also the dispute
/// that is open, if another address claims the account.
///
/// The link of a notice reports one change. Using it takes back that change and all that came after it, so the links
/// that report those are dead, while the link of an earlier change still works: whoever took over an account cannot use
/// a later notice to outrank its owner's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recoveries {
    spans: Vec<Recovery>,
    dispute: Option<Box<Dispute>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Recovery {
    from: TokenVersion,
    to: TokenVersion,
    at: Timestamp,
    /// The address that got the account, while the one that lost it can object.
    home: Option<Email>,
}

/// Two addresses claim an account: each took back what the other did. The account is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The address that was verified longest: the account goes back to it.
    pub home: Email,
    /// The other address.
    pub rival: Email,
    /// The version that the first change led to. A second factor from before it decides.
    pub from: TokenVersion,
    /// The version that the dispute, or its last renewal, led to. A row of another one was changed by an operator, who
    /// decides since then.
    pub version: TokenVersion,
    /// The end of the wait; `None` where an operator decides.
    pub until: Option<Timestamp>,
    /// Whether the dispute shut the account. One that an operator shut before stays so.
    pub reopens: bool,
}

impl Dispute {
    /// Whether the account is still as the dispute left it.
    pub fn stands(&self, user: &User) -> bool {
        user.token_version == self.version && !user.is_active()
    }

    fn to_json(&self) -> Value {
        json!({
            "home": self.home.as_str(), "rival": self.rival.as_str(), "from": self.from.get(),
            "version": self.version.get(), "until": self.until.map(Timestamp::micros), "reopens": self.reopens,
        })
    }

    fn read(value: &Value) -> Option<Self> {
        let until = value.get("until")?;
        Some(Self {
            home: email(value.get("home")?)?,
            rival: email(value.get("rival")?)?,
            from: TokenVersion::read(value.get("from")?.as_u64()?)?,
            version: TokenVersion::read(value.get("version")?.as_u64()?)?,
            until: if until.is_null() { None } else { Some(Timestamp::from_micros(until.as_i64()?)) },
            reopens: value.get("reopens")?.as_bool()?,
        })
    }
}

fn email(value: &Value) -> Option<Email> {
    Email::parse(value.as_str()?).ok()
}

impl Recovery {
    fn covers(&self, version: TokenVersion) -> bool {
        version.since(self.from) <= self.to.since(self.from)
    }

    fn to_json(&self) -> Value {
        let (from, to, at) = (self.from.get(), self.to.get(), self.at.micros());
        match &self.home {
            Some(home) => json!([from, to, at, home.as_str()]),
            None => json!([from, to, at]),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let (from, to, at, home) = match value.as_array()?.as_slice() {
            [from, to, at] => (from, to, at, None),
            [from, to, at, home] => (from, to, at, Some(email(home)?)),
            _ => return None,
        };
        Some(Self {
            from: TokenVersion::read(from.as_u64()?)?,
            to: TokenVersion::read(to.as_u64()?)?,
            at: Timestamp::from_micros(at.as_i64()?),
            home,
        })
    }
}

impl Recoveries {
    /// The most spans that are kept; past it the two oldest become one.
    const MAX: usize = 8;

    /// Whether the change that led to `version` was taken back.
    pub fn cover(&self, version: TokenVersion) -> bool {
        self.spans.iter().any(|recovery| recovery.covers(version))
    }

    /// With one more: the changes that led to `from` and to all versions up to `to` are taken back. Forgets those whose
    /// links, which live for `lifetime`, are all over.
    #[must_use]
    pub fn with(&self, from: TokenVersion, to: TokenVersion, at: Timestamp, lifetime: Duration) -> Self {
        let mut span = Recovery { from, to, at, home: None };
        let keep = |old: &&Recovery| at < old.at + lifetime && !(span.covers(old.from) && span.covers(old.to));
        let mut spans: Vec<Recovery> = self.spans.iter().filter(keep).cloned().collect();
        // The address that lost the account by one of those that this one covers can still object.
        span.home = self.spans.iter().filter(|old| span.covers(old.to)).filter_map(|old| old.home.clone()).next_back();
        spans.push(span);
        if spans.len() > Self::MAX {
            let oldest = spans.remove(0);
            spans[0].from = oldest.from;
            spans[0].home = spans[0].home.take().or(oldest.home);
        }
        Self { spans, dispute: self.dispute.clone() }
    }

    /// With the address that the last taking-back moved the account to: the address that lost it can object.
    #[must_use]
    pub fn moved_to(mut self, home: &Email) -> Self {
        if let Some(last) = self.spans.last_mut() {
            last.home = Some(home.clone());
        }
        self
    }

    /// The beginning of the taking-back that led to `version`, or of a later one that covers it, and the address that got the account by it, while the
    /// address that lost the account can object.
    pub fn contestable(&self, version: TokenVersion) -> Option<(TokenVersion, &Email)> {
        let span = self.spans.iter().find(|span| span.covers(version) && span.home.is_some())?;
        Some((span.from, span.home.as_ref()?))
    }

    /// The dispute that is open.
    pub fn dispute(&self) -> Option<&Dispute> {
        self.dispute.as_deref()
    }

    /// With a dispute that opens or goes on. No further taking-back can be objected to.
    #[must_use]
    pub fn disputed(&self, dispute: Dispute) -> Self {
        Self { dispute: Some(Box::new(dispute)), ..self.clone().settled() }
    }

    /// Without a dispute, and without anything to object to.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.dispute = None;
        self.spans.iter_mut().for_each(|span| span.home = None);
        self
    }

    /// Returns JSON for stores. Earlier releases read it, unless a taking-back can be objected to or a dispute is open.
    pub fn to_json(&self) -> Value {
        let spans: Value = self.spans.iter().map(Recovery::to_json).collect();
        match &self.dispute {
            Some(dispute) => json!({ "spans": spans, "dispute": dispute.to_json() }),
            None => spans,
        }
    }

    /// Reads what [`to_json`](Self::to_json) of this and of earlier releases wrote; `None` for anything else.
    pub fn from_json(value: &Value) -> Option<Self> {
        let (spans, dispute) = match value.as_object() {
            Some(parts) if parts.len() == 2 => (parts.get("spans")?, Some(Dispute::read(parts.get("dispute")?)?)),
            Some(_) => return None,
            None => (value, None),
        };
        let spans = spans.as_array()?.iter().map(Recovery::read).collect::<Option<_>>()?;
        Some(Self { spans, dispute: dispute.map(Box::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(72 * 60 * 60);

    fn version(number: u32) -> TokenVersion {
        TokenVersion::new(number)
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_seconds(hours * 60 * 60)
    }

    #[test]
    fn what_came_after_is_taken_back_and_what_came_before_is_not() {
        let recoveries = Recoveries::default().with(version(5), version(9), at(0), LIFETIME);
        let covered: Vec<u32> = (0..20).filter(|number| recoveries.cover(version(*number))).collect();
        assert_eq!(covered, [5, 6, 7, 8, 9]);
    }

    #[test]
    fn an_earlier_change_can_still_be_taken_back() {
        let recoveries = Recoveries::default().with(version(5), version(9), at(0), LIFETIME);
        let recoveries = recoveries.with(version(3), version(10), at(1), LIFETIME);
        assert!((3..=10).all(|number| recoveries.cover(version(number))));
        assert!(!recoveries.cover(version(2)) && !recoveries.cover(version(11)));
        assert_eq!(recoveries.spans.len(), 1, "{recoveries:?}");
    }

    #[test]
    fn versions_that_wrapped_around_are_in_order_too() {
        let recoveries = Recoveries::default().with(version(0x7fff_fffe), version(1), at(0), LIFETIME);
        let covered = [0x7fff_fffd, 0x7fff_fffe, 0x7fff_ffff, 0, 1, 2].map(|number| recoveries.cover(version(number)));
        assert_eq!(covered, [false, true, true, true, true, false]);
    }

    #[test]
    fn spans_are_forgotten_with_their_links_and_never_pile_up() {
        let first = Recoveries::default().with(version(1), version(2), at(0), LIFETIME);
        assert!(first.with(version(5), version(6), at(71), LIFETIME).cover(version(1)));
        assert!(!first.with(version(5), version(6), at(72), LIFETIME).cover(version(1)));
        let many = (0..100).fold(Recoveries::default(), |recoveries, round| {
            recoveries.with(version(round * 10), version(round * 10 + 1), at(0), LIFETIME)
        });
        assert_eq!(many.spans.len(), Recoveries::MAX);
        assert!((0..100).all(|round| many.cover(version(round * 10))), "none used is forgotten");
    }

    #[test]
    fn they_survive_as_json() {
        let recoveries = Recoveries::default().with(version(1), version(2), at(0), LIFETIME);
        let recoveries = recoveries.with(version(u32::MAX), version(0), at(-1), LIFETIME);
        assert_eq!(Recoveries::from_json(&recoveries.to_json()), Some(recoveries.clone()));
        let home = Email::parse("home@example.org").unwrap();
        let contestable = recoveries.clone().moved_to(&home);
        assert_eq!(contestable.contestable(version(0)), Some((version(u32::MAX), &home)));
        assert_eq!(contestable.contestable(version(2)), None, "the one before moved nothing");
        let rival = Email::parse("rival@example.org").unwrap();
        let dispute = |until| Dispute {
            home: home.clone(),
            rival: rival.clone(),
            from: version(1),
            version: version(9),
            until,
            reopens: true,
        };
        let waiting = contestable.disputed(dispute(Some(at(7))));
        assert_eq!(waiting.contestable(version(0)), None);
        for recoveries in [contestable, waiting, recoveries.disputed(dispute(None))] {
            assert_eq!(Recoveries::from_json(&recoveries.to_json()), Some(recoveries));
        }
        for bad in [
            json!({ "spans": [] }),
            json!({ "spans": [], "dispute": {} }),
            json!({ "spans": [], "dispute": dispute(None).to_json(), "more": 1 }),
            json!({}),
            json!([1]),
            json!([[1, 2]]),
            json!([[1, 2, 3, 4]]),
            json!([[-1, 2, 3]]),
            json!([[0x8000_0000_u32, 2, 3]]),
        ] {
            assert_eq!(Recoveries::from_json(&bad), None, "{bad}");
        }
    }
}
