//! The wire, byte for byte: what each endpoint answers in both profiles, beside the recorded answers.

use std::fmt::Write as _;

use auth_system::config::Profile;
use http::Method;
use serde_json::{Value, json};

use crate::conventions::{ROWS, refusals, successes};
use crate::door::Driver;
use crate::golden;
use crate::place::Store;
use crate::world::{ACCESS, Answer, Authenticator, Call, Ground, Jar, PASSWORD, REFRESH, World, call, get, post};

/// Drivers answer alike (`parity`) and so do stores, so one of each is recorded.
const GROUND: Ground = Ground { store: Store::Memory, driver: Driver::Bare };

#[tokio::test]
async fn every_answer_is_as_recorded_in_the_standard_profile() {
    golden::check("wire.standard.txt", &recorded(Profile::Standard).await);
}

#[tokio::test]
async fn every_answer_is_as_recorded_in_the_django_profile() {
    golden::check("wire.django.txt", &recorded(Profile::Django).await);
}

async fn recorded(profile: Profile) -> String {
    let mut text = String::new();
    let world = GROUND.world_with(|config| config.profile = profile).await;
    let succeeding = match profile {
        Profile::Django => django_successes(&world).await,
        _ => successes(&world).await,
    };
    for call in succeeding {
        record(&world, call, &mut text).await;
    }
    for (_, call) in refusals() {
        record(&world, call, &mut text).await;
    }
    let world = GROUND.world_with(|config| config.profile = profile).await;
    for call in refused(&world, profile).await {
        record(&world, call, &mut text).await;
    }
    for (method, path) in ROWS {
        record(&world, call(Method::OPTIONS, path).header("origin", "https://app.example.org"), &mut text).await;
        record(&world, call(method, path), &mut text).await;
    }
    let world = GROUND.world_with(|config| (config.profile, config.policy.timed_limits) = (profile, true)).await;
    for _ in 0..5 {
        world.log_in("nobody@example.org", PASSWORD).await;
    }
    for path in ["login/", "password-reset/"] {
        let body = json!({ "email": "nobody@example.org", "password": PASSWORD });
        record(&world, post(path).json(body), &mut text).await;
    }
    for _ in 0..100 {
        world.send(post("login/").json(json!({}))).await;
    }
    record(&world, post("login/").json(json!({})), &mut text).await;
    text
}

/// Requests that succeed in the Django profile, where forms repeat passwords.
async fn django_successes(world: &World) -> Vec<Call> {
    world.account("ada@example.org").await;
    let (jar, leaving) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let form = json!({
        "email": "grace@example.org", "username": "grace", "password": PASSWORD, "confirm_password": PASSWORD,
    });
    let change = json!({ "old_password": PASSWORD, "new_password": "one more password", "confirm_password": "one more password" });
    vec![
        post("signup/").json(form),
        post("login/").json(json!({ "email": "ada@example.org", "password": PASSWORD })),
        get("me/").jar(&jar),
        call(Method::PATCH, "me/").jar(&jar).json(json!({ "first_name": "Ada" })),
        post("refresh/").jar(&jar),
        post("2fa/setup/").jar(&jar).json(json!({})),
        post("change-email/").jar(&jar).json(json!({ "new_email": "ada2@example.org" })),
        post("password-reset/").json(json!({ "email": "ada@example.org" })),
        post("logout/").jar(&leaving),
        post("change-password/").jar(&jar).json(change),
    ]
}

