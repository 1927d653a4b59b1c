//! Nothing secret in logs, in Debug output or in error texts, and nothing in the stores that opens anything.

mod dump;
mod vault;

use std::collections::BTreeSet;
use std::time::Duration;

use auth_system::auth_core::factor::{Confirmation, TotpPurpose};

use auth_system::auth_core::login::{LoginOutcome, LoginRequest, SecondFactorRequest};
use auth_system::auth_core::port::Clock as _;
use auth_system::auth_core::proof::LiveSession;
use auth_system::auth_core::types::{Client, Identifier, Password, PendingId, PendingPurpose};
use auth_system::{Auth, Config};
use serde_json::json;

use self::dump::Dump;
use self::vault::{PASSWORD, TYPED, Vault};
use crate::logs::Logs;
use crate::place::Part;
use crate::scenarios;
use crate::world::{ACCESS, Ground, Jar, REFRESH, SECRET, config, get, post};

scenarios![@kept no_secret_is_logged_at_any_level_by_any_thread, nothing_in_a_dump_opens_anything];

async fn no_secret_is_logged_at_any_level_by_any_thread(ground: Ground) {
    let logs = Logs::of_all_threads();
    let vault = Vault::new(ground).await;
    let jars = vault.live().await;
    let live = vault.auth.system().authenticate(jars[0].access()).await.unwrap();
    let user = vault.auth.system().request(&Client::default()).current_user(&live).await.unwrap();
    let store = vault.auth.system().ports().sessions.clone();
    let session = store.find(&user.tenant, live.session()).await.unwrap();
    let layer = vault.auth.layer().required();
    tracing::info!(?user, ?session, ?live, auth = ?vault.auth, system = ?vault.auth.system(), ?layer);
    tracing::info!(config = ?config(), builder = ?Auth::builder(config()), stats = ?vault.auth.hash_stats());
    let shown = second_factor_in_debug(&vault, &live).await;
    let lines = logs.take();
    let of_part = |part: &Part| match part {
        Part::Accounts => "the database does not answer",
        Part::ShortLived => "Redis does not answer",
    };
    let events = ["SignUpRepeated", "LoginRefused", "CodeRefused", "BackupCodeUsed", "RefreshReused", "MailDelayed"];
    let expected = events.into_iter().chain(vault.place.parts().iter().map(of_part));
    for expected in expected.chain(["request failed", "sqlx", "DEBUG"]) {
        assert!(lines.contains(expected), "{expected} is not logged");
    }
    let hash = user.password_hash.unwrap().expose().to_owned();
    let secrets = vault.secrets();
    assert!(secrets.len() > 30, "{}", secrets.len());
    for secret in secrets.into_iter().chain(shown).chain([
        hash,
        "$argon2id$".into(),
        "&token=".into(),
        "otpauth:".into(),
        "?secret=".into(),
    ]) {
        let found = lines.lines().find(|line| line.contains(&secret[..secret.len().min(40)]));
        assert_eq!(found, None, "{secret}");
    }
}

