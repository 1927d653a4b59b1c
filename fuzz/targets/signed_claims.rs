//! What somebody who got hold of the secret could sign: whatever we accept, `jsonwebtoken` accepts and reads alike.

#![no_main]

use std::sync::LazyLock;

use auth_core::types::Timestamp;
use auth_fuzz::{AUDIENCE, ISSUER, NOW, check_access_claims, key, mac, members, sign_access, tokens};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

static KEY: LazyLock<DecodingKey> = LazyLock::new(|| DecodingKey::from_secret(&key("access")));
static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
});

fuzz_target!(
    init: {
        let _ = PROVIDER.install_default();
    },
    |data: &[u8]| {
        let token = sign_access(data);
        let Ok(claims) = tokens().verify_access(&token, Timestamp::from_seconds(NOW)) else { return };
        let Some(members) = members(data) else { return };
        // No claim of ours, so we skip it; `jsonwebtoken` stumbles over one that is no number, or comes twice.
        if members.iter().any(|(name, _)| name == "nbf") {
            return;
        }
        let theirs = jsonwebtoken::decode::<Map<String, Value>>(&token, &KEY, &VALIDATION);
        let theirs: Vec<_> = theirs.expect("jsonwebtoken accepts it, too").claims.into_iter().collect();
        check_access_claims(&claims, &theirs);
    }
);

/// HS256 and nothing else.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(key.try_get_as_bytes()?.to_vec()))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Vec<u8>);

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let good = mac(&self.0, message).as_slice() == signature.as_slice();
        good.then_some(()).ok_or_else(signature::Error::new)
    }
}
