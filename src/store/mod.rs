//! Stores: implementations of the ports on databases. They name neither flows nor HTTP.

#[cfg(feature = "sqlite")]
pub mod sql;