/// Requests that are refused by more than their outer form.
async fn refused(world: &World, profile: Profile) -> Vec<Call> {
    let (access, refresh) = match profile {
        Profile::Django => ("access_token", "refresh_token"),
        _ => (ACCESS, REFRESH),
    };
    let (enrolled, authenticator) = Authenticator::enrolled(world, "enrolled@example.org").await;
    world.account("plain@example.org").await;
    let plain = world.session("plain@example.org").await;
    let setting_up = {
        world.account("setting-up@example.org").await;
        let jar = world.session("setting-up@example.org").await;
        Authenticator::set_up(world, &jar).await;
        jar
    };
    let pending = world.log_in("enrolled@example.org", PASSWORD).await.json()["session_token"].clone();
    let link = json!({ "uid": "AA", "token": "nonsense" });
    let mut calls = Vec::new();
    for (method, path) in ROWS {
        let bodies = [json!({}), json!([]), json!(null), json!("text"), json!(1), json!(1.5), json!(true)];
        for body in bodies {
            calls.push(call(method.clone(), path).jar(&plain).json(body));
        }
        calls.push(call(method.clone(), path).jar(&enrolled).json(json!({})));
        calls.push(call(method.clone(), path).jar(&plain).json(wrong_in_every_field()));
        calls.push(call(method.clone(), path).jar(&enrolled).json(wrong_in_every_field()));
        calls.push(call(method.clone(), path).jar(&plain).json(link.clone()));
        calls.push(call(method, path).jar(&Jar::of(access, "nonsense")));
    }
    let wrong = json!({
        "password": "a wrong password", "old_password": "a wrong password", "new_password": "another password",
        "confirm_password": "another password", "new_email": "new@example.org", "code": "000000",
        "current_code": "000000", "session_token": pending, "confirm_deactivation": true, "email": "plain@example.org",
    });
    let differing = json!({
        "email": "differing@example.org", "password": PASSWORD, "confirm_password": "another password", "uid": "AA",
        "token": "nonsense", "old_password": PASSWORD, "new_password": "one more password", "username": "differing",
    });
    let taken = json!({
        "email": "taken@example.org", "password": PASSWORD, "confirm_password": PASSWORD, "username": "plain",
    });
    for path in ["login/", "reauthenticate/", "change-password/", "change-email/", "deactivate-account/"] {
        calls.push(post(path).jar(&plain).json(wrong.clone()));
    }
    for path in ["2fa/setup/", "2fa/enable/", "2fa/disable/", "2fa/replace/", "2fa/backup-codes/", "2fa/verify-login/"]
    {
        for jar in [&plain, &setting_up, &enrolled] {
            calls.push(post(path).jar(jar).json(wrong.clone()));
        }
    }
    for path in ["signup/", "password-reset-confirm/", "change-password/"] {
        calls.push(post(path).jar(&plain).json(differing.clone()));
    }
    calls.push(post("signup/").json(taken));
    calls.push(get("2fa/backup-codes/").jar(&plain));
    calls.push(get("me/").jar(&Jar::of(access, plain.refresh())));
    calls.push(post("refresh/").jar(&Jar::of(refresh, plain.access())));
    let current = json!({ "code": authenticator.code_at(world, 1), "password": PASSWORD });
    calls.push(post("2fa/enable/").jar(&enrolled).json(current));
    calls
}

/// No field takes an object.
fn wrong_in_every_field() -> Value {
    let names = [
        "email",
        "password",
        "confirm_password",
        "username",
        "first_name",
        "last_name",
        "remember",
        "new_email",
        "code",
        "old_password",
        "new_password",
        "confirm_deactivation",
        "replace",
        "current_code",
        "backup_code",
        "session_token",
        "uid",
        "token",
    ];
    names.into_iter().map(|name| (name.to_owned(), json!({ "a": 1 }))).collect::<serde_json::Map<_, _>>().into()
}

async fn record(world: &World, call: Call, text: &mut String) {
    let answer = world.send(call.clone()).await;
    let body = String::from_utf8_lossy(&call.body);
    let shown: String = body.chars().take(200).collect();
    writeln!(text, "{} {} {}", call.method, plain(&call.path), plain(&shown)).unwrap();
    writeln!(text, "  {}", answer.status).unwrap();
    let mut headers: Vec<_> = answer.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        writeln!(text, "  {name}: {}", plain(value.to_str().unwrap())).unwrap();
    }
    writeln!(text, "  {}\n", plain(&without_secrets(&answer))).unwrap();
}

/// The body, with the names of members in place of values that are made at random and too short for [`plain`] to see.
fn without_secrets(answer: &Answer) -> String {
    let mut body = String::from_utf8_lossy(&answer.body).into_owned();
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for image in [&json["qr_svg"], &json["qr_code"]].into_iter().filter(|image| image.is_string()) {
        body = body.replace(&image.to_string(), "<image>");
    }
    for code in json["backup_codes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !code.starts_with('*') {
            body = body.replace(code, "<code>");
        }
    }
    body
}

/// With `<random>` for each run of characters that looks as if it had been made at random.
fn plain(text: &str) -> String {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.+/%".contains(c);
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
        if length == 0 {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (run, after) = rest.split_at(length);
        let digits = run.chars().filter(char::is_ascii_digit).count();
        let is_code = length == 6 && run.chars().all(|c| c.is_ascii_digit());
        let is_base32 = || run.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let random = is_code || (length >= 22 && (digits >= 2 || is_base32()));
        plain.push_str(if random { "<random>" } else { run });
        rest = after;
    }
    plain
}
