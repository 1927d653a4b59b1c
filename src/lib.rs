//! Complete accounts for axum apps.

mod auth;
#[cfg(feature = "axum")]
mod axum;
pub mod config;
pub mod hash;
mod http;
mod identity;
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
pub use self::tower::{AuthLayer, AuthService};
