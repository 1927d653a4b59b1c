//! Complete accounts for axum apps.

pub mod hash;
pub mod mail;
pub mod store;
pub mod system;
