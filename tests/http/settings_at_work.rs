//! Settings of the facade that no other scenario turns: each does what it says.

use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::testing::ManualClock;
use auth_system::auth_core::token::RootSecret;
use auth_system::auth_core::types::{Email, SessionId, TenantId};
use auth_system::config::Profile;
use auth_system::hash::Argon2Params;
use auth_system::mail::DirTransport;
use auth_system::{Auth, Config};
use serde_json::json;

use crate::door::Driver;
use crate::place::Store;
use crate::scenarios;
use crate::world::{self, Ground, PASSWORD, World, claims, post};

scenarios![
    tokens_and_links_need_the_secret_that_made_them,
    tokens_are_for_one_issuer_and_audience,
    only_a_trusted_proxy_names_the_client,
    the_profile_brings_its_policy,
    links_live_as_long_as_they_are_told,
    a_step_up_age_of_zero_asks_for_the_proof_each_time,
];

const MEMORY: Ground = Ground { store: Store::Memory, driver: Driver::Axum };

fn secret(first: &str) -> RootSecret {
    RootSecret::parse(&format!("{first}{}", &world::SECRET[first.len()..])).unwrap()
}

async fn a_step_up_age_of_zero_asks_for_the_proof_each_time(ground: Ground) {
    let world = ground.world_with(|config| config.policy.sudo_max_age = Duration::ZERO).await;
    world.account("ada@example.org").await;
    // In the very moment of the login.
    let jar = world.session("ada@example.org").await;
    let body = json!({ "new_email": "new@example.org" });
    let answer = world.send(post("change-email/").jar(&jar).json(body)).await;
    answer.refused(403, "reauthentication_required");
    let body = json!({ "new_email": "new@example.org", "password": PASSWORD });
    assert_eq!(world.send(post("change-email/").jar(&jar).json(body)).await.status, 200);
    let body = json!({ "password": PASSWORD });
    let jar = world.send(post("reauthenticate/").jar(&jar).json(body)).await.jar();
    world.send(post("2fa/setup/").jar(&jar).json(json!({}))).await.refused(403, "reauthentication_required");
}

async fn tokens_and_links_need_the_secret_that_made_them(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.sign_up("bob@example.org", PASSWORD).await;
    let link = world.link("bob@example.org", MailPurpose::VerifyEmail).await;
    let other = world.restarted(|config| config.secret = secret("ffff")).await;
    other.me(&jar).await.refused(401, "token_not_valid");
    other.refresh(&jar).await.refused(401, "refresh_invalid");
    other.send(link.verify()).await.refused(400, "link_invalid");
    let accepting = world
        .restarted(|config| {
            config.secret = secret("ffff");
            config.accepted_secrets = vec![secret("eeee"), secret("")];
            config.data_keys = vec![secret("")];
        })
        .await;
    assert_eq!(accepting.me(&jar).await.status, 200);
    assert_eq!(accepting.send(link.verify()).await.status, 200);
}

async fn tokens_are_for_one_issuer_and_audience(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let set: [fn(&mut Config); 2] = [|config| config.issuer = "shop".into(), |config| config.audience = "shop".into()];
    for (set, claim) in set.into_iter().zip(["iss", "aud"]) {
        let other = world.restarted(set).await;
        other.me(&jar).await.refused(401, "token_not_valid");
        other.refresh(&jar).await.refused(401, "refresh_invalid");
        let own = other.session("ada@example.org").await;
        assert_eq!((&claims(own.access())[claim], &claims(own.refresh())[claim]), (&json!("shop"), &json!("shop")));
        world.me(&own).await.refused(401, "token_not_valid");
    }
}

