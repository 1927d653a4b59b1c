//! Accounts of other systems with their password hashes, so that nobody has to choose a new password when a user table moves (feature `import`).
//!
//! With the feature on, [`HashPool`](crate::hash::HashPool) checks these beside its own, and the next login of each owner
//! replaces them by Argon2id with today's parameters and pepper. That ends no session: it is housekeeping.
//!
//! | how they begin | from |
//! |---|---|
//! | `pbkdf2_sha256$`, `pbkdf2_sha1$`, `argon2$`, `bcrypt_sha256$$2b$`, `bcrypt$$2b$`, `scrypt$` | Django |
//! | `$2a$`, `$2b$`, `$2y$` | bcrypt anywhere |
//! | `$argon2i$`, `$argon2d$`, `$argon2id$` | Argon2 anywhere (PHC strings) |
//! | `$pbkdf2-sha256$i=`, `$pbkdf2-sha512$i=`, `$scrypt$ln=` | other PHC strings |
//!
//! # A recipe: from django-auth-system
//!
//! Read the old table as you like. [`password`] takes the column `password` as it is: Django's mark for "no password",
//! which begins with `!`, becomes none. [`import_user`](crate::AuthSystem::import_user) adds one account, and run
//! again it leaves those alone that are there, so a move that was broken off is just started again.
//!
//! ```
//! use auth_system::account::{ImportedUser, UserImport};
//! use auth_system::types::{Attributes, TenantId, Timestamp, UserStatus, Username};
//! use auth_system::{Auth, Email, UserId, import};
//!
//! /// A row of the old table; times are Unix seconds.
//! struct Row {
//!     id: i64,
//!     email: String,
//!     username: String,
//!     password: String,
//!     is_active: bool,
//!     first_name: String,
//!     date_joined: i64,
//!     last_login: Option<i64>,
//! }
//!
//! async fn move_row(auth: &Auth, row: Row) -> Result<UserImport, Box<dyn std::error::Error>> {
//!     let joined = Timestamp::from_seconds(row.date_joined);
//!     let user = ImportedUser {
//!         tenant: TenantId::default(),
//!         // The old key, so that what your other tables say of the user stays true.
//!         id: Some(UserId::parse(&row.id.to_string())?),
//!         email: Email::parse(&row.email)?,
//!         // Only if yours are on (`AUTH_USERNAMES`). One with an `@` or other letters than a to z is none here.
//!         username: Username::parse(&row.username).ok(),
//!         // There, an account is active once its mailbox was proven...
//!         email_verified_at: row.is_active.then_some(joined),
//!         // ...or inactive because somebody shut it. Where the two cannot be told apart, shut is the safe reading of
//!         // an account that was in use; the others get their verification mail when they log in or reset.
//!         status: match (row.is_active, row.last_login) {
//!             (false, Some(_)) => UserStatus::Disabled,
//!             _ => UserStatus::Active,
//!         },
//!         password_hash: import::password(&row.password)?,
//!         attributes: Attributes::from_iter([("first_name".to_owned(), row.first_name.into())]),
//!         created_at: joined,
//!         last_login_at: row.last_login.map(Timestamp::from_seconds),
//!     };
//!     Ok(auth.system().import_user(&user).await?)
//! }
//! # #[cfg(feature = "memory")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use auth_system::{Config, auth_core::testing::{RecordingMailer, root_secret}, store::MemoryStore, system::SystemClock};
//! # let secret = root_secret("of this example alone");
//! # let store = MemoryStore::new(std::sync::Arc::new(SystemClock));
//! # let auth = Auth::builder(Config::new(secret, "https://app.example.org")).store(store).mailer(RecordingMailer::default()).build()?;
//! # let row = || Row { id: 42, email: "Ada@example.org".into(), username: "ada".into(), is_active: true, first_name: "Ada".into(),
//! #     password: "pbkdf2_sha256$1000$sel1$SbTRyDiFtj0k/fJCjm77cO3JhBJ6xHrkaWVKG/N4JGI=".into(), date_joined: 1, last_login: None };
//! assert!(matches!(move_row(&auth, row()).await?, UserImport::Created(_)));
//! assert!(matches!(move_row(&auth, row()).await?, UserImport::Exists(_)));
//! # Ok(()) }
//! # #[cfg(not(feature = "memory"))]
//! # fn main() {}
//! ```
//!
//! # What a stored hash may cost
//!
//! Hashes beyond these bounds are refused, at import and at login, and never computed: 5,000,000 iterations of PBKDF2,
//! cost 16 of bcrypt, 256 MiB of memory, for scrypt N·r·p of 2^23, for Argon2 100 passes and 8 GiB written in all. That
//! is some seconds of one thread. The pool's memory stays bounded, too: a check that needs more than a thread has
//! ([`memory_kib`](crate::hash::Argon2Params::memory_kib)), and every check of scrypt, waits its turn, one at a time in the
//! whole pool.
//!
//! # What imported hashes reveal
//!
//! An address that is unknown costs a check of today's Argon2id; one whose hash was not renewed yet costs what its scheme
//! costs. So until its owner's first login, who measures the time of a login can tell such an account from an unknown
//! one, and guess the scheme. Limits on attempts hold as ever. Accounts of Django's that have no password cost what
//! unknown ones cost.
//!
//! bcrypt reads 72 bytes of a password and no more, here as there. Passwords are composed (NFC) before they are checked;
//! one that an earlier system hashed decomposed has to be reset.

use auth_core::types::PasswordHash;

use crate::hash::{self, HashFault};

/// The password column of another system, ready to be stored: `None` where there is no password, which is how empty
/// texts and Django's unusable passwords, which begin with `!`, are read.
///
/// # Errors
/// [`HashFault::UnknownScheme`], [`HashFault::Malformed`] or [`HashFault::TooCostly`]: nobody could log in with it.
pub fn password(column: &str) -> Result<Option<PasswordHash>, HashFault> {
    if column.is_empty() || hash::import::is_unusable(column) {
        return Ok(None);
    }
    hash::import::read(column)?;
    Ok(Some(PasswordHash::new(column)))
}
