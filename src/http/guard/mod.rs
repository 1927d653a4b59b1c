//! What stands between a request and its handler: who calls, from where, how often.

#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) mod access;
pub(crate) mod address;
pub(crate) mod caller;
pub(crate) mod throttle;
