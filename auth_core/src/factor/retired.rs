//! Second factors that a change took off. Taking the change back puts them on again: until its link has expired, the
//! mailbox alone never leads past a factor that was on before the change.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::commit::housekeeping;
use crate::error::Error;
use crate::policy::Policy;
use crate::port::UserKey;
use crate::types::{
    Credential, CredentialId, EnrolledFactor, FactorKind, Payload, Recoveries, Timestamp, TokenVersion, User,
};
use crate::{AuthSystem, Request};

const VERSION: u16 = 1;
/// Records a round of the worker.
const ROWS: usize = 1000;

/// The kind of a record. It is no factor: no user row lists it, and no code can be of it.
pub(crate) fn kind() -> FactorKind {
    FactorKind("retired_factors".into())
}

/// The record of one change. It is written before the change, and says nothing unless an account got the version that the
/// change leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Retired {
    /// The version that the change leads to.
    until: TokenVersion,
    at: Timestamp,
    /// The factors that it takes off.
    factors: Vec<EnrolledFactor>,
    /// The credential that takes their place.
    by: Option<CredentialId>,
}

impl Retired {
    fn payload(&self) -> Payload {
        let record = json!({
            "until": self.until.get(),
            "at": self.at.micros(),
            "factors": self.factors.iter().map(EnrolledFactor::to_json).collect::<Value>(),
            "by": self.by.map(|id| id.to_string()),
        });
        Payload { version: VERSION, bytes: record.to_string().into_bytes() }
    }

    fn read(payload: &Payload) -> Option<Self> {
        let record: Value = serde_json::from_slice(&payload.bytes).ok().filter(|_| payload.version == VERSION)?;
        let by = match record.get("by")? {
            Value::Null => None,
            id => Some(CredentialId(Uuid::parse_str(id.as_str()?).ok()?)),
        };
        Some(Self {
            until: TokenVersion::read(record.get("until")?.as_u64()?)?,
            at: Timestamp::from_micros(record.get("at")?.as_i64()?),
            factors: record.get("factors")?.as_array()?.iter().map(EnrolledFactor::from_json).collect::<Option<_>>()?,
            by,
        })
    }
}

/// The factors of an account once the changes that `taken_back` covers are taken back: those that were on before them.
pub(crate) fn factors_before(user: &User, taken_back: &Recoveries, retired: &[Retired]) -> Vec<EnrolledFactor> {
    let covered = || retired.iter().filter(|record| taken_back.cover(record.until));
    let came_since = |factor: &EnrolledFactor| {
        taken_back.cover(factor.since) || covered().any(|record| record.by == Some(factor.credential))
    };
    let were_on = covered().flat_map(|record| &record.factors);
    let mut factors: Vec<EnrolledFactor> = Vec::new();
    for factor in user.factors.iter().chain(were_on).filter(|factor| !came_since(factor)) {
        if factors.iter().all(|known| known.credential != factor.credential) {
            factors.push(factor.clone());
        }
    }
    factors
}

impl Request<'_> {
    /// Records the factors that a change of this row is about to take off, and what takes their place.
    pub(crate) async fn retire(
        &self,
        user: &User,
        factors: &[EnrolledFactor],
        by: Option<CredentialId>,
    ) -> Result<(), Error> {
        let at = self.ports().clock.now();
        self.forget_retired(user, at).await?;
        let record = Retired { until: user.token_version.next(), at, factors: factors.to_vec(), by };
        let credential = Credential { payload: record.payload(), ..self.credential(user, kind())? };
        self.ports().credentials.insert(&credential).await?;
        Ok(())
    }

    /// The records of an account.
    ///
    /// # Errors
    /// `unavailable`, also for a record that a newer build wrote: it may name a factor that must come back.
    pub(crate) async fn retired_factors(&self, user: &User) -> Result<Vec<Retired>, Error> {
        let unreadable = || Error::unavailable("a record of retired factors cannot be read");
        let rows = self.ports().credentials.of_user(&user.tenant, &user.id).await?;
        let records = rows.iter().filter(|row| row.kind == kind());
        records.map(|row| Retired::read(&row.payload).ok_or_else(unreadable)).collect()
    }

    /// Whether every credential of these factors is still there.
    pub(crate) async fn credentials_exist(&self, user: &User, factors: &[EnrolledFactor]) -> Result<bool, Error> {
        let rows = self.ports().credentials.of_user(&user.tenant, &user.id).await?;
        let exists = |factor: &EnrolledFactor| rows.iter().any(|row| row.id == factor.credential);
        Ok(factors.iter().all(exists))
    }

    /// Removes records past the life of every link that could take their change back, and the factors that they name.
    async fn forget_retired(&self, user: &User, now: Timestamp) -> Result<(), Error> {
        let life = retired_life(self.policy());
        let credentials = &self.ports().credentials;
        let rows = credentials.of_user(&user.tenant, &user.id).await?;
        let read = |row: &Credential| Some((row.id, Retired::read(&row.payload)?));
        let records: Vec<_> = rows.iter().filter(|row| row.kind == kind()).filter_map(read).collect();
        let (old, recent): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, record)| now.since(record.at) >= life);
        let recent = recent.iter().flat_map(|(_, record)| &record.factors);
        let needed: Vec<_> = user.factors.iter().chain(recent).map(|factor| factor.credential).collect();
        for (id, record) in old {
            let gone = record.factors.iter().map(|factor| factor.credential).filter(|id| !needed.contains(id));
            for id in gone.chain([id]) {
                housekeeping(credentials.remove(&user.tenant, id).await, "removing a credential");
            }
        }
        Ok(())
    }
}

