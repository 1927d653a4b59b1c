//! The flows, one file per feature. Each is a method of [`AuthSystem`](crate::AuthSystem): load, decide, commit by one
//! atomic write, notify. Where the decision is more than a line it is a plain function of its own.

mod admin;
mod authenticate;
mod backup_codes;
mod change_email;
mod change_password;
mod current_user;
mod data_keys;
mod deliver_mail;
mod deny_sign_up;
mod dispute;
mod former_email;
mod give_way;
mod import_user;
mod login;
mod logout;
mod mailed_link;
mod new_password;
mod not_me;
mod password;
mod password_reset;
mod profile;
mod purge;
mod queue_mail;
mod reauthenticate;
mod refresh;
mod retired_factors;
mod second_factor;
mod session;
mod signup;
mod step_up;
mod superuser;
mod totp;
mod two_factor;
mod verify_email;
mod verify_login;

pub use admin::{Admin, NewAccount};
pub use change_email::{EmailChangeConfirm, EmailChangeRequest, Mover};
pub use change_password::PasswordChangeRequest;
pub use deliver_mail::Delivery;
pub use import_user::{ImportedUser, UserImport};
pub use login::{LoggedIn, LoginOutcome, LoginRequest};
pub use not_me::TakenBack;
pub use password_reset::{PasswordResetConfirm, PasswordWasReset};
pub use session::SessionTokens;
pub use signup::{SignUpRequest, SignedUp};
pub use step_up::Confirmation;
pub use totp::{TotpPurpose, TotpSetup};
pub use two_factor::{ReplacementRight, TotpReplaced, TotpReplacement, TwoFactorEnabled};
pub use verify_login::{SecondFactorRequest, VerifiedLogin};

/// How often a flow starts again after it lost a compare-and-swap. Only a row under constant fire is ever changed so
/// often between a read and a write; then the answer is 503.
const MAX_ATTEMPTS: usize = 16;

/// What comes after the write that decided: that it fails must take nothing back.
fn housekeeping<T>(outcome: Result<T, crate::port::StoreError>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(target: "auth", %error, what, "left undone");
    }
}

/// The answer of a flow that lost [`MAX_ATTEMPTS`] races.
fn contended() -> crate::error::Error {
    crate::error::Error::unavailable("the row was changed too often meanwhile")
}
