//! What holds for every answer: its headers, its shape, trailing slashes, OPTIONS and HEAD, and 503 where a part is down.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use http::{HeaderMap, Method};
use serde_json::json;

use crate::faults::{Fault, Faults};
use crate::scenarios;
use crate::world::{ACCESS, Answer, Authenticator, Call, Ground, Jar, PASSWORD, REFRESH, World, call, get, post};

scenarios![
    every_answer_carries_the_same_headers,
    a_problem_has_exactly_these_keys,
    a_trailing_slash_makes_no_difference,
    options_says_what_is_allowed,
    head_is_get_without_a_body,
    only_session_endpoints_say_how_to_authenticate,
    a_store_that_is_down_is_503_on_every_endpoint,
    a_store_that_holds_nonsense_is_500_and_says_no_more,
    a_busy_hasher_is_503_with_its_own_wait,
    a_store_that_hangs_keeps_nobody_waiting_for_the_access_check,
];

/// Every endpoint.
#[rustfmt::skip]
pub(crate) const ROWS: [(Method, &str); 25] = [
    (Method::POST, "signup/"),
    (Method::GET, "verify-account/"),
    (Method::POST, "verify-account/"),
    (Method::POST, "resend-verification/"),
    (Method::POST, "login/"),
    (Method::POST, "refresh/"),
    (Method::POST, "logout/"),
    (Method::GET, "me/"),
    (Method::PATCH, "me/"),
    (Method::POST, "reauthenticate/"),
    (Method::POST, "change-password/"),
    (Method::POST, "change-email/"),
    (Method::GET, "change-email-confirm/"),
    (Method::POST, "change-email-confirm/"),
    (Method::POST, "not-me/"),
    (Method::POST, "deactivate-account/"),
    (Method::POST, "password-reset/"),
    (Method::POST, "password-reset-confirm/"),
    (Method::POST, "2fa/setup/"),
    (Method::POST, "2fa/enable/"),
    (Method::POST, "2fa/disable/"),
    (Method::POST, "2fa/replace/"),
    (Method::POST, "2fa/verify-login/"),
    (Method::GET, "2fa/backup-codes/"),
    (Method::POST, "2fa/backup-codes/"),
];

