//! What operators and the worker do: administration, the first super-user, clean-up, checks at start.

mod admin;
mod data_keys;
mod purge;
mod superuser;

pub use admin::{Admin, NewAccount};
