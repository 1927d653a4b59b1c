//! Work of operators and of the worker: administration, the first super-user, clean-up, checks at start.

mod admin;
mod data_keys;
mod purge;
mod superuser;

pub use admin::{Admin, NewAccount};
