//! Sessions: issued, checked, refreshed and ended.

mod authenticate;
mod current_user;
mod issue;
mod logout;
mod refresh;
mod require;

pub use issue::SessionTokens;
pub use require::Require;
