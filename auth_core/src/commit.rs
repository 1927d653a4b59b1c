//! The one write that decides a flow: recorded and announced before it, reported after it, and tried again after a lost
//! race.

use crate::Request;
use crate::error::Error;
use crate::port::{
    Event, MailMatter, MailPurpose, NewUser, Record, RecordId, RecordOutcome, SessionInsert, StoreError, UserChange,
    UserInsert, UserUpdate,
};
use crate::types::{Credential, Email, Payload, Session, SessionId, Timestamp, User, UserId};

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

/// A change of a user row that is about to be committed.
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

    /// A new revision of an unchanged row, which makes every write to the row that was read before it fail.
    pub(crate) fn touch(user: &User) -> Self {
        let write = UserChange { attributes: Some(user.attributes.clone()), ..UserChange::default() };
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

/// A record that has begun. Dropped unsettled, it tells of a call that broke off.
#[must_use]
pub(crate) struct Begun {
    record: RecordId,
    events: Vec<Event>,
}

impl Request<'_> {
    /// Begins the record of a change, which these events will report. The last one names the change.
    pub(crate) async fn begin(&self, subject: Option<UserId>, events: Vec<Event>) -> Result<Begun, Error> {
        let record = Record {
            id: RecordId(self.new_id()?),
            at: self.ports().clock.now(),
            tenant: *self.tenant(),
            address: self.client().address,
            agent: self.client().agent.clone(),
            actor: self.actor().map(Into::into),
            subject,
            events,
        };
        self.ports().audit.begin(&record).await?;
        Ok(Begun { record: record.id, events: record.events })
    }

    /// Reports a change that was made, and settles its record. The event sink learns of it first, because the caller may go
    /// away while the record is settled.
    pub(crate) async fn settle(&self, Begun { record, events }: Begun, outcome: RecordOutcome) {
        if outcome == RecordOutcome::Done {
            for event in events {
                self.record(self.tenant(), event);
            }
        }
        housekeeping(self.ports().audit.settle(record, outcome).await, "settling a record");
    }

    /// Commits a change of this row, if it still has the revision that was read.
    ///
    /// A record of it begins before the write and is settled after it. Its notices are queued before the write, too: after a
    /// crash in between, a notice too many is dropped, while one too few would leave a theft unseen. This node's access
    /// checks, the worker and the event sink learn of it right after the write.
    pub(crate) async fn try_commit(&self, user: &User, change: Change) -> Result<UserUpdate, Error> {
        let begun = match change.events.is_empty() {
            false => Some(self.begin(Some(user.id), change.events).await?),
            true => None,
        };
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
        }
        if let Some(begun) = begun {
            self.settle(begun, outcome).await;
        }
        Ok(update)
    }

    /// Commits a change like [`try_commit`](Self::try_commit); `None` after a lost race.
    pub(crate) async fn commit(&self, user: &User, change: Change) -> Result<Option<User>, Error> {
        Ok(match self.try_commit(user, change).await? {
            UserUpdate::Done(changed) => Some(changed),
            UserUpdate::Stale | UserUpdate::Conflict(_) => None,
        })
    }

    /// Adds an account.
    pub(crate) async fn insert_user(&self, event: Event, new: &NewUser) -> Result<UserInsert, Error> {
        let begun = self.begin(Some(new.id), vec![event]).await?;
        let inserted = self.ports().users.insert(new).await?;
        self.settle(begun, outcome(matches!(inserted, UserInsert::Created(_)))).await;
        Ok(inserted)
    }

    /// Adds an account that lets nobody in until a later change, which is recorded.
    pub(crate) async fn insert_inert_user(&self, new: &NewUser) -> Result<UserInsert, Error> {
        Ok(self.ports().users.insert(new).await?)
    }

    /// Removes an account with its credentials, if its row still has the revision that was read. The row goes first: an
    /// account that comes back at that moment has its second factors.
    pub(crate) async fn remove_user(&self, event: Event, user: &User) -> Result<bool, Error> {
        let begun = self.begin(Some(user.id), vec![event]).await?;
        let removed = self.ports().users.remove_if(user).await?;
        if removed {
            self.remove_credentials_of(user).await;
        }
        self.settle(begun, outcome(removed)).await;
        Ok(removed)
    }

    /// Adds a session.
    pub(crate) async fn insert_session(&self, session: &Session) -> Result<SessionInsert, Error> {
        let event = Event::LoggedIn { user: session.user, session: session.id };
        let begun = self.begin(Some(session.user), vec![event]).await?;
        let inserted = self.ports().sessions.insert(session).await?;
        self.settle(begun, outcome(inserted == SessionInsert::Created)).await;
        Ok(inserted)
    }

    /// Revokes a session: `true` for the one call that did. This node's access checks learn of it in any case.
    pub(crate) async fn revoke_session(&self, event: Event, user: UserId, session: SessionId) -> Result<bool, Error> {
        let clock = self.ports().clock.as_ref();
        let begun = self.begin(Some(user), vec![event]).await?;
        let revoked = self.ports().sessions.revoke(self.tenant(), session, clock.now()).await?;
        self.revocations().session_ended(session, clock);
        self.settle(begun, outcome(revoked)).await;
        Ok(revoked)
    }

    /// Replaces the payload of a credential, if nothing else has meanwhile.
    pub(crate) async fn replace_payload(
        &self,
        event: Event,
        credential: &Credential,
        payload: &Payload,
    ) -> Result<bool, Error> {
        let begun = self.begin(Some(credential.user), vec![event]).await?;
        let replaced = self.ports().credentials.update_if(credential, payload).await?.is_some();
        self.settle(begun, outcome(replaced)).await;
        Ok(replaced)
    }

    /// Does the work of a change, and changes nothing. The event is reported and recorded.
    pub(crate) async fn change_nothing(&self, event: Event, subject: UserId, text: &str) -> Result<(), Error> {
        let begun = self.begin(Some(subject), vec![event]).await?;
        self.ports().users.dummy_write(text).await?;
        self.settle(begun, RecordOutcome::Done).await;
        Ok(())
    }
}

pub(crate) fn outcome(done: bool) -> RecordOutcome {
    if done { RecordOutcome::Done } else { RecordOutcome::Lost }
}
