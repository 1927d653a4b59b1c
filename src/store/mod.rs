//! Stores: implementations of the ports on databases. They name neither flows nor HTTP.

#[cfg(feature = "sqlite")]
mod sql;

#[cfg(feature = "sqlite")]
pub use sql::SqliteStore;

#[cfg(feature = "memory")]
pub use auth_core::memory::MemoryStore;
