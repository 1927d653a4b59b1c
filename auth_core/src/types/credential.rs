//! The credential row: what a user proves a factor with, beside the password.

use super::{CredentialId, FactorKind, Revision, TenantId, UserId};

/// A credential as its store keeps it. It counts for nothing until the user row lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The id.
    pub id: CredentialId,
    /// The user's tenant.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// What it is.
    pub kind: FactorKind,
    /// What it is found by where its user is not known yet; unique within tenant and kind. At most 255 bytes.
    pub lookup_key: Option<Vec<u8>>,
    /// What it consists of: sealed or hashed, never plain.
    pub payload: Payload,
    /// Wrong proofs in a row, durable.
    pub consecutive_failures: u32,
    /// Bumped by each new payload.
    pub revision: Revision,
}

/// A text of some form that only its flow reads. Not a secret by itself, yet nobody else's business.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The version of the form.
    pub version: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload(v{}, …)", self.version)
    }
}
