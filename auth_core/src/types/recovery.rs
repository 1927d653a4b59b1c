//! The changes that the owner of an account took back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Email, Timestamp, TokenVersion};

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
    contest: Option<Contest>,
}

/// An objection to a taking-back that is still possible.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contest {
    /// The address that got the account.
    home: Email,
    /// The only address that may object, or `None` for each address that lost the account by the span.
    by: Option<Email>,
}

/// Two addresses claim an account: each took back what the other did. The account is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The address that was verified longest: the account goes back to it.
    pub home: Email,
    /// The other address.
    pub rival: Email,
    /// Further addresses that lost the account by the dispute, or while it was open. A code decides for them, too.
    pub displaced: Vec<Email>,
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
    /// The most displaced addresses that are kept. The oldest one is dropped for a further one.
    const MAX_DISPLACED: usize = 8;

    /// Returns all addresses that claim the account.
    pub fn claimants(&self) -> impl Iterator<Item = &Email> {
        [&self.home, &self.rival].into_iter().chain(&self.displaced)
    }

    /// Returns the dispute after the account went to another home. The former home is displaced.
    #[must_use]
    pub fn moved_to(&self, home: &Email) -> Self {
        let rival = if *home == self.rival { &self.home } else { &self.rival };
        let others = self.displaced.iter().chain([&self.home]).filter(|it| *it != home && *it != rival);
        let mut displaced: Vec<Email> = others.cloned().collect();
        displaced.drain(..displaced.len().saturating_sub(Self::MAX_DISPLACED));
        Self { home: home.clone(), rival: rival.clone(), displaced, ..self.clone() }
    }

    fn to_json(&self) -> Value {
        let displaced: Value = self.displaced.iter().map(Email::as_str).collect();
        json!({
            "home": self.home.as_str(), "rival": self.rival.as_str(), "from": self.from.get(),
            "version": self.version.get(), "until": self.until.map(Timestamp::micros), "reopens": self.reopens,
            "displaced": displaced,
        })
    }

    fn read(value: &Value) -> Option<Self> {
        let until = value.get("until")?;
        let displaced = match value.get("displaced") {
            Some(displaced) => displaced.as_array()?.iter().map(email).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Self {
            displaced,
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
        match &self.contest {
            Some(Contest { home, by: Some(by) }) => json!([from, to, at, home.as_str(), by.as_str()]),
            Some(Contest { home, by: None }) => json!([from, to, at, home.as_str()]),
            None => json!([from, to, at]),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let (from, to, at, contest) = match value.as_array()?.as_slice() {
            [from, to, at] => (from, to, at, None),
            [from, to, at, home] => (from, to, at, Some(Contest { home: email(home)?, by: None })),
            [from, to, at, home, by] => (from, to, at, Some(Contest { home: email(home)?, by: Some(email(by)?) })),
            _ => return None,
        };
        Some(Self {
            from: TokenVersion::read(from.as_u64()?)?,
            to: TokenVersion::read(to.as_u64()?)?,
            at: Timestamp::from_micros(at.as_i64()?),
            contest,
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
        let mut span = Recovery { from, to, at, contest: None };
        let keep = |old: &&Recovery| at < old.at + lifetime && !(span.covers(old.from) && span.covers(old.to));
        let mut spans: Vec<Recovery> = self.spans.iter().filter(keep).cloned().collect();
        // The address that lost the account by one of those that this one covers can still object.
        let covered = self.spans.iter().filter(|old| span.covers(old.to));
        span.contest = covered.filter_map(|old| old.contest.clone()).next_back();
        spans.push(span);
        if spans.len() > Self::MAX {
            let oldest = spans.remove(0);
            spans[0].from = oldest.from;
            spans[0].contest = spans[0].contest.take().or(oldest.contest);
        }
        Self { spans, dispute: self.dispute.clone() }
    }

    /// With the address that the last taking-back moved the account to: the address that lost it can object.
    #[must_use]
    pub fn moved_to(self, home: &Email) -> Self {
        self.contestable_by(home, None)
    }

    /// With the address that the last taking-back moved the account to, and the only one that can object to that.
    #[must_use]
    pub fn moved_from(self, by: &Email, home: &Email) -> Self {
        self.contestable_by(home, Some(by.clone()))
    }

    fn contestable_by(mut self, home: &Email, by: Option<Email>) -> Self {
        if let Some(last) = self.spans.last_mut() {
            last.contest = Some(Contest { home: home.clone(), by });
        }
        self
    }

    /// Returns the taking-back that led to `version`, or a later one that covers it, if the address `by` can object to it:
    /// the version where it begins, and the address that got the account.
    pub fn contestable(&self, version: TokenVersion, by: &Email) -> Option<(TokenVersion, &Email)> {
        let span = self.spans.iter().find(|span| span.covers(version) && span.contest.is_some())?;
        let contest = span.contest.as_ref().filter(|contest| contest.by.as_ref().is_none_or(|only| only == by))?;
        Some((span.from, &contest.home))
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
        self.spans.iter_mut().for_each(|span| span.contest = None);
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
        let rival = Email::parse("rival@example.org").unwrap();
        assert_eq!(contestable.contestable(version(0), &rival), Some((version(u32::MAX), &home)));
        assert_eq!(contestable.contestable(version(2), &rival), None, "the one before moved nothing");
        let third = Email::parse("third@example.org").unwrap();
        let by_third = recoveries.clone().moved_from(&third, &home);
        assert_eq!(by_third.contestable(version(0), &third), Some((version(u32::MAX), &home)));
        assert_eq!(by_third.contestable(version(0), &rival), None);
        let dispute = |until| Dispute {
            home: home.clone(),
            rival: rival.clone(),
            displaced: vec![third.clone()],
            from: version(1),
            version: version(9),
            until,
            reopens: true,
        };
        let waiting = contestable.disputed(dispute(Some(at(7))));
        assert_eq!(waiting.contestable(version(0), &rival), None);
        for recoveries in [contestable, by_third, waiting, recoveries.disputed(dispute(None))] {
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
            json!([[1, 2, 3, "home@example.org", 5]]),
            json!([[1, 2, 3, "home@example.org", "third@example.org", 6]]),
            json!([[-1, 2, 3]]),
            json!([[0x8000_0000_u32, 2, 3]]),
        ] {
            assert_eq!(Recoveries::from_json(&bad), None, "{bad}");
        }
    }

    #[test]
    fn dispute_that_moves_keeps_every_claimant() {
        let email = |name: &str| Email::parse(&format!("{name}@example.org")).unwrap();
        let dispute = Dispute {
            home: email("a"),
            rival: email("b"),
            displaced: vec![email("c")],
            from: version(1),
            version: version(9),
            until: None,
            reopens: true,
        };
        for (home, rival, displaced) in
            [("a", "b", vec!["c"]), ("b", "a", vec!["c"]), ("c", "b", vec!["a"]), ("d", "b", vec!["c", "a"])]
        {
            let moved = dispute.moved_to(&email(home));
            assert_eq!((&moved.home, &moved.rival), (&email(home), &email(rival)), "to {home}");
            assert_eq!(moved.displaced, displaced.into_iter().map(email).collect::<Vec<_>>(), "to {home}");
        }
        let moves = (0..20).map(|number| email(&format!("home{number}")));
        let last = moves.fold(dispute.clone(), |dispute, home| dispute.moved_to(&home));
        assert_eq!(last.displaced, (11..19).map(|number| email(&format!("home{number}"))).collect::<Vec<_>>());
        let mut old = dispute.to_json();
        old.as_object_mut().unwrap().remove("displaced");
        assert_eq!(Dispute::read(&old), Some(Dispute { displaced: Vec::new(), ..dispute }));
    }
}
