//! The features on the wire, one file each: rows, fields, handlers.

pub(super) mod change_email;
pub(super) mod change_password;
pub(super) mod deactivate;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod me;
pub(super) mod not_me;
pub(super) mod password_reset;
mod qr;
pub(super) mod reauthenticate;
pub(super) mod refresh;
pub(super) mod signup;
pub(super) mod two_factor;
pub(super) mod verify_email;
