//! Whether this node has every data key that stored values need.

use std::error::Error as StdError;
use std::fmt;

use auth_core::AuthSystem;
use auth_core::error::Error;
use auth_core::port::DataKeysInUse;
use auth_core::token::KeyId;

use crate::Auth;

/// Why a server should not serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataKeyError {
    /// Stored values need data keys that are not configured.
    Missing(DataKeysInUse),
    /// The store did not tell.
    Unknown(Error),
}

impl fmt::Display for DataKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |ids: &[KeyId]| ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Missing(DataKeysInUse { credentials, passwords }) => {
                f.write_str("data_keys (AUTH_DATA_KEYS):")?;
                if !credentials.is_empty() {
                    write!(f, " second factors need the keys {}, which are missing;", names(credentials))?;
                }
                if !passwords.is_empty() {
                    let need = "password hashes need the peppers of the keys";
                    write!(f, " {need} {}, which are missing or the pepper is off;", names(passwords))?;
                }
                f.write_str(" put them back behind the current key until nothing needs them")
            }
            Self::Unknown(error) => write!(f, "which data keys are needed cannot be read: {error}"),
        }
    }
}

impl StdError for DataKeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Missing(_) => None,
            Self::Unknown(error) => Some(error),
        }
    }
}

pub(crate) async fn check(system: &AuthSystem) -> Result<(), DataKeyError> {
    let missing = system.missing_data_keys().await.map_err(DataKeyError::Unknown)?;
    if missing == DataKeysInUse::default() { Ok(()) } else { Err(DataKeyError::Missing(missing)) }
}

impl Auth {
    /// Refuses a configuration that lacks a data key that stored values name. Call it after
    /// [`AuthBuilder::build`](crate::AuthBuilder::build), before serving: without the key, second factors answer 503 and
    /// right passwords are refused. It costs a few look-ups, however many accounts there are.
    ///
    /// The built-in stores tell which keys their rows name; a store of your own does with
    /// [`DataKeyUse`](crate::port::DataKeyUse), by [`AuthBuilder::data_key_use`](crate::AuthBuilder::data_key_use).
    ///
    /// # Errors
    /// [`DataKeyError`] names the keys by their ids.
    pub async fn check_data_keys(&self) -> Result<(), DataKeyError> {
        check(self.system()).await
    }
}
