//! Whether this node has every data key that stored values need.

use auth_core::AuthSystem;
use auth_core::error::Error;
use auth_core::port::DataKeysInUse;
use auth_core::token::KeyId;

use crate::Auth;

/// Why a server should not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataKeyError {
    /// Stored values need data keys that are not configured.
    #[error("data_keys (AUTH_DATA_KEYS):{} put them back behind the current key until nothing needs them", needs(.0))]
    Missing(DataKeysInUse),
    /// The store did not tell.
    #[error("which data keys are needed cannot be read: {0}")]
    Unknown(#[source] Error),
}

/// Says which stored values need which keys.
fn needs(DataKeysInUse { credentials, passwords }: &DataKeysInUse) -> String {
    let names = |ids: &[KeyId]| ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
    let mut needs = String::new();
    if !credentials.is_empty() {
        needs += &format!(" second factors need the keys {}, which are missing;", names(credentials));
    }
    if !passwords.is_empty() {
        let need = "password hashes need the peppers of the keys";
        needs += &format!(" {need} {}, which are missing or the pepper is off;", names(passwords));
    }
    needs
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
