/// Signs access tokens with one key, and checks its own signatures (RFC 7515).
///
/// Every request to a protected route checks one, so neither method waits for anything.
pub trait Signer: Send + Sync + 'static {
    /// The name of the algorithm in the header of a token (RFC 7518 section 3.1), such as `HS256`.
    fn algorithm(&self) -> &str;

    /// The id of the key in the header of a token: 1 to 64 characters of the base64url alphabet.
    fn key_id(&self) -> &str;

    /// The length of a signature: 1 to [`MAX_SIGNATURE_BYTES`] bytes, the same for all.
    fn signature_len(&self) -> usize;

    /// Writes the signature of a message to `signature`, which is as long as it says.
    ///
    /// # Errors
    /// Returns [`SignerError`] when the key cannot be used.
    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Result<(), SignerError>;

    /// Whether a signature is that of a message, in constant time where the key is symmetric.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// The longest signature: that of an RSA key of 4,096 bits.
pub const MAX_SIGNATURE_BYTES: usize = 512;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the signing key cannot be used: {0}")]
pub struct SignerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
