use std::net::IpAddr;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Event, StoreError};
use crate::types::{TenantId, Timestamp, UserId};

/// Keeps a record of each change, from before the change is made: of an account, a session or a set of backup codes.
///
/// A refresh has no record, because the session stays. The use of a code is covered by the record of the session or the change
/// that it leads to.
///
/// A record begins before the write that decides, and is settled after it. One that stays unsettled tells of a call that
/// broke off: its change may have been made.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Keeps a record of a change that is about to be made. The change is not made if this fails, and the caller gets
    /// `unavailable`.
    ///
    /// # Errors
    /// [`StoreError`] when the record cannot be kept.
    async fn begin(&self, record: &Record) -> Result<(), StoreError>;

    /// Notes what came of a change. A failure is logged, and takes nothing back.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be kept.
    async fn settle(&self, record: RecordId, outcome: RecordOutcome) -> Result<(), StoreError>;
}

/// Names a record: a UUIDv7 (RFC 9562 section 5.7), so records sort by their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub Uuid);

/// A change of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The id.
    pub id: RecordId,
    /// When it began.
    pub at: Timestamp,
    /// The account's tenant.
    pub tenant: TenantId,
    /// The account; `None` for a change that concerns none in particular.
    pub subject: Option<UserId>,
    /// The name of the operator or job that acts; `None` where the client acts for itself.
    pub actor: Option<Box<str>>,
    /// The address of the client that asks for the change, where it is known.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of that client.
    pub agent: Option<String>,
    /// At least one event; the change is named after the last one.
    pub events: Vec<Event>,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// It was made.
    Done,
    /// It was not made: another change of the account came first, or another account has the value.
    Lost,
}

/// The default log: it keeps nothing, and tells `tracing` of each step at the level DEBUG, target `auth::audit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingAuditLog;

#[async_trait]
impl AuditLog for TracingAuditLog {
    async fn begin(&self, record: &Record) -> Result<(), StoreError> {
        tracing::debug!(target: "auth::audit", ?record, "a change begins");
        Ok(())
    }

    async fn settle(&self, RecordId(record): RecordId, outcome: RecordOutcome) -> Result<(), StoreError> {
        tracing::debug!(target: "auth::audit", %record, ?outcome, "a change is settled");
        Ok(())
    }
}
