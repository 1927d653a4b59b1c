//! Authentication factors beside the password: enrolling, checking, replacing and turning them off.

mod backup_codes;
mod check;
pub(crate) mod code;
mod handle;
pub(crate) mod retired;
mod spend;
pub(crate) mod step_up;
mod totp;
mod two_factor;

pub use handle::TwoFactor;
pub use step_up::Confirmation;
pub use totp::{TotpPurpose, TotpSetup};
pub use two_factor::{ReplacementRight, TotpReplaced, TotpReplacement, TwoFactorEnabled};
