//! The one write that decides a flow: recorded and announced before it, reported after it, and tried again after a lost
//! race.

use crate::Request;
use crate::error::Error;
use crate::port::{
    Event, MailMatter, MailPurpose, Record, RecordId, RecordOutcome, StoreError, UserChange, UserUpdate,
};
use crate::types::{Email, Timestamp, User};

/// How often a flow starts again after it lost a race. Only a row under constant fire is ever changed so often between a
/// read and a write; then the answer is 503.
const MAX_ATTEMPTS: usize = 16;

/// Runs an attempt until it is won. It is a block that ends with a `Result<Option<T>, Error>`: `None` for a lost race, after
/// which it starts again with what it reads. `return` and `?` leave the attempt.
///
/// Returns the errors of the attempt, and `unavailable` after sixteen lost races. A macro, because the future of a function
/// that takes an async closure is not known to be `Send`.
macro_rules! until_won {
    ($attempt:block) => {{
        let mut attempts = $crate::commit::Attempts::default();
        loop {
            attempts.begin()?;
            let outcome: Result<Option<_>, $crate::error::Error> = async { $attempt }.await;
            if let Some(won) = outcome? {
                break Ok(won);
            }
        }
    }};
}
pub(crate) use until_won;

/// Counts the attempts of [`until_won`].
#[derive(Default)]
pub(crate) struct Attempts(usize);

impl Attempts {
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.0 += 1;
        if self.0 > MAX_ATTEMPTS {
            return Err(Error::unavailable("the row was changed too often meanwhile"));
        }
        Ok(())
    }
}

/// What comes after the write that decided: that it fails must take nothing back.
pub(crate) fn housekeeping<T>(outcome: Result<T, StoreError>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(target: "auth", %error, what, "left undone");
    }
}

/// A change of a user row that is about to be committed. It has an event, or belongs to what another event reports.
pub(crate) struct Change {
    write: UserChange,
    events: Vec<Event>,
    notices: Vec<Notice>,
}

struct Notice {
    purpose: MailPurpose,
    to: Email,
    due: Option<Timestamp>,
}

impl Change {
    /// A change that this event reports.
    pub(crate) fn new(event: Event, write: UserChange) -> Self {
        Self { write, events: vec![event], notices: Vec::new() }
    }

    /// A change that belongs to a larger one, whose flow records it.
    pub(crate) fn part(write: UserChange) -> Self {
        Self { write, events: Vec::new(), notices: Vec::new() }
    }

    /// Reports more events, before the others.
    pub(crate) fn after(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.events.splice(0..0, events);
        self
    }

    /// Announces the change to an address.
    pub(crate) fn notify(mut self, purpose: MailPurpose, to: &Email) -> Self {
        self.notices.push(Notice { purpose, to: to.clone(), due: None });
        self
    }

    /// Announces the change with a mail that is due at a later time.
    pub(crate) fn notify_at(mut self, due: Timestamp, purpose: MailPurpose, to: &Email) -> Self {
        self.notices.push(Notice { purpose, to: to.clone(), due: Some(due) });
        self
    }
}

impl Request<'_> {
    /// Commits a change of this row, if it still has the revision that was read.
    ///
    /// A record of it begins before the write and is settled after it. Its notices are queued before the write, too: after a
    /// crash in between, a notice too many is dropped, while one too few would leave a theft unseen. This node's access
    /// checks, the worker and the event sink learn of it right after the write.
    pub(crate) async fn try_commit(&self, user: &User, change: Change) -> Result<UserUpdate, Error> {
        let record = self.begin_record(user, &change.events).await?;
        let about = Some(MailMatter { user: user.id, token_version: user.token_version.next() });
        for Notice { purpose, to, due } in &change.notices {
            self.enqueue(to, *purpose, about, *due).await?;
        }
        let update = self.ports().users.update_if(user, &change.write).await?;
        // Nothing waits between the write and what this node learns of it: the caller may go away at each wait.
        let mut outcome = RecordOutcome::Lost;
        if let UserUpdate::Done(changed) = &update {
            outcome = RecordOutcome::Done;
            if changed.token_version != user.token_version {
                self.account_changed(changed);
            }
            if !change.notices.is_empty() {
                self.wake_mailer();
            }
            for event in change.events {
                self.record(&user.tenant, event);
            }
        }
        if let Some(record) = record {
            housekeeping(self.ports().audit.settle(record, outcome).await, "settling a record");
        }
        Ok(update)
    }

    /// Begins the record of a change, unless it belongs to a larger one.
    async fn begin_record(&self, user: &User, events: &[Event]) -> Result<Option<RecordId>, Error> {
        if events.is_empty() {
            return Ok(None);
        }
        let record = Record {
            id: RecordId(self.new_id()?),
            at: self.ports().clock.now(),
            tenant: user.tenant,
            subject: user.id,
            address: self.client().address,
            agent: self.client().agent.clone(),
            events: events.to_vec(),
        };
        self.ports().audit.begin(&record).await?;
        Ok(Some(record.id))
    }

    /// Commits a change like [`try_commit`](Self::try_commit); `None` after a lost race.
    pub(crate) async fn commit(&self, user: &User, change: Change) -> Result<Option<User>, Error> {
        Ok(match self.try_commit(user, change).await? {
            UserUpdate::Done(changed) => Some(changed),
            UserUpdate::Stale | UserUpdate::Conflict(_) => None,
        })
    }
}
