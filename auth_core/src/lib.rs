//! The framework-free core of `auth-system`: no HTTP, no SQL, no async runtime, no hidden clock or randomness.
//!
//! # Map
//!
//! | module | holds | knows of |
//! |---|---|---|
//! | [`types`] | values that are right by construction | nothing |
//! | [`policy`] | lifetimes, limits, rules | types |
//! | [`port`] | what flows need from outside, one trait each | types |
//! | [`token`] | access, refresh and link tokens; the key rings | types, policy, port |
//! | [`proof`] | witness values that only a check can make | port, token |
//! | [`account`] | accounts: how they begin, change, are recovered and end | factor, session and what they know |
//! | [`login`] | ways into an account | factor, session and what they know |
//! | [`factor`] | authentication factors beside the password | session and what it knows |
//! | [`session`] | sessions: issued, checked, refreshed and ended | proof and what it knows |
//! | [`message`] | mails: queued by a flow, composed and sent by the worker | proof and what it knows |
//! | [`operator`] | administration, clean-up, checks at start | proof and what it knows |
//!
//! The last six hold the flows, one file per feature. Each flow is a method of [`Request`]: it loads, decides, commits
//! by one atomic write, and notifies.
//!
//! # Rules that everything here keeps
//!
//! * **One gate mints sessions**: [`Request::issue_session`] takes [`proof::Authenticated`], which only a completed
//!   login makes.
//! * **One deciding write per flow**: an atomic verb on one row. What comes before it is inert, what comes after it is
//!   housekeeping; a crash anywhere leaves nothing more permissive.
//! * **A security change is one swap of the user row** that bumps its token version, which ends every session, link and
//!   parked change of the account. Whatever is made is stamped from the proof, never from a second read.
//! * **Work comes before the answer**: accounts that are known, unknown, unverified or disabled cost the same.
//! * **Errors say why to operators and what to clients**: [`Error`] has a stable [`Reason`], a class, and a source that
//!   never leaves the server.
//!
//! # Without HTTP
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! # use std::sync::Arc;
//! use auth_core::account::SignUpRequest;
//! use auth_core::login::LoginRequest;
//! use auth_core::policy::Policy;
//! # #[cfg(any())]
//! use auth_core::token::RootSecret;
//! use auth_core::token::{DataRing, TokenRing, Tokens};
//! use auth_core::types::{Channel, Client, Email, Identifier, Password, Personal};
//! use auth_core::{AuthSystem, Ports, Reason, Stores};
//! # use auth_core::{memory::MemoryStore, testing::*};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let clock = Arc::new(ManualClock::new());
//! # let store = Arc::new(MemoryStore::new(clock.clone()));
//! # let (mailer, hasher) = (Arc::new(RecordingMailer::default()), Arc::new(InsecurePlainHasher::default()));
//! # let random = Arc::new(InsecureCountingRandom::default());
//! let ports = Ports::new(Stores::of(store), mailer, hasher, clock, random);
//! # let secret = root_secret("of this example alone");
//! # #[cfg(any())]
//! let secret = RootSecret::parse(&std::env::var("AUTH_SECRET")?)?;
//! let policy = Policy::default();
//! let tokens = Tokens::new(TokenRing::new(&secret, &[]), "my-app", "my-app", &policy)?;
//! let auth = AuthSystem::new(ports, policy, tokens, &DataRing::new(&secret, &[]))?;
//!
//! let client = Client::default();
//! let auth = auth.request(&client);
//! let email = Email::parse("ada@example.org")?;
//! let password = auth.new_password("password", "a long one", Personal::default())?;
//! auth.sign_up(SignUpRequest::new(email, password)).await?;
//!
//! let (identifier, password) = (Identifier::parse("ada@example.org"), Password::new("a long one")?);
//! let request = LoginRequest::new(identifier, &password).channel(Channel::Header);
//! let refused = auth.login(request).await.map(|_| ()).map_err(|error| error.reason());
//! assert_eq!(refused, Err(Reason::InvalidCredentials), "the mailbox is not proven yet");
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! # }
//! ```

pub mod account;
mod budget;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod factor;
pub mod login;
#[cfg(feature = "memory")]
pub mod memory;
pub mod message;
pub mod operator;
pub mod policy;
pub mod port;
pub mod proof;
mod request;
mod revocation;
pub mod session;
mod system;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod types;

pub use error::{Error, Reason};
pub use port::{Ports, Stores};
pub use request::Request;
pub use system::AuthSystem;
