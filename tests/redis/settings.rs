//! Every setting at work, and what is refused.

use std::fs;
use std::time::Duration;

use auth_system::auth_core::port::{AttemptKey, AttemptStore as _, StoreError};
use auth_system::auth_core::types::Limit;
use auth_system::store::{RedisConfig, RedisStore};

use crate::ports::free_port;
use crate::redis_server::Redis;
use crate::server;

const MINUTE: Limit = Limit::new(1, Duration::from_secs(60));

async fn hit(store: &RedisStore) -> Result<bool, StoreError> {
    Ok(store.hit(&AttemptKey::new("test", &[b"a"]), MINUTE).await?.allowed)
}

async fn works(config: impl Into<RedisConfig>) -> bool {
    hit(&RedisStore::open(config).unwrap()).await.is_ok()
}

/// Why settings are refused: which one, and the text.
fn refusal(config: RedisConfig) -> (&'static str, String) {
    let error = RedisStore::open(config).unwrap_err();
    (error.setting, format!("{error} {error:?}"))
}

#[test]
fn what_cannot_be_is_refused_without_repeating_the_password() {
    for url in [
        "",
        "hunter2",
        "http://u:hunter2@h/",
        "redis://u:hunter2@/",
        "redis://u:hunter2@h/x",
        "redis://u:hunter2@h:hunter2/",
    ] {
        let (setting, text) = refusal(RedisConfig::new(url));
        assert_eq!(setting, "redis.url", "{url}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(refusal(RedisConfig::new("rediss://h/#insecure")).0, "redis.url");
    for prefix in ["", "with blank", "{tag}:", "ä:", &"x".repeat(65)] {
        let config = RedisConfig { prefix: prefix.into(), ..RedisConfig::new("redis://h/") };
        assert_eq!(refusal(config).0, "redis.prefix", "{prefix}");
    }
    let pem = Some(b"-----BEGIN CERTIFICATE-----\nnone".to_vec());
    for url in ["redis://h/", "rediss://h/"] {
        let config = RedisConfig { root_certificates: pem.clone(), ..RedisConfig::new(url) };
        assert_eq!(refusal(config).0, "redis.root_certificates", "{url}");
    }
}

#[test]
fn the_nodes_of_a_cluster_have_commas_between_them_and_settings_in_common() {
    let works = |urls: &str| drop(RedisStore::open(urls).unwrap());
    works("redis://a,redis://b:7000/, redis://c:7001/0");
    works("redis://u:hunter2@a,redis://u:hunter2@b");
    works("rediss://a,rediss://b");
    // A comma of a password, which one server may have in any database.
    works("redis://u:hunter,2@a/3");
    works("redis://u:hunter,2@a,redis://u:hunter,2@b");
    for (urls, why) in [
        ("redis://u:hunter2@a,redis://b", "same"),
        ("redis://u:hunter2@a,redis://u:hunter3@b", "same"),
        ("redis://u:hunter2@a,redis://v:hunter2@b", "same"),
        ("redis://u:hunter2@a,rediss://u:hunter2@b", "same"),
        ("redis://u:hunter2@a/3,redis://u:hunter2@b/3", "database"),
        ("redis://u:hunter2@a,redis://u:hunter2@b/1", "database"),
        ("rediss://u:hunter2@a,rediss://u:hunter2@b/#insecure", "insecure"),
        ("redis://u:hunter2@a,http://u:hunter2@b", "URL"),
        ("redis://u:hunter2@a,", "scheme"),
        ("redis://u:hunter2@a,b:7000", "scheme"),
        ("rediss://u:hunter2@a:7000,b:7000", ""),
        (",redis://u:hunter2@a", "URL"),
    ] {
        let (setting, text) = refusal(RedisConfig::new(urls));
        assert!(setting == "redis.url" && text.contains(why), "{urls}: {setting} {text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn debug_output_shows_no_password() {
    let config = RedisConfig::new("redis://u:hunter2@h/,redis://u:hunter2@i/");
    let text = format!("{config:?} {:?}", RedisStore::open(config.clone()).unwrap());
    assert!(text.contains("auth:") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn all_keys_begin_with_the_prefix() {
    for (prefix, config) in
        [("auth:", RedisConfig::new("")), ("x:", RedisConfig { prefix: "x:".into(), ..RedisConfig::new("") })]
    {
        let redis = Redis::start();
        let world = crate::world::World::new(RedisConfig { url: redis.url(), ..config });
        let account = world.two_factor_account("ada@example.org").await;
        world.begin(&account.email).await.unwrap();
        let keys = server::keys(&mut server::connect(&redis.url()).await, "").await;
        for kind in ["pending:", "attempts:"] {
            assert!(keys.iter().any(|key| key.starts_with(&format!("{prefix}{kind}"))), "{keys:?}");
        }
        assert!(keys.iter().all(|key| key.starts_with(prefix)), "{keys:?}");
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn the_password_and_the_database_of_the_url_are_used() {
    let redis = Redis::start_with(&["--requirepass", "hunter2"]);
    let address = redis.url().replace("redis://", "");
    for (user, accepted) in [("", false), (":wrong@", false), (":hunter2@", true), ("default:hunter2@", true)] {
        assert_eq!(works(format!("redis://{user}{address}").as_str()).await, accepted, "{user}");
    }
    assert!(works(format!("redis://:hunter2@{address}3").as_str()).await);
    let in_database = async |number: u8| {
        let mut connection = server::connect(&format!("redis://:hunter2@{address}{number}")).await;
        server::keys(&mut connection, "auth:").await.len()
    };
    assert_eq!((in_database(3).await, in_database(4).await), (1, 0));
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn tls_needs_a_certificate_that_is_trusted_and_no_provider_of_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&pem, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let (pem_file, key_file) = (pem.to_str().unwrap(), key.to_str().unwrap());
    let settings = ["--tls-port", &port, "--tls-cert-file", pem_file, "--tls-key-file", key_file];
    let no_clients = ["--tls-ca-cert-file", pem_file, "--tls-auth-clients", "no"];
    let _redis = Redis::start_with(&[settings.as_slice(), &no_clients].concat());

    let url = format!("rediss://localhost:{port}/");
    let trusted = RedisConfig { root_certificates: Some(fs::read(&pem).unwrap()), ..RedisConfig::new(&url) };
    assert!(works(trusted.clone()).await);
    assert!(!works(url.as_str()).await, "browsers do not trust it");
    let other_name = RedisConfig { url: url.replace("localhost", "127.0.0.1"), ..trusted };
    assert!(!works(other_name).await);
}
