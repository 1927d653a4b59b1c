//! The framework-neutral service: an `http::Request` in, an `http::Response` out. Adapters only translate.
//!
//! [`service`] is the way of a request, [`table`] the list of endpoints. A feature's file has what it says on the wire:
//! its rows, their fields and their handlers.

pub(crate) mod answer;
pub(crate) mod cookie;
pub(crate) mod dialect;
mod doc;
mod feature;
pub(crate) mod field;
pub(crate) mod guard;
mod json_kind;
#[cfg(feature = "openapi")]
pub(crate) mod openapi;
pub(crate) mod operation;
mod origin;
pub(crate) mod refusal;
mod response;
mod service;
mod site;
pub(crate) mod table;
mod values;

pub(crate) use self::cookie::Cookies;
pub(crate) use self::origin::Origins;
pub(crate) use self::response::BoxError;
pub use self::response::{Body, BodyError};
pub(crate) use self::service::Service;
pub(crate) use self::site::{HttpSettings, Site};

/// The rows of every feature and, with `openapi`, the one that serves the document.
#[cfg_attr(not(feature = "openapi"), expect(unused_variables, reason = "the feature reads it"))]
pub(crate) fn operations(openapi: bool) -> Vec<operation::Operation> {
    #[cfg_attr(not(feature = "openapi"), expect(unused_mut, reason = "the feature adds to it"))]
    let mut rows = feature::operations();
    #[cfg(feature = "openapi")]
    if openapi {
        rows.extend(self::openapi::operations());
    }
    rows
}
