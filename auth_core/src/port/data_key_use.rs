use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::StoreError;
use crate::types::KeyId;
use crate::types::{Credential, Method, PasswordHash};

/// Tells which data keys stored values still need. Optional: without it, nothing notices a key that was dropped too
/// early until an account needs it.
///
/// A user table of an application's own may implement this alone and leave [`credentials`](DataKeysInUse::credentials)
/// empty.
#[async_trait]
pub trait DataKeyUse: Send + Sync + 'static {
    /// The ids of the data keys that stored values of all tenants name, each once. Cheap however many rows there are: by
    /// an index over what [`key_of_password`] and [`key_of_credential`] read, say.
    async fn data_keys_in_use(&self) -> Result<DataKeysInUse, StoreError>;
}

/// The ids of data keys, by what names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataKeysInUse {
    /// Sealed secrets of authenticators, and hashes of backup codes.
    pub credentials: Vec<KeyId>,
    /// Peppered password hashes.
    pub passwords: Vec<KeyId>,
}

/// The data key that a peppered password hash names in its `keyid`.
pub fn key_of_password(hash: &PasswordHash) -> Option<KeyId> {
    let (_, rest) = hash.expose().split_once(",keyid=")?;
    let id = rest.split([',', '$']).next()?;
    KeyId::parse(&STANDARD_NO_PAD.decode(id).ok()?)
}

/// The data key that the payload of a credential names.
pub fn key_of_credential(credential: &Credential) -> Option<KeyId> {
    let start = Method::of(&credential.kind.0)?.key_at?;
    KeyId::parse(credential.payload.bytes.get(start..start + KeyId::LEN)?)
}
