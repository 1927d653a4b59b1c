//! The framework-free core of `auth-system`.

pub mod error;
pub mod flow;
#[cfg(feature = "memory")]
pub mod memory;
pub mod policy;
pub mod port;
pub mod proof;
mod revocation;
mod system;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod types;

pub use error::{Error, Reason};
pub use system::{AuthSystem, Ports};
