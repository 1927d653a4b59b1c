//! Complete accounts for axum and actix-web apps: sign-up with mail verification, cookie sessions with rotating refresh
//! tokens, password reset, and revocation on every node without a query per request.
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
//!     auth.check_data_keys().await?;
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
//! With actix-web:
//!
//! ```no_run
//! # #[cfg(all(feature = "actix", feature = "sqlite"))]
//! use actix_web::{App, HttpServer, web};
//! # #[cfg(all(feature = "actix", feature = "sqlite"))]
//! use auth_system::{Auth, Config, CurrentUser, mail::ConsoleTransport, store::SqliteStore};
//!
//! # #[cfg(all(feature = "actix", feature = "sqlite"))]
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = SqliteStore::open("sqlite://auth.db").await?;
//!     let auth = Auth::builder(Config::from_env()?).store(store).mail(ConsoleTransport).build()?;
//!     auth.check_data_keys().await?;
//!     let app = move || {
//!         let hello = web::to(async |user: CurrentUser| format!("Hello {}", user.id()));
//!         App::new()
//!             .service(auth_system::scope(auth.clone()))
//!             .service(web::resource("/hello").wrap(auth.middleware()).route(hello))
//!     };
//!     Ok(HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?)
//! }
//! # #[cfg(not(all(feature = "actix", feature = "sqlite")))]
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
//! | mount the endpoints in actix-web | `scope` |
//! | protect routes of your own | [`Auth`]`::layer` in axum, [`Auth`]`::middleware` in actix-web, [`CurrentUser`], [`MaybeUser`], [`CurrentSession`], [`EnrollingUser`] |
//! | change lifetimes, limits, password rules | [`Policy`] in [`Config::policy`] |
//! | ask a service of your own about new passwords | [`AuthBuilder::password_check`] |
//! | move a user table here and keep its passwords | the recipe in `import` |
//! | send mails, in words of your own | [`mail`] |
//! | keep accounts in a table of your own | [the recipe](store#your-own-user-table), `examples/custom_store.rs` |
//! | log or count what happens | [`EventSink`] |
//! | take endpoints away, change them or add your own | [`AuthBuilder::operations`], `examples/custom_operation.rs` |
//! | build something without HTTP | [`Auth::system`], whose methods are the flows; their types are in [`account`], [`login`], [`factor`] and [`session`] |
//! | serve another framework | [`Auth::respond`] |
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `axum` | the router and the extractors; implies `tower` |
//! | `actix` | the same for actix-web: the scope, the middleware and the extractors |
//! | `tower` | the middleware for your own routes |
//! | `sqlite` | [`store`]`::SqliteStore` |
//! | `redis` | [`store`]`::RedisStore`: pending logins and timed limits in Redis or Valkey, or a cluster of it, beside the accounts |
//! | `postgres` | [`store`]`::PostgresStore` |
//! | `memory` | [`store`]`::MemoryStore`, for tests and demonstrations |
//! | `mail` | mails as `.eml` files |
//! | `smtp` | mails by SMTP; implies `mail` |
//! | `import` | `import`: user tables of other systems; the hashes of Django and others are checked until their owners' next login |
//! | `openapi` | [`Auth`]`::openapi`, the endpoints as an OpenAPI 3.1 document; with [`Config::openapi`] also served |
//! | `full` | all of the above |
//! | `conformance` | `conformance`: the tests that a store of your own must pass |
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

#[cfg(feature = "actix")]
mod actix;
mod auth;
#[cfg(feature = "axum")]
mod axum;
pub mod config;
mod data_keys;
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

pub mod operation {
    //! The rows of the table, to be taken away, replaced, wrapped or added to:
    //! [`AuthBuilder::operations`](crate::AuthBuilder::operations). `examples/custom_operation.rs` does each.
    pub use ::http::{HeaderMap, Method, StatusCode, header};

    pub use crate::http::answer::Answer;
    pub use crate::http::field::{Field, Fields, Form};
    pub use crate::http::operation::{Call, Next, Operation};
    pub use crate::http::refusal::Refusal;
    pub use crate::http::table::Operations;

    pub mod field {
        //! The fields of a form, for [`Operation::reading`](super::Operation::reading).
        pub use crate::http::field::{confirmation, email, flag, password, text, uuid};
    }
}

pub use auth_core;
#[cfg(feature = "conformance")]
pub use auth_core::conformance;
pub use auth_core::operator::Admin;
pub use auth_core::policy::{InvalidSetting, Policy};
pub use auth_core::port::{self, Event, EventSink};
pub use auth_core::session::Require;
pub use auth_core::token::RootSecret;
pub use auth_core::types::{self, Channel, Client, Email, Limit, Password, User, UserId};
pub use auth_core::{AuthSystem, Error, Reason, account, factor, login, operator, session};

#[cfg(feature = "actix")]
pub use self::actix::{AuthMiddleware, AuthMiddlewareService, scope};
pub use self::auth::{Auth, AuthBuilder};
#[cfg(feature = "axum")]
pub use self::axum::router;
pub use self::config::Config;
pub use self::data_keys::DataKeyError;
#[cfg(any(feature = "tower", feature = "actix"))]
pub use self::http::guard::access::Rejection;
pub use self::http::{Body, BodyError};
pub use self::identity::{CurrentSession, CurrentUser, EnrollingUser, MaybeUser};
#[cfg(feature = "tower")]
pub use self::tower::{AuthLayer, AuthService, ResponseFuture};

/// The snippets of the README compile, too.
#[cfg(all(doctest, feature = "axum", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