impl AuthSystem {
    /// Removes retired factors, and the records of them, that no link can bring back: up to a thousand records. The worker
    /// calls this.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn purge_retired_factors(&self) -> Result<usize, Error> {
        let (ports, now) = (self.ports(), self.ports().clock.now());
        let rows = ports
            .credentials
            .older_of_kind(&kind(), CredentialId::first_at(now - retired_life(self.policy())), ROWS)
            .await?;
        for row in &rows {
            match ports.users.find(&row.tenant, UserKey::Id(&row.user)).await? {
                Some(user) => self.within(user.tenant).forget_retired(&user, now).await?,
                None => drop(ports.credentials.remove(&row.tenant, row.id).await?),
            }
        }
        Ok(rows.len())
    }
}

/// The time for which a change of factors can be taken back. A notice may wait as long as its link lives, which begins
/// when the mail is sent.
fn retired_life(policy: &Policy) -> Duration {
    policy.not_me_link_lifetime.saturating_mul(2).saturating_add(Duration::from_secs(60 * 60))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::types::{Email, TenantId};

    fn factor(number: u128, since: u32) -> EnrolledFactor {
        let credential = CredentialId(Uuid::from_u128(number));
        EnrolledFactor { credential, kind: FactorKind::totp(), since: TokenVersion::new(since) }
    }

    fn retired(until: u32, factors: &[EnrolledFactor], by: Option<u128>) -> Retired {
        let by = by.map(|number| CredentialId(Uuid::from_u128(number)));
        Retired { until: TokenVersion::new(until), at: Timestamp::from_micros(1), factors: factors.to_vec(), by }
    }

    fn user(factors: &[EnrolledFactor]) -> User {
        let new = crate::port::NewUser {
            tenant: TenantId::default(),
            id: crate::types::UserId::parse("ada").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
            username: None,
            email_verified_at: None,
            claim: crate::types::Claim::Settled,
            password_hash: None,
            token_version: TokenVersion::new(9),
            attributes: crate::types::Attributes::default(),
            created_at: Timestamp::from_micros(0),
        };
        User { factors: factors.to_vec(), ..new.into_user(Timestamp::from_micros(0)) }
    }

    fn since(version: u32) -> Recoveries {
        let (from, to) = (TokenVersion::new(version), TokenVersion::new(10));
        Recoveries::default().with(from, to, Timestamp::from_micros(2), Duration::from_secs(1))
    }

    #[test]
    fn records_survive_as_payloads() {
        for record in [retired(7, &[factor(1, 3), factor(2, 4)], Some(5)), retired(u32::MAX, &[], None)] {
            assert_eq!(Retired::read(&record.payload()), Some(record));
        }
        assert_eq!(Retired::read(&Payload { version: VERSION, bytes: b"{}".to_vec() }), None);
        assert_eq!(Retired::read(&Payload { version: VERSION + 1, ..retired(7, &[], None).payload() }), None);
    }

    #[test]
    fn a_factor_that_was_on_before_the_change_stays_or_comes_back() {
        let [a, b, c] = [factor(1, 3), factor(2, 3), factor(3, 3)];
        // Turned off at version 6 and on again at version 7, with another authenticator.
        let off = [retired(6, slice::from_ref(&a), None)];
        let on_again = user(&[factor(2, 7)]);
        assert_eq!(factors_before(&on_again, &since(5), &off), slice::from_ref(&a));
        assert_eq!(factors_before(&on_again, &since(6), &off), slice::from_ref(&a));
        assert_eq!(factors_before(&on_again, &since(7), &off), []);
        // Replaced at version 6, and once more at version 8.
        let twice = [retired(6, slice::from_ref(&a), Some(2)), retired(8, slice::from_ref(&b), Some(3))];
        let replaced = user(slice::from_ref(&c));
        assert_eq!(factors_before(&replaced, &since(4), &twice), slice::from_ref(&a));
        assert_eq!(factors_before(&replaced, &since(7), &twice), [b]);
        assert_eq!(factors_before(&replaced, &since(9), &twice), slice::from_ref(&c));
        // The record of a change that was never made names factors that are on anyway.
        assert_eq!(factors_before(&user(slice::from_ref(&a)), &since(6), &off), [a]);
    }

    #[test]
    fn a_factor_that_came_with_the_change_goes() {
        let (old, new) = (factor(1, 3), factor(2, 6));
        assert_eq!(factors_before(&user(&[old.clone(), new]), &since(6), &[]), [old]);
    }
}