/// The `Allow` of a path.
pub(crate) fn allow(path: &str) -> String {
    let path = path.strip_prefix("/api/auth/").unwrap_or(path).split('?').next().unwrap().trim_end_matches('/');
    let mut methods: Vec<&str> = Vec::new();
    for (method, _) in ROWS.iter().filter(|(_, row)| row.trim_end_matches('/') == path) {
        methods.push(method.as_str());
        if *method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// A request that succeeds, for each of [`ROWS`]. What ends sessions has an account of its own, or comes after all others.
pub(crate) async fn successes(world: &World) -> Vec<Call> {
    let account = async |name: &str| {
        let email = format!("{name}@example.org");
        world.account(&email).await;
        world.session(&email).await
    };
    let jar = account("ada").await;
    let (changing, moving, robbed) = (account("changing").await, account("moving").await, account("robbed").await);
    let (renewing, leaving) = (account("renewing").await, account("leaving").await);
    let enabling = account("enabling").await;
    let secret = Authenticator::set_up(world, &enabling).await;
    let (disabling, disabling_with) = Authenticator::enrolled(world, "disabling@example.org").await;
    let (keeping, _) = Authenticator::enrolled(world, "keeping@example.org").await;
    let (replacing, replacing_with) = Authenticator::enrolled(world, "replacing@example.org").await;
    let answer = world.send(post("2fa/setup/").jar(&replacing).json(json!({ "replace": true }))).await;
    let secret_too = answer.json()["secret"].as_str().unwrap().to_owned();
    let replacement = Authenticator { secret: secret_too, backup_codes: Vec::new() };
    let (_, entering_with) = Authenticator::enrolled(world, "entering@example.org").await;
    world.advance(Duration::from_secs(30));
    let entering = world.log_in("entering@example.org", PASSWORD).await.json()["session_token"].clone();
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    world.sign_up("waiting@example.org", PASSWORD).await;
    let verify = world.link("waiting@example.org", MailPurpose::VerifyEmail).await;
    let change_email = world.change_email_link(&moving, "moved@example.org").await;
    world.sign_up("waiting-too@example.org", PASSWORD).await;
    let verify_too = world.link("waiting-too@example.org", MailPurpose::VerifyEmail).await;
    let moving_too = account("moving-too").await;
    let change_email_too = world.change_email_link(&moving_too, "moved-too@example.org").await;
    world.change_password(&robbed, PASSWORD, "the thief's password").await;
    let not_me = world.link("robbed@example.org", MailPurpose::PasswordChanged).await;
    world.events.take();
    let ada = json!({ "email": "ada@example.org" });
    let change_password = json!({ "old_password": PASSWORD, "new_password": "another password" });
    vec![
        post("signup/").json(json!({ "email": "new@example.org", "password": PASSWORD })),
        verify.verify(),
        post("resend-verification/").json(ada.clone()),
        post("login/").json(json!({ "email": "ada@example.org", "password": PASSWORD })),
        post("refresh/").jar(&jar),
        get("me/").jar(&jar),
        call(Method::PATCH, "me/").jar(&jar).json(json!({ "first_name": "Ada" })),
        post("change-email/").jar(&jar).json(json!({ "new_email": "ada2@example.org" })),
        post("reauthenticate/").jar(&renewing).json(json!({ "password": PASSWORD })),
        post("change-password/").jar(&changing).json(change_password),
        change_email.change_email(&moving),
        not_me.not_me(),
        post("deactivate-account/").jar(&leaving).json(json!({ "password": PASSWORD, "confirm_deactivation": true })),
        post("2fa/setup/").jar(&jar).json(json!({})),
        post("2fa/enable/").jar(&enabling).json(json!({ "code": secret.code(world) })),
        post("2fa/disable/").jar(&disabling).json(json!({ "password": PASSWORD, "code": disabling_with.code(world) })),
        post("2fa/replace/").jar(&replacing).json(json!({
            "code": replacement.code(world), "current_code": replacing_with.code(world),
        })),
        post("2fa/verify-login/").json(json!({ "session_token": entering, "code": entering_with.code(world) })),
        get("2fa/backup-codes/").jar(&keeping),
        post("2fa/backup-codes/").jar(&keeping).json(json!({ "password": PASSWORD })),
        post("logout/").jar(&jar),
        post("password-reset/").json(ada),
        reset.set_password(PASSWORD),
        verify_too.verify_by_post(),
        change_email_too.change_email_by_password(),
    ]
}

/// Requests that are refused, each with another status.
pub(crate) fn refusals() -> Vec<(u16, Call)> {
    let login = || post("login/").json(json!({ "email": "nobody@example.org", "password": PASSWORD }));
    let large = "x".repeat(70_000);
    vec![
        (400, post("login/").json(json!({}))),
        (400, post("login/").json(json!([]))),
        (400, post("login/").body("application/json", "{")),
        (400, get("verify-account/")),
        (401, login()),
        (401, get("me/")),
        (401, post("logout/")),
        (403, login().header("origin", "https://evil.example")),
        (403, get("verify-account/").header("purpose", "prefetch")),
        (404, get("nothing/")),
        (405, get("login/")),
        (413, post("login/").body("application/json", large.clone())),
        (415, post("login/").body("text/plain", "x")),
        (431, login().header("x-large", &large)),
    ]
}

#[track_caller]
fn usual(answer: &Answer) {
    let expected = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Origin"),
    ];
    for (name, value) in expected {
        let values: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name} of {answer:?}");
    }
    assert!(answer.headers.get_all("content-type").iter().count() <= 1);
    assert_eq!(answer.headers.contains_key("retry-after"), answer.status == 503);
    assert_eq!(answer.headers.contains_key("allow"), [204, 405].contains(&answer.status.as_u16()));
    for name in ["etag", "last-modified", "expires", "server", "x-powered-by"] {
        assert_eq!(answer.header(name), "");
    }
}

