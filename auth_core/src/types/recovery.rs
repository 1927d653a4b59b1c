//! What the owner of an account took back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Timestamp, TokenVersion};

/// Security changes that the owner of an account declared not to be theirs: spans of token versions.
///
/// The link of a notice reports one change. Using it takes back that change and all that came after it, so the links
/// that report those are dead, while the link of an earlier change still works: whoever took over an account cannot use
/// a later notice to outrank its owner's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recoveries(Vec<Recovery>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recovery {
    from: TokenVersion,
    to: TokenVersion,
    at: Timestamp,
}

impl Recovery {
    fn covers(&self, version: TokenVersion) -> bool {
        version.since(self.from) <= self.to.since(self.from)
    }

    fn read(value: &Value) -> Option<Self> {
        let [from, to, at] = value.as_array()?.as_slice() else { return None };
        Some(Self {
            from: TokenVersion::read(from.as_u64()?)?,
            to: TokenVersion::read(to.as_u64()?)?,
            at: Timestamp::from_micros(at.as_i64()?),
        })
    }
}

impl Recoveries {
    /// The most spans that are kept; past it the two oldest become one.
    const MAX: usize = 8;

    /// Whether the change that led to `version` was taken back.
    pub fn cover(&self, version: TokenVersion) -> bool {
        self.0.iter().any(|recovery| recovery.covers(version))
    }

    /// With one more: the changes that led to `from` and to all versions up to `to` are taken back. Forgets those whose
    /// links, which live for `lifetime`, are all over.
    #[must_use]
    pub fn with(&self, from: TokenVersion, to: TokenVersion, at: Timestamp, lifetime: Duration) -> Self {
        let span = Recovery { from, to, at };
        let keep = |old: &&Recovery| at < old.at + lifetime && !(span.covers(old.from) && span.covers(old.to));
        let mut spans: Vec<Recovery> = self.0.iter().filter(keep).copied().collect();
        spans.push(span);
        if spans.len() > Self::MAX {
            let oldest = spans.remove(0);
            spans[0] = Recovery { from: oldest.from, ..spans[0] };
        }
        Self(spans)
    }

    /// As JSON, for stores.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|it| json!([it.from.get(), it.to.get(), it.at.micros()])).collect()
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` for anything else.
    pub fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(Recovery::read).collect::<Option<_>>().map(Self)
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
        assert_eq!(recoveries.0.len(), 1, "{recoveries:?}");
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
        assert_eq!(many.0.len(), Recoveries::MAX);
        assert!((0..100).all(|round| many.cover(version(round * 10))), "none used is forgotten");
    }

    #[test]
    fn they_survive_as_json() {
        let recoveries = Recoveries::default().with(version(1), version(2), at(0), LIFETIME);
        let recoveries = recoveries.with(version(u32::MAX), version(0), at(-1), LIFETIME);
        assert_eq!(Recoveries::from_json(&recoveries.to_json()), Some(recoveries));
        for bad in [
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
