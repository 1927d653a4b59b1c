//! Accounts: how they begin, change, are recovered and end. One file per feature.

mod change_email;
mod change_password;
mod deactivate;
mod deny_sign_up;
mod dispute;
mod former_email;
mod give_way;
mod import_user;
mod mailed_link;
mod new_password;
mod not_me;
mod password_reset;
mod profile;
mod signup;
mod verify_email;

pub use change_email::{EmailChangeConfirm, EmailChangeRequest, Mover};
pub use change_password::PasswordChangeRequest;
pub use import_user::{ImportedUser, UserImport};
pub use not_me::TakenBack;
pub use password_reset::{PasswordResetConfirm, PasswordWasReset};
pub use signup::{SignUpRequest, SignedUp};
