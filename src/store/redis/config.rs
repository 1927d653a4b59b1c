//! Where Redis is, and what keys begin with.

use std::fmt;

use auth_core::policy::InvalidSetting;
use redis::{Client, ConnectionAddr, TlsCertificates};

/// Settings of a [`RedisStore`](super::RedisStore). Start from [`RedisConfig::new`] and change what differs.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS.
    pub url: String,
    /// What all keys begin with: 1 to 64 visible ASCII characters without braces. Default `auth:`.
    pub prefix: String,
    /// The certificates, in PEM, that the server's must go back to. Default: those that browsers trust.
    pub root_certificates: Option<Vec<u8>>,
}

impl RedisConfig {
    /// The defaults, at some address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), prefix: "auth:".into(), root_certificates: None }
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        // What stands between braces would decide alone which node of a cluster has a key.
        let clean = self.prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}'));
        if clean && (1..=64).contains(&self.prefix.len()) {
            return Ok(());
        }
        Err(InvalidSetting::new("redis.prefix", "must be 1 to 64 visible ASCII characters without braces"))
    }

    pub(super) fn client(&self) -> Result<Client, InvalidSetting> {
        // The reasons that the crate gives quote neither the address nor a password.
        let wrong = |error: redis::RedisError| InvalidSetting::new("redis.url", error.to_string());
        let client = match &self.root_certificates {
            None => Client::open(self.url.as_str()).map_err(wrong)?,
            Some(pem) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(self.url.as_str(), certificates)
                    .map_err(|error| InvalidSetting::new("redis.root_certificates", error.to_string()))?
            }
        };
        match client.get_connection_info().addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(InvalidSetting::new("redis.url", "must not say `#insecure`: give `root_certificates`"));
            }
            ConnectionAddr::TcpTls { .. } => install_crypto(),
            _ => {}
        }
        Ok(client)
    }
}

impl From<&str> for RedisConfig {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

/// The URL may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The crate takes the process's default provider, and would panic without one.
fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster: then there is one.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
