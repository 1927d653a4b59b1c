//! Values that are right by construction: parsed once at the edge, trusted from there on.

mod client;
mod code;
mod credential;
mod email;
mod field;
mod id;
mod limit;
mod pending_session;
mod personal;
mod recovery;
mod secret;
mod session;
mod time;
mod user;
mod user_state;
mod username;
mod version;

pub use client::{Client, Locale};
pub use code::{BACKUP_CODE_ALPHABET, BACKUP_CODE_CHARS, Code, InvalidCode, TOTP_CHARS};
pub use credential::{Credential, Payload};
pub use email::{Email, InvalidEmail, MAX_EMAIL_BYTES};
pub use field::{FieldError, FieldReason, KnownText};
pub use id::{CredentialId, InvalidId, KeyId, MAX_ID_BYTES, MailId, SessionId, TenantId, UserId};
pub use limit::Limit;
pub use pending_session::{PendingId, PendingPurpose, PendingSession};
pub use personal::Personal;
pub use recovery::{Dispute, Recoveries};
pub use secret::{MAX_PASSWORD_BYTES, Password, PasswordHash, PasswordTooLong, Token};
pub use session::{AuthMethods, Channel, MethodTimes, Scope, Session};
pub use time::Timestamp;
pub use user::{Attributes, Claim, EnrolledFactor, FactorKind, SUPERUSER, User, UserStatus};
pub use user_state::{InvalidUserState, UserKeys};
pub use username::{InvalidUsername, MAX_USERNAME_CHARS, Username};
pub use version::{Revision, TokenVersion};
