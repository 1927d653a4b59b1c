//! The handle on which the flows of two-factor login are.

use std::ops::Deref;

use crate::Request;

/// Two-factor login of the caller's account: its authenticator and its backup codes. [`Request::two_factor`] makes it, and
/// it also is that request, by [`Deref`].
#[derive(Clone, Copy, Debug)]
pub struct TwoFactor<'a>(&'a Request<'a>);

impl Request<'_> {
    /// The flows of two-factor login.
    pub fn two_factor(&self) -> TwoFactor<'_> {
        TwoFactor(self)
    }
}

impl<'a> Deref for TwoFactor<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        self.0
    }
}
