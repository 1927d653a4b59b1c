//! The two parameters of a mailed link.

use auth_core::types::UserId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fields::Fields;
use super::problem::Problem;

/// The user that a link names and its token.
pub(crate) struct Link<'a> {
    /// `None` for a uid that cannot be anybody's; the flow then does the same work for nobody.
    pub(crate) user: Option<UserId>,
    pub(crate) token: &'a str,
}

impl<'a> Link<'a> {
    /// Both parameters must be there. What they hold is for the flow to judge.
    pub(crate) fn read(fields: &'a Fields) -> Result<Self, Problem> {
        let (Some(uid), Some(token)) = (fields.lenient("uid"), fields.lenient("token")) else {
            return Err(Problem::link_incomplete());
        };
        let id = URL_SAFE_NO_PAD.decode(uid).ok().and_then(|id| String::from_utf8(id).ok());
        Ok(Self { user: id.and_then(|id| UserId::parse(&id).ok()), token })
    }
}
