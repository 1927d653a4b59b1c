//! Ways into an account, each of which ends at [`proof::Authenticated`](crate::proof::Authenticated).

mod password;
mod reauthenticate;
mod verify_login;

pub use password::{LoggedIn, LoginOutcome, LoginRequest};
pub use verify_login::{SecondFactorRequest, VerifiedLogin};