async fn every_answer_carries_the_same_headers(ground: Ground) {
    for (django, world) in [(false, ground.world().await), (true, ground.django().await)] {
        let calls = if django { Vec::new() } else { successes(&world).await };
        for call in calls {
            let answer = world.send(call.clone()).await;
            assert!(answer.status.is_success(), "{call:?} {answer:?}");
            usual(&answer);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("www-authenticate"), "");
        }
        for (status, call) in refusals() {
            let answer = world.send(call).await;
            assert_eq!(answer.status.as_u16(), status, "{answer:?}");
            usual(&answer);
            let content_type = if django { "application/json" } else { "application/problem+json" };
            assert_eq!(answer.header("content-type"), content_type);
        }
    }
}

async fn a_problem_has_exactly_these_keys(ground: Ground) {
    let world = ground.world().await;
    for (status, call) in refusals() {
        let answer = world.send(call).await;
        let body = answer.json();
        let keys: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = BTreeSet::from(["type", "title", "status", "detail", "code"]);
        if body["code"] == "invalid_fields" {
            expected.insert("errors");
        }
        assert_eq!(keys, expected);
        assert_eq!((body["type"].as_str(), body["status"].as_u64()), (Some("about:blank"), Some(status.into())));
        assert_eq!(body["title"].as_str(), answer.status.canonical_reason());
        assert!(body["detail"].as_str().is_some_and(|detail| detail.ends_with('.') || detail.contains("JSON")));
    }
}

async fn a_trailing_slash_makes_no_difference(ground: Ground) {
    for slash in [true, false] {
        let world = ground.world().await;
        for mut call in successes(&world).await {
            if !slash {
                call.path = call.path.replacen("/?", "?", 1).trim_end_matches('/').to_owned();
            }
            let answer = world.send(call.clone()).await;
            assert!(answer.status.is_success(), "{call:?} {answer:?}");
            assert_eq!(answer.header("location"), "");
        }
    }
}

async fn options_says_what_is_allowed(ground: Ground) {
    let world = ground.world().await;
    let mut calls = successes(&world).await;
    calls.iter_mut().for_each(|call| call.method = Method::OPTIONS);
    let bare = ROWS
        .into_iter()
        .flat_map(|(_, path)| [path, path.trim_end_matches('/')])
        .map(|path| call(Method::OPTIONS, path));
    for call in bare.chain(calls) {
        let answer = world.send(call.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        usual(&answer);
        assert_eq!(answer.header("allow"), allow(&call.path));
        assert!(!answer.headers.contains_key("content-type"));
        no_length(&answer);
    }
    assert_eq!(world.events.take(), []);
    assert_eq!(world.mails().await, []);
}

async fn head_is_get_without_a_body(ground: Ground) {
    let world = ground.world().await;
    let calls = successes(&world).await;
    let (verify, me) = (calls[1].clone(), calls[5].clone());
    for call in [me.clone(), get("me/"), get("me"), get("nothing/"), me.header("x-large", &"x".repeat(40_000))] {
        let got = world.send(call.clone()).await;
        let head = world.send(Call { method: Method::HEAD, ..call }).await;
        assert_eq!((head.status, head.body.len()), (got.status, 0));
        assert_eq!(head.header("content-length"), got.body.len().to_string());
        assert_eq!(without_length(&head), without_length(&got));
    }
    for _ in 0..2 {
        let head = world.send(Call { method: Method::HEAD, ..verify.clone() }).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (204, 0));
        assert!(!head.headers.contains_key("content-type"));
        no_length(&head);
    }
    assert_eq!(world.events.take(), []);
    assert_eq!(world.send(verify).await.status, 200);
}

/// A 204 has no length (RFC 9110 section 8.6).
#[track_caller]
fn no_length(answer: &Answer) {
    assert!(!answer.headers.contains_key("content-length"), "{answer:?}");
}

fn without_length(answer: &Answer) -> HeaderMap {
    let mut headers = answer.headers.clone();
    headers.remove("content-length");
    headers
}

