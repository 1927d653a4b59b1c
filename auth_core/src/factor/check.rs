//! The trait of factors: which codes are of a factor's form, and whether one is right.

use crate::Request;
use crate::error::Error;
use crate::types::{Code, Credential, FactorKind, Payload, Timestamp};

/// A factor beside the password. Its role is that of its kind.
pub(crate) trait Factor: Sync {
    /// The kind, which names its credentials, and the method in sessions.
    fn kind(&self) -> FactorKind;

    /// Whether a code has the form of this factor's codes.
    fn has_form(&self, code: &Code) -> bool;

    /// Checks a code by the credential as it is now; `None` for a wrong code, or one that was used.
    ///
    /// # Errors
    /// `unavailable` for a credential that cannot be read, because a data key is missing, say.
    fn check(
        &self,
        request: &Request<'_>,
        credential: &Credential,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Accepted>, Error>;
}

/// The credential after a right code.
pub(crate) struct Accepted {
    pub(crate) payload: Payload,
    pub(crate) backup_codes_left: Option<usize>,
}
