//! The framework-free core of `auth-system`.

pub mod error;
pub mod policy;
pub mod port;
pub mod types;