/// Logs all that the flows of two-factor login take and give, and returns the secrets in it.
async fn second_factor_in_debug(vault: &Vault, live: &LiveSession) -> Vec<String> {
    let (system, client, password) = (vault.auth.system(), Client::default(), Password::new(PASSWORD).unwrap());
    let setup =
        system.request(&client).two_factor().set_up(live, Confirmation::default(), TotpPurpose::Enrol).await.unwrap();
    let enabled = system.request(&client).two_factor().enable(live, &vault.code(setup.secret.expose())).await.unwrap();
    vault.clock.advance(Duration::from_secs(30));
    let user = system
        .request(&client)
        .current_user(&system.authenticate(enabled.session.access.token.expose()).await.unwrap())
        .await;
    let user = user.unwrap();
    let rows = system.ports().credentials.of_user(&user.tenant, &user.id).await.unwrap();
    let channel = auth_system::auth_core::types::Channel::Cookie;
    let request = LoginRequest::new(Identifier::parse("ada@example.org"), &password).channel(channel);
    tracing::info!(?request);
    let first = system.request(&client).login(request).await.unwrap();
    tracing::info!(?setup, ?enabled, ?rows, ?first, ?user, vault = ?system);
    let LoginOutcome::SecondFactorRequired(token) = first else { panic!("no second factor was asked for") };
    let id = PendingId::of(PendingPurpose::SecondFactor, uuid::Uuid::parse_str(token.expose()).unwrap().as_bytes());
    let pending = system.ports().pending.find(&id, vault.clock.now()).await.unwrap().unwrap();
    let code = vault.code(setup.secret.expose());
    let request = SecondFactorRequest { token: token.expose(), code: &code };
    tracing::info!(?request, ?pending);
    let verified = system.request(&client).verify_login(request).await.unwrap();
    tracing::info!(?verified);
    let session = &verified.login.session;
    let tokens = [&setup.secret, &setup.uri, &token, &session.access.token, &session.refresh.token];
    let shown = tokens.into_iter().chain(&enabled.backup_codes).map(|token| token.expose().to_owned());
    // Of tokens, what nobody can make up.
    shown.map(|text| text.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

async fn nothing_in_a_dump_opens_anything(ground: Ground) {
    let vault = Vault::new(ground).await;
    let jars = vault.live().await;
    let dump = Dump::of(&vault.place).await;
    assert!(dump.shows(b"ada@example.org") && dump.shows(b"$argon2id$"), "the dump is a dump");
    assert!(dump.shows(b"ada2@example.org"), "what no row holds any more is in it");
    for secret in vault.secrets().into_iter().chain(vault.tokens.lock().unwrap().clone()) {
        assert!(!dump.shows(secret.as_bytes()), "{secret} is in the dump");
    }
    let second = vault.second.lock().unwrap().clone();
    let pending = uuid::Uuid::parse_str(&second.pending).unwrap().into_bytes().to_vec();
    for secret in [totp_bytes(&second.secret), totp_bytes(&second.adas_secret), pending] {
        assert!(!dump.shows(&secret), "{secret:?} is in the dump");
        for text in vault::spellings(&secret) {
            assert!(!dump.shows(text.as_bytes()), "{text} is in the dump");
        }
    }

    let vault = vault.without_timed_limits().await;
    let candidates = dump.candidates();
    assert!(candidates.len() > 100, "{candidates:?}");
    let uids: BTreeSet<_> = vault.links.lock().unwrap().iter().map(|link| link.uid.clone()).collect();
    assert_eq!(uids.len(), 2);
    // The code of now was used in the life: with the next one a pending login that is found can be told.
    vault.clock.advance(Duration::from_secs(30));
    for (number, candidate) in candidates.iter().enumerate() {
        assert_eq!(opened(&vault, candidate, &uids).await, None, "{candidate}");
        assert_eq!(passed(&vault, candidate, &jars[0]).await, None, "{candidate}");
        if number % 100 == 0 {
            // Too many failures would end the experiment.
            assert_eq!(vault.place.run("UPDATE auth_credentials SET consecutive_failures = 0").await, 4);
            assert_eq!(vault.place.run("UPDATE auth_users SET consecutive_failures = 0").await, 3);
        }
    }
    // The experiment finds what does open.
    let wrong = post("2fa/enable/").jar(&jars[0]).json(json!({ "code": "000000" }));
    vault.send(wrong).await.refused(400, "invalid_code");
    assert_eq!(passed(&vault, &second.backup_codes[0], &jars[0]).await, Some("code"));
    let eve = json!({ "email": "eve@example.org", "password": TYPED[2] });
    let pending = vault.post("login/", eve).await.json()["session_token"].as_str().unwrap().to_owned();
    assert_eq!(passed(&vault, &pending, &jars[0]).await, Some("pending login"));
    let links = vault.links.lock().unwrap().clone();
    let [.., notice, change, latest] = &links[..] else { panic!("{links:?}") };
    for (secret, what) in [
        (PASSWORD, "password"),
        (jars[0].access(), "access token"),
        (jars[1].refresh(), "refresh token"),
        (&latest.token, "link"),
        (&change.token, "link"),
        (&notice.token, "link"),
    ] {
        assert_eq!(opened(&vault, secret, &uids).await, Some(what));
    }
}

fn totp_bytes(secret: &str) -> Vec<u8> {
    data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap()
}

/// As what a text opens an account, if it does.
async fn opened(vault: &Vault, candidate: &str, uids: &BTreeSet<String>) -> Option<&'static str> {
    for email in ["ada@example.org", "eve@example.org"] {
        if vault.post("login/", json!({ "email": email, "password": candidate })).await.status == 200 {
            return Some("password");
        }
    }
    // What no header can carry is no cookie.
    if candidate.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') {
        if vault.send(get("me/").jar(&Jar::of(ACCESS, candidate))).await.status == 200 {
            return Some("access token");
        }
        if vault.send(post("refresh/").jar(&Jar::of(REFRESH, candidate))).await.status == 200 {
            return Some("refresh token");
        }
    }
    for uid in uids {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("uid", uid)
            .append_pair("token", candidate)
            .finish();
        let verified = vault.send(get(&format!("verify-account/?{query}"))).await;
        let moved = vault.send(get(&format!("change-email-confirm/?{query}"))).await;
        let genuine = [verified, moved].iter().any(|answer| answer.json()["code"] != "link_invalid");
        let body = json!({ "uid": uid, "token": candidate, "password": PASSWORD });
        if genuine
            || vault.post("not-me/", body.clone()).await.status == 200
            || vault.post("password-reset-confirm/", body).await.status == 200
        {
            return Some("link");
        }
    }
    None
}

/// Which part of a second factor a text stands for, if it does.
async fn passed(vault: &Vault, candidate: &str, adas: &Jar) -> Option<&'static str> {
    let second = vault.second.lock().unwrap().clone();
    let verify = async |token: &str, code: &str| {
        vault.post("2fa/verify-login/", json!({ "session_token": token, "code": code })).await.status == 200
    };
    // A code is spent for a pending login that there is, and for no other.
    if verify(candidate, &vault.code(&second.secret)).await {
        return Some("pending login");
    }
    if (6..=17).contains(&candidate.len()) && verify(&second.pending, candidate).await {
        return Some("code");
    }
    if candidate.len() == 6 {
        let enable = post("2fa/enable/").jar(adas).json(json!({ "code": candidate }));
        return (vault.send(enable).await.status == 200).then_some("first code");
    }
    None
}

#[test]
fn errors_never_repeat_a_secret() {
    for text in
        ["hunter2hunter2hunter2", "68756e7465723268756e7465723268", "hunter2hunter2hunter2hunter2hunter2hunter2=="]
    {
        for name in ["AUTH_SECRET", "AUTH_SECRET_ACCEPTED", "AUTH_DATA_KEYS"] {
            let error = Config::from_lookup(|asked| match asked {
                _ if asked == name => Some(text.to_owned()),
                "AUTH_SECRET" => Some(SECRET.to_owned()),
                "AUTH_FRONTEND_URL" => Some("https://app.example.org".to_owned()),
                _ => None,
            });
            let error = error.unwrap_err();
            assert!(!format!("{error} {error:?}").contains(&text[..7]), "{error:?}");
        }
    }
}
