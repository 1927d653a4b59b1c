//! Complete accounts for axum apps: sign-up with mail verification, cookie sessions with rotating refresh tokens,
//! password reset, and revocation on every node without a query per request.
//!
//! # Quick start
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "sqlite"))]
//! use auth_system::{Auth, Config, CurrentUser, mail::ConsoleTransport, store::SqliteStore};
//! # #[cfg(all(feature = "axum", feature = "sqlite"))]
//! use axum::{Router, routing::get};
//!
//! # #[cfg(all(feature = "axum", feature = "sqlite"))]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = SqliteStore::open("sqlite://auth.db").await?;
//!     let auth = Auth::builder(Config::from_env()?).store(store).mail(ConsoleTransport).build()?;
//!     let app = Router::new()
//!         .route("/hello", get(|user: CurrentUser| async move { format!("Hello {}", user.id()) }))
//!         .layer(auth.layer())
//!         .merge(auth_system::router(auth));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     Ok(axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>()).await?)
//! }
//! # #[cfg(not(all(feature = "axum", feature = "sqlite")))]
//! # fn main() {}
//! ```
//!
//! `Config::from_env` reads `AUTH_SECRET` (make one with `openssl rand -hex 32`), `AUTH_FRONTEND_URL` and the rest of
//! [the settings](Config). The endpoints then live under `/api/auth/`.
//!
//! # Where things are
//!
//! | you want to | look at |
//! |---|---|
//! | mount the endpoints in axum | `router` |
//! | protect routes of your own | [`Auth`]`::layer`, [`CurrentUser`], [`CurrentSession`] |
//! | change lifetimes, limits, password rules | [`auth_core::policy::Policy`] in [`Config::policy`] |
//! | ask a service of your own about new passwords | [`AuthBuilder::password_check`] |
//! | move a user table here and keep its passwords | the recipe in `import` |
//! | send mails, in words of your own | [`mail`] |
//! | keep accounts in a table of your own | [the recipe](store#your-own-user-table), `examples/custom_store.rs` |
//! | log or count what happens | [`auth_core::port::EventSink`] |
//! | build something without HTTP | [`Auth::system`] and [`auth_core::flow`] |
//! | serve another framework | [`Auth::respond`] |
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `axum` | the router and the extractors; implies `tower` |
//! | `tower` | the middleware for your own routes |
//! | `sqlite` | [`store`]`::SqliteStore` |
//! | `postgres` | [`store`]`::PostgresStore` |
//! | `memory` | [`store`]`::MemoryStore`, for tests and demonstrations |
//! | `mail` | mails as `.eml` files |
//! | `smtp` | mails by SMTP; implies `mail` |
//! | `import` | `import`: user tables of other systems; the hashes of Django and others are checked until their owners' next login |
//! | `openapi` | [`Auth`]`::openapi`, the endpoints as an OpenAPI 3.1 document; with [`Config::openapi`] also served, with a page |
//! | `full` | all of the above |
//! | `conformance` | `auth_core::conformance`: the tests that a store of your own must pass |
//!
//! None is on by default, and each only adds.
//!
//! # What holds
//!
//! * Nothing in a database dump is a credential: tokens and mailed links are derived, never stored.
//! * What may happen once happens once, however many try at the same moment.
//! * Whoever asks learns the same about known and unknown addresses, by the answer and by its time: `examples/timing.rs`
//!   measures it.
//! * A store that does not answer means 503, never a skipped check.

mod auth;
#[cfg(feature = "axum")]
mod axum;
pub mod config;
pub mod hash;
mod http;
mod identity;
#[cfg(feature = "import")]
pub mod import;
pub mod mail;
pub mod store;
pub mod system;
#[cfg(feature = "tower")]
mod tower;
mod worker;

pub use auth_core;

pub use self::auth::{Auth, AuthBuilder};
#[cfg(feature = "axum")]
pub use self::axum::{Rejection, router};
pub use self::config::Config;
pub use self::identity::{CurrentSession, CurrentUser};
#[cfg(feature = "tower")]
pub use self::tower::{AuthLayer, AuthService, ResponseFuture};

/// The snippets of the README compile, too.
#[cfg(all(doctest, feature = "axum", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
