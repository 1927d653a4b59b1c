use std::collections::BTreeSet;

use crate::AuthSystem;
use crate::error::Error;
use crate::port::DataKeysInUse;
use crate::token::KeyId;

impl AuthSystem {
    /// The ids of the data keys that stored values name, each once and in order. A key may be dropped once it is not
    /// among them. Empty where no store tells.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn data_keys_in_use(&self) -> Result<DataKeysInUse, Error> {
        let (mut credentials, mut passwords) = (BTreeSet::new(), BTreeSet::new());
        for store in &self.ports().data_key_use {
            let used = store.data_keys_in_use().await?;
            credentials.extend(used.credentials);
            passwords.extend(used.passwords);
        }
        Ok(DataKeysInUse { credentials: credentials.into_iter().collect(), passwords: passwords.into_iter().collect() })
    }

    /// The ids of the data keys that stored values name and this node lacks. With any, second factors answer 503 and
    /// right passwords are refused: do not serve.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn missing_data_keys(&self) -> Result<DataKeysInUse, Error> {
        let used = self.data_keys_in_use().await?;
        let hasher = &self.ports().hasher;
        let lacking = |ids: Vec<KeyId>, lacks: &dyn Fn(&KeyId) -> bool| ids.into_iter().filter(lacks).collect();
        Ok(DataKeysInUse {
            credentials: lacking(used.credentials, &|id| !self.vaults().totp.has(id)),
            passwords: lacking(used.passwords, &|id| !hasher.has_pepper(id)),
        })
    }
}