async fn only_a_trusted_proxy_names_the_client(ground: Ground) {
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let login = post("login/").json(login).header("x-forwarded-for", "203.0.113.9, 198.51.100.7");
    for (trusted, client) in [
        (vec![], "192.0.2.1"),
        (vec!["192.0.2.1/32"], "198.51.100.7"),
        (vec!["192.0.2.0/24", "198.51.100.7/32"], "203.0.113.9"),
    ] {
        let trusted: Vec<_> = trusted.into_iter().map(|network| network.parse().unwrap()).collect();
        let world = ground.world_with(|config| config.trusted_proxies = trusted).await;
        world.account("ada@example.org").await;
        let jar = world.send(login.clone()).await.jar();
        let session = SessionId(claims(jar.access())["sid"].as_str().unwrap().parse().unwrap());
        let ports = world.auth.system().ports();
        let row = ports.sessions.find(&TenantId::default(), session).await.unwrap().unwrap().row;
        assert_eq!(row.address.unwrap().to_string(), client);
    }
}

async fn the_profile_brings_its_policy(ground: Ground) {
    let (standard, django) = (ground.world().await, ground.world_with(|config| config.profile = Profile::Django).await);
    let policy = |world: &World| {
        let policy = world.auth.system().policy();
        (policy.usernames, policy.reveal_taken_emails)
    };
    assert_eq!((policy(&standard), policy(&django)), ((false, false), (true, true)));
}

async fn links_live_as_long_as_they_are_told(ground: Ground) {
    let second = Duration::from_secs(1);
    for lifetime in [Duration::from_secs(3600), Duration::from_secs(8000)] {
        let configure = |config: &mut Config| {
            config.policy.verify_link_lifetime = lifetime;
            config.policy.reset_link_lifetime = lifetime;
            config.policy.not_me_link_lifetime = lifetime;
        };
        for (after, ok) in [(lifetime - second, true), (lifetime, false)] {
            let world = ground.world_with(configure).await;
            world.sign_up("bob@example.org", PASSWORD).await;
            let verify = world.link("bob@example.org", MailPurpose::VerifyEmail).await;
            world.account("ada@example.org").await;
            let jar = world.session("ada@example.org").await;
            world.change_password(&jar, PASSWORD, PASSWORD).await;
            let notice = world.link("ada@example.org", MailPurpose::PasswordChanged).await;
            world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
            let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
            world.advance(after);
            for call in [verify.verify(), reset.set_password("a new password"), notice.not_me()] {
                let answer = world.send(call).await;
                assert_eq!(answer.status == 200, ok, "{answer:?} after {after:?} of {lifetime:?}");
            }
        }
    }
}

#[tokio::test]
async fn passwords_are_measured_by_the_settings() {
    let variables = [
        ("AUTH_SECRET", world::SECRET),
        ("AUTH_FRONTEND_URL", "https://app.example.org"),
        ("AUTH_PRODUCT", "Analytical Shop"),
        ("AUTH_ISSUER", "engine-room"),
        ("AUTH_PASSWORD_MIN_LENGTH", "15"),
        ("AUTH_PASSWORD_MAX_LENGTH", "128"),
    ];
    let find = |asked| variables.iter().find(|(name, _)| *name == asked).map(|(_, text)| (*text).to_owned());
    let mut set = Config::from_lookup(find).unwrap();
    set.policy.timed_limits = false;
    let world = MEMORY.world_with(|config| *config = set).await;
    for (password, wrong) in [
        ("fourteen chars".to_owned(), vec!["password_too_short"]),
        ("x y".repeat(43), vec!["too_long"]),
        ("Analytical-Shop-1815".to_owned(), vec!["password_too_similar"]),
        ("1234567-engine-room".to_owned(), vec![]),
        ("123 engine room 1".to_owned(), vec!["password_too_similar"]),
        ("AuthSystem-2026!".to_owned(), vec![]),
    ] {
        assert_eq!(world.sign_up("ada@example.org", &password).await.field("password"), wrong, "{password}");
    }
    // The profile's own rule, and a rule and names that code alone sets.
    for (set, password, expected) in [
        (|config: &mut Config| config.profile = Profile::Django, "83749261", "entirely numeric"),
        (|config| config.policy.password.refuse_numeric = true, "83749261", "entirely numeric"),
        (|config| config.policy.password.service_names = vec!["Difference".into()], "difference1", "too similar"),
    ] as [(fn(&mut Config), _, _); 3]
    {
        let (usual, other) = (MEMORY.world().await, MEMORY.world_with(set).await);
        assert_eq!(usual.sign_up("ada@example.org", password).await.status, 201);
        assert!(other.sign_up("ada@example.org", password).await.text().contains(expected), "{password}");
    }
}

