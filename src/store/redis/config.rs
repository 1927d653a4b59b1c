//! Where Redis is, and what keys begin with.

use std::{fmt, iter};

use auth_core::policy::InvalidSetting;
use redis::{Client, ConnectionAddr, ProtocolVersion, TlsCertificates};

/// Settings of a [`RedisStore`](super::RedisStore). Start from [`RedisConfig::new`] and change what differs.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS. Several nodes of a cluster have commas
    /// between them; all others are found by way of any of these, and take the same user and password.
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

    /// For each address of the URL one.
    pub(super) fn clients(&self) -> Result<Vec<Client>, InvalidSetting> {
        let clients: Vec<_> = addresses(&self.url).map(|url| self.client(url)).collect::<Result<_, _>>()?;
        let wrong = |why: &str| Err(InvalidSetting::new("redis.url", why));
        if clients.windows(2).any(|pair| shared_settings(&pair[0]) != shared_settings(&pair[1])) {
            return wrong("must have the same scheme, user and password for all nodes of a cluster");
        }
        if clients.len() > 1 && clients.iter().any(|client| client.get_connection_info().redis_settings().db() != 0) {
            return wrong("must name no database: a cluster has only number 0");
        }
        Ok(clients)
    }

    fn client(&self, url: &str) -> Result<Client, InvalidSetting> {
        // The reasons that the crate gives quote neither the address nor a password.
        let wrong = |error: redis::RedisError| InvalidSetting::new("redis.url", error.to_string());
        let client = match &self.root_certificates {
            None => Client::open(url).map_err(wrong)?,
            Some(pem) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(url, certificates)
                    .map_err(|error| InvalidSetting::new("redis.root_certificates", error.to_string()))?
            }
        };
        match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } if host.contains(',') => {
                return Err(InvalidSetting::new("redis.url", "must have a scheme at each node of a cluster"));
            }
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(InvalidSetting::new("redis.url", "must not say `#insecure`: give `root_certificates`"));
            }
            ConnectionAddr::TcpTls { .. } => install_crypto(),
            _ => {}
        }
        Ok(client)
    }
}

/// The parts between commas. A comma without a scheme behind it is one of a password.
fn addresses(urls: &str) -> impl Iterator<Item = &str> {
    let is_url = |text: &str| {
        let scheme = text.trim_start().split_once("://").map_or("", |(scheme, _)| scheme);
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let mut rest = Some(urls);
    iter::from_fn(move || {
        let text = rest?;
        let comma = text.match_indices(',').map(|(at, _)| at).find(|at| is_url(&text[at + 1..]));
        rest = comma.map(|at| &text[at + 1..]);
        Some(text[..comma.unwrap_or(text.len())].trim())
    })
}

/// What the nodes that the cluster names are reached with.
fn shared_settings(client: &Client) -> (bool, Option<&str>, Option<&str>, ProtocolVersion) {
    let settings = client.get_connection_info().redis_settings();
    let is_tls = matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. });
    (is_tls, settings.username(), settings.password(), settings.protocol())
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