async fn only_session_endpoints_say_how_to_authenticate(ground: Ground) {
    for world in [ground.world().await, ground.django().await] {
        let bad = Jar::of(ACCESS, "nonsense");
        for call in [get("me/"), get("me/").jar(&bad), post("logout/"), post("logout/").jar(&bad)] {
            let answer = world.send(call).await;
            let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(answer.status, 401);
            assert_eq!(challenges, ["Bearer realm=\"api\""]);
        }
        let login = post("login/").json(json!({ "email": "nobody@example.org", "password": PASSWORD }));
        for call in [login, post("refresh/"), post("refresh/").jar(&Jar::of(REFRESH, "nonsense"))] {
            let answer = world.send(call.jar(&bad)).await;
            assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, ""));
        }
        // A stale access cookie does not stand in the way of a public endpoint.
        let answer = world.send(post("password-reset/").json(json!({ "email": "a@example.org" })).jar(&bad)).await;
        assert_eq!(answer.status, 200);
    }
}

async fn a_store_that_is_down_is_503_on_every_endpoint(ground: Ground) {
    let faults = Faults::default();
    let world = faults.around(ground.world().await, |_| {});
    let calls = successes(&world).await;
    world.advance(Duration::from_secs(11));
    faults.stores.always(Fault::FailBefore);
    for call in &calls {
        let answer = world.send(call.clone()).await;
        answer.refused(503, "unavailable");
        usual(&answer);
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.set_cookies().is_empty(), "a session that could not be looked at is not taken away");
        assert!(!answer.text().contains("disk"), "{answer:?}");
    }
    assert_eq!(world.events.take(), []);
    // What needs no store does not miss it.
    world.send(get("me/")).await.refused(401, "not_authenticated");
    world.send(post("refresh/")).await.refused(401, "refresh_invalid");
    faults.stores.heal();
    for call in calls {
        let answer = world.send(call.clone()).await;
        assert!(answer.status.is_success(), "{call:?} {answer:?}");
    }
}

async fn a_store_that_holds_nonsense_is_500_and_says_no_more(ground: Ground) {
    let faults = Faults::default();
    let world = faults.around(ground.world().await, |_| {});
    let calls = successes(&world).await;
    faults.stores.always(Fault::Corrupt);
    for call in calls {
        let answer = world.send(call).await;
        answer.refused(500, "internal");
        usual(&answer);
        assert_eq!(answer.json()["detail"], "Something went wrong.");
        assert!(!answer.text().contains(Faults::CAUSE) && answer.set_cookies().is_empty());
    }
    assert_eq!(world.events.take(), []);
}

async fn a_busy_hasher_is_503_with_its_own_wait(ground: Ground) {
    let faults = Faults::default();
    let world = faults.around(ground.world().await, |_| {});
    let calls = successes(&world).await;
    let known = calls[3].clone();
    let unknown = post("login/").json(json!({ "email": "nobody@example.org", "password": PASSWORD }));
    let taken = post("signup/").json(json!({ "email": "ada@example.org", "password": PASSWORD }));
    for (wait, seconds) in [(Duration::ZERO, "1"), (Duration::from_millis(1001), "2"), (Duration::from_secs(90), "90")]
    {
        faults.busy(Some(wait));
        let mut answers = Vec::new();
        for call in [&known, &unknown, &taken, &calls[0], &calls[8]] {
            let answer = world.send(call.clone()).await;
            answer.refused(503, "overloaded");
            usual(&answer);
            assert_eq!(answer.header("retry-after"), seconds);
            answers.push((answer.headers.clone(), answer.body.clone()));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "known and unknown look the same");
        // The rest never waits behind it.
        assert_eq!(world.send(calls[5].clone()).await.status, 200);
        assert_eq!(world.send(calls[4].clone()).await.status, 200);
    }
    assert_eq!(world.mails().await, []);
    faults.busy(None);
    assert_eq!(world.send(known).await.status, 200);
    assert_eq!(world.send(calls[8].clone()).await.status, 200, "the link was not used up");
}

async fn a_store_that_hangs_keeps_nobody_waiting_for_the_access_check(ground: Ground) {
    let faults = Faults::default();
    let world = faults.around(ground.world().await, |_| {});
    let me = successes(&world).await[5].clone();
    assert_eq!(world.send(me.clone()).await.status, 200);
    world.advance(Duration::from_secs(11));
    faults.stores.always(Fault::HangBefore);
    let answer = tokio::time::timeout(Duration::from_secs(5), world.send(me.clone())).await.unwrap();
    answer.refused(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    faults.stores.heal();
    assert_eq!(world.send(me).await.status, 200);
}
