//! What the flows need from the outside: one trait per file, atomic verbs named after what they promise.
//!
//! Every trait is dyn-safe. Methods on which security depends have no default bodies. A store that cannot answer
//! returns [`StoreError::Unavailable`]; it never guesses.

mod attempt_store;
mod audit_log;
mod clock;
mod credential_store;
mod data_key_use;
mod dead_mails;
mod event_sink;
mod feed;
mod forward;
mod helpers;
mod http_client;
mod mail_outbox;
mod mail_purpose;
mod mailer;
mod message_sender;
mod password_backend;
mod password_check;
mod password_hasher;
mod pending_session_store;
mod ports;
mod random;
mod second_factor_rule;
mod session_store;
mod signer;
mod tenant_resolver;
mod user_directory;
mod user_store;

pub use attempt_store::{AttemptKey, AttemptStore, Hit};
pub use audit_log::{AuditLog, Record, RecordId, RecordOutcome, TracingAuditLog};
pub use clock::Clock;
pub use credential_store::CredentialStore;
pub use data_key_use::{DataKeyUse, DataKeysInUse, key_of_credential, key_of_password};
pub use dead_mails::{DeadMail, DeadMails};
pub use event_sink::{AdminAction, Event, EventSink, LoginRefusal, TokenKind, TracingEvents};
pub use feed::{ChangePage, FeedPosition, Since};
pub use helpers::dummy_row;
pub use http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};
pub use mail_outbox::{ClaimedMail, MailIntent, MailMatter, MailOutbox, Settlement};
pub(crate) use mail_purpose::Audience;
pub use mail_purpose::{LinkPage, MailPurpose};
pub use mailer::{Mail, MailError, MailLink, MailedSignUp, Mailer};
pub use message_sender::{MessageSender, TextMessage};
pub use password_backend::{PasswordAttempt, PasswordBackend};
pub use password_check::{PasswordCheck, PasswordCheckError};
pub use password_hasher::{HashError, PasswordHasher, Ticket, Verdict};
pub use pending_session_store::PendingSessionStore;
pub use ports::{Ports, Stores};
pub use random::{Random, RandomError};
pub use second_factor_rule::SecondFactorRule;
pub use session_store::{At, Rotation, SessionInsert, SessionStore};
pub use signer::{MAX_SIGNATURE_BYTES, Signer, SignerError};
pub use tenant_resolver::{OneTenant, TenantQuery, TenantResolver};
pub use user_directory::{Lapse, UserDirectory};
pub use user_store::{
    LoginRecord, NewUser, Unique, UserChange, UserInsert, UserKey, UserSecurity, UserStore, UserUpdate,
};

use std::error::Error as StdError;

/// Why a store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is down, locked, read-only or too slow: the request may pass later (503).
    #[error("the store does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// It holds what cannot be: a defect, an unfinished migration or a foreign hand (500).
    #[error("the store holds what cannot be: {0}")]
    Corrupt(#[source] Box<dyn StdError + Send + Sync>),
}

impl StoreError {
    /// The store is down; `source` goes to tracing.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The store holds what cannot be; `source` goes to tracing.
    pub fn corrupt(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Corrupt(source.into())
    }
}
