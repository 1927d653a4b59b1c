//! What is in Redis: nothing that opens anything or names anybody, and nothing for ever.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::cmd;
use serde_json::json;

use crate::server;
use crate::world::{PASSWORD, World};

#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn a_dump_holds_no_address_no_token_and_no_code() {
    let config = server::with_own_prefix();
    let (world, prefix) = (World::new(config.clone()), config.prefix);
    let ada = world.two_factor_account("ada@example.org").await;
    // A login that waits, a set-up that waits, and failures of every kind.
    let token = world.begin(&ada.email).await.unwrap();
    assert_eq!(world.verify(&token, "000000").await.code(), "invalid_code");
    world.account("eve@example.org").await;
    let secret = world.set_up(&world.log_in("eve@example.org", PASSWORD).await.cookies).await;
    assert_eq!(world.log_in("eve@example.org", "Sesame-4711-wrong").await.status, 401);
    assert_eq!(world.log_in("nobody@example.org", "Sesame-4711-wrong").await.status, 401);
    world.post("password-reset/", "", json!({ "email": "eve@example.org" })).await;

    let mut connection = server::connect(&server::url()).await;
    let keys = server::keys(&mut connection, &prefix).await;
    for kind in ["pending:", "attempts:"] {
        assert!(keys.iter().filter(|key| key.contains(kind)).count() >= 2, "{keys:?}");
    }
    let mut dump = Vec::new();
    for key in &keys {
        dump.extend_from_slice(key.as_bytes());
        dump.extend(cmd("DUMP").arg(key).query_async::<Vec<u8>>(&mut connection).await.unwrap());
        for (name, value) in server::fields(&mut connection, key).await {
            dump.extend([name.into_bytes(), value].concat());
        }
    }
    let user = world.user("ada@example.org").await.id;
    assert!(contains(&dump, user.as_str().as_bytes()), "the dump is a dump");
    let texts =
        [token.as_str(), PASSWORD, "Sesame", &ada.secret, &secret, "ada@", "eve@", "nobody@", "example.org", "192.0.2"];
    let codes = ada.backup_codes.iter().map(String::as_str);
    for text in texts.into_iter().chain(codes).chain(ada.cookies.split("; ")) {
        let value = text.split_once('=').map_or(text, |(_, value)| value);
        assert!(!contains(&dump, value.as_bytes()), "{value} is in Redis");
    }
    let decoded = |text: &str| data_encoding::BASE32_NOPAD.decode(text.as_bytes()).unwrap();
    for bytes in [uuid::Uuid::parse_str(&token).unwrap().into_bytes().to_vec(), decoded(&ada.secret), decoded(&secret)]
    {
        assert!(!contains(&dump, &bytes), "{bytes:?} is in Redis");
    }
    // What stands there is not taken for what it was made of.
    for key in &keys {
        let digest = URL_SAFE_NO_PAD.decode(key.rsplit(':').next().unwrap()).unwrap();
        for part in digest.chunks(16) {
            let token = uuid::Uuid::from_slice(part).unwrap().to_string();
            assert_eq!(world.verify(&token, &world.code(&ada)).await.code(), "pending_session_invalid");
        }
    }
    assert_eq!(world.verify(&token, &world.code(&ada)).await.status, 200);
}

fn contains(dump: &[u8], part: &[u8]) -> bool {
    dump.windows(part.len()).any(|window| window == part)
}

/// However many names clients make up, what is kept for them goes by itself.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts one"]
async fn every_key_expires() {
    let config = server::with_own_prefix();
    let (world, prefix) = (World::new(config.clone()), config.prefix);
    let ada = world.two_factor_account("ada@example.org").await;
    for number in 0..300 {
        assert_eq!(world.log_in(&format!("{number}@example.org"), "wrong").await.status, 401);
    }
    for _ in 0..100 {
        world.begin(&ada.email).await.unwrap();
    }
    let mut connection = server::connect(&server::url()).await;
    let keys = server::keys(&mut connection, &prefix).await;
    // A window and a bucket for each name, and what waits.
    assert!((700..750).contains(&keys.len()), "{}", keys.len());
    let grace = Duration::from_secs(600);
    for key in &keys {
        let left = server::time_left(&mut connection, key).await;
        let longest = if key.contains("pending:") { Duration::from_secs(300) } else { Duration::from_secs(3600) };
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_else(|_| panic!("{key} stays for ever")));
        assert!(left > grace / 2 && left <= longest + grace, "{key}: {left:?}");
    }
}
