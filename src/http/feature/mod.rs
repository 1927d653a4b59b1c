//! The features on the wire, one file each: rows, fields, handlers.

mod change_email;
mod change_password;
mod deactivate;
mod login;
mod logout;
mod me;
mod not_me;
mod password_reset;
mod qr;
mod reauthenticate;
mod refresh;
mod signup;
mod two_factor;
mod verify_email;

use super::operation::Operation;

/// The endpoints of every feature, in the order of the OpenAPI document.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(signup::operations());
    all.extend(verify_email::operations());
    all.extend(login::operations());
    all.extend(refresh::operations());
    all.extend(logout::operations());
    all.extend(me::operations());
    all.extend(reauthenticate::operations());
    all.extend(change_password::operations());
    all.extend(change_email::operations());
    all.extend(not_me::operations());
    all.extend(deactivate::operations());
    all.extend(password_reset::operations());
    all.extend(two_factor::operations());
    all
}
