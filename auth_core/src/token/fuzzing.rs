//! Doors for the fuzz targets, which are a crate of their own. They exist under `--cfg fuzzing` only.

use super::{AccessClaims, RefreshClaims, TokenError, Tokens};
use crate::types::Timestamp;

impl Tokens {
    /// Reads a payload as if it had been signed as an access token.
    ///
    /// # Errors
    /// As [`verify_access`](Self::verify_access).
    pub fn read_access_payload(&self, payload: &[u8], now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.access_claims(payload, now)
    }

    /// Reads a payload as if it had been signed as a refresh token.
    ///
    /// # Errors
    /// As [`verify_refresh`](Self::verify_refresh).
    pub fn read_refresh_payload(&self, payload: &[u8], now: Timestamp) -> Result<RefreshClaims, TokenError> {
        self.refresh_claims(payload, now)
    }
}
