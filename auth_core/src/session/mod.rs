//! Sessions: issued, checked, refreshed and ended.

mod authenticate;
mod current_user;
mod issue;
mod logout;
mod refresh;

pub use issue::SessionTokens;