/// The hash of an account's password.
async fn stored_hash(world: &World) -> String {
    let (tenant, email) = (TenantId::default(), Email::parse("ada@example.org").unwrap());
    let user = world.auth.system().ports().users.find(&tenant, UserKey::Email(&email)).await.unwrap();
    user.unwrap().password_hash.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_hash_costs_what_the_settings_say_and_needs_its_data_key() {
    let clock = ManualClock::new();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let node = async |configure: &dyn Fn(&mut Config)| {
        let mut config = world::config();
        config.argon2 = Argon2Params::insecure_for_tests();
        configure(&mut config);
        let world = MEMORY.world().await;
        let auth = Auth::builder(config).store(store.clone()).clock(clock.clone()).mailer(world.mailer.clone());
        world.around(auth.without_workers().build().unwrap())
    };
    let (old, new) = (secret("aaaa"), secret("bbbb"));
    let plain = node(&|config| config.argon2 = Argon2Params::new(7_168, 5, 1).unwrap()).await;
    plain.account("ada@example.org").await;
    assert!(stored_hash(&plain).await.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"));

    let peppered = |keys: Vec<RootSecret>| {
        move |config: &mut Config| {
            config.pepper = true;
            config.data_keys.clone_from(&keys);
        }
    };
    let world = node(&peppered(vec![old.clone()])).await;
    world.session("ada@example.org").await;
    let under_old = stored_hash(&world).await;
    assert!(under_old.starts_with("$argon2id$v=19$m=8,t=1,p=1,keyid="), "renewed at the login: {under_old}");
    // Without its key the right password is a wrong one.
    for keys in [vec![], vec![new.clone()]] {
        node(&peppered(keys)).await.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    }
    node(&|_| {}).await.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");
    let rotated = node(&peppered(vec![new.clone(), old.clone()])).await;
    rotated.session("ada@example.org").await;
    assert_ne!(stored_hash(&rotated).await.split('$').nth(3), under_old.split('$').nth(3), "renewed under the new key");
    node(&peppered(vec![new])).await.session("ada@example.org").await;
    node(&peppered(vec![old])).await.log_in("ada@example.org", PASSWORD).await.refused(401, "invalid_credentials");

    // Where no data key is set, the secret is; it stays one when it no longer signs.
    let by_secret = |config: &mut Config| config.pepper = true;
    let world = node(&by_secret).await;
    world.sign_up("eve@example.org", PASSWORD).await;
    world.send(world.link("eve@example.org", MailPurpose::VerifyEmail).await.verify()).await;
    let turn = |config: &mut Config| {
        by_secret(config);
        config.accepted_secrets = vec![config.secret.clone()];
        config.data_keys = vec![secret("dddd"), config.secret.clone()];
        config.secret = secret("cccc");
    };
    assert_eq!(node(&turn).await.log_in("eve@example.org", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn mails_bear_the_applications_address_name_and_sender() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = world::config();
    config.frontend_url = "https://shop.example.org/app".into();
    config.product = "The Shop".into();
    config.mail_from = "Shop <shop@example.org>".into();
    let world = MEMORY.world().await;
    let transport = DirTransport::new(folder.path(), config.sender().unwrap()).unwrap();
    let store = MemoryStore::new(Arc::new(world.clock.clone()));
    let builder = Auth::builder(config).store(store).hasher(world.hasher.clone()).clock(world.clock.clone());
    let auth = builder.mail(transport).without_workers().build().unwrap();
    let world = world.around(auth);
    world.sign_up("ada@example.org", PASSWORD).await;
    assert_eq!(world.auth.system().deliver_mail().await.unwrap().sent, 1);
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(file).unwrap();
    for part in
        ["From: Shop <shop@example.org>\r\n", "\r\nhttps://shop.example.org/app/verify-account?uid=", "The Shop"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}
