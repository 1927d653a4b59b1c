//! Accounts, and two principals who use them and attack each other, beside a model that is small enough to be read.

pub(crate) mod account;
pub(crate) mod address;
mod dispute;
mod ending;
pub(crate) mod factors;
mod invariants;
mod mails;
pub(crate) mod ops;
pub(crate) mod run;

use crate::common;
