//! The framework-neutral service: an `http::Request` in, an `http::Response` out. Adapters only translate.
//!
//! [`service`] is the way of a request, [`table`] the list of endpoints. A feature's file has what it says on the wire:
//! its rows, their fields and their handlers.

pub(crate) mod answer;
pub(crate) mod dialect;
mod doc;
mod feature;
pub(crate) mod field;
pub(crate) mod guard;
#[cfg(feature = "openapi")]
pub(crate) mod openapi;
pub(crate) mod operation;
pub(crate) mod refusal;
mod response;
mod service;
pub(crate) mod table;
mod values;

pub(crate) use self::guard::cookie::Cookies;
pub(crate) use self::guard::origin::Origins;
pub(crate) use self::response::BoxError;
pub use self::response::{Body, BodyError};
pub(crate) use self::service::{HttpSettings, Service};
