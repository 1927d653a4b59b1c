//! Rows taken away, replaced, wrapped, limited and added by the application.

use std::time::Duration;

use auth_system::auth_core::factor::Confirmation;
use auth_system::auth_core::types::Limit;
use auth_system::config::Profile;
use auth_system::operation::{
    Answer, Call as Request, Method, Operation, Operations, Refusal, StatusCode, field, header,
};
use auth_system::{Config, Require};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Ground, PASSWORD, World, call, config, get, post};

scenarios![
    a_row_that_was_taken_away_is_not_there,
    a_row_of_ones_own_gets_what_every_row_gets,
    a_row_for_sessions_asks_for_one,
    a_wrapped_row_is_run_by_what_is_around_it,
    nobody_without_a_session_reaches_what_is_around_a_row_that_asks_for_one,
    a_replaced_row_is_the_applications_own,
    a_row_has_the_limit_that_it_was_given,
    a_row_of_ones_own_may_make_a_session,
    a_path_may_have_parameters,
    a_row_may_require_a_recent_login,
    a_row_may_answer_with_a_page_or_a_redirect,
    a_streamed_answer_arrives_in_parts,
    the_fields_of_a_form_are_all_judged_at_once,
];

const ADA: &str = "ada@example.org";

/// A world whose table was changed.
async fn world(ground: Ground, change: impl FnOnce(&mut Operations<'_>) + Send + 'static) -> World {
    with(ground, config(), change).await
}

async fn with(ground: Ground, config: Config, change: impl FnOnce(&mut Operations<'_>) + Send + 'static) -> World {
    let world = ground.world().await;
    let auth = world.builder(config).operations(change).build().unwrap();
    world.around(auth)
}

/// Answers with what was sent.
fn echo(method: Method) -> Operation {
    Operation::reading(method, "echo/", field::text("text", 5), |_, form| async move {
        let text = form.read()?;
        Ok(Answer::json(StatusCode::CREATED, json!({ "text": text })))
    })
}

async fn a_row_that_was_taken_away_is_not_there(ground: Ground) {
    let world = world(ground, |table| {
        table.remove(Method::POST, "deactivate-account/").remove(Method::PATCH, "me/");
    })
    .await;
    world.account(ADA).await;
    let jar = world.session(ADA).await;
    let gone = world.send(post("deactivate-account/").jar(&jar).json(json!({ "password": PASSWORD }))).await;
    gone.refused(404, "not_found");
    // The other method of a path stays.
    let patch = world.send(call(Method::PATCH, "me/").jar(&jar).json(json!({ "first_name": "Ada" }))).await;
    assert_eq!(patch.refused(405, "method_not_allowed").header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn a_row_of_ones_own_gets_what_every_row_gets(ground: Ground) {
    let world = world(ground, |table| {
        table.add(echo(Method::POST)).add(echo(Method::GET));
    })
    .await;
    for path in ["echo/", "echo"] {
        let answer = world.send(post(path).json(json!({ "text": " hello " }))).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::CREATED, json!({ "text": "hello" })));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(world.send(get("echo/?text=hello")).await.json(), json!({ "text": "hello" }));
    let head = world.send(call(Method::HEAD, "echo/?text=hello")).await;
    assert_eq!((head.status, head.text().as_str(), head.header("content-length")), (StatusCode::CREATED, "", "16"));
    world
        .send(post("echo/").header("origin", "https://evil.example").json(json!({ "text": "a" })))
        .await
        .refused(403, "cross_origin");
    world.send(post("echo/").body("application/json", "{")).await.refused(400, "malformed_json");
    world.send(post("echo/").body("text/plain", "a")).await.refused(415, "unsupported_media_type");
    world.send(post("echo/").body("application/json", "a".repeat(70_000))).await.refused(413, "body_too_large");
    world.send(call(Method::PUT, "echo/")).await.refused(405, "method_not_allowed");
    for (text, times) in [(json!("too long"), 1), (json!(7), 1), (Value::Null, 1)] {
        let answer = world.send(post("echo/").json(json!({ "text": text }))).await;
        assert_eq!(answer.refused(400, "invalid_fields").field("text").len(), times);
    }
    let mut django = config();
    django.profile = Profile::Django;
    let world = with(ground, django, |table| {
        table.add(echo(Method::POST));
    })
    .await;
    let answer = world.send(post("echo/").json(json!({}))).await;
    assert_eq!(answer.json()["text"], json!(["This field is required."]));
}

async fn a_row_for_sessions_asks_for_one(ground: Ground) {
    let world = world(ground, |table| {
        let whoami = |request: Request| async move {
            let user = request.session().map(|live| live.user().to_string());
            Ok(Answer::json(StatusCode::OK, json!({ "user": user })))
        };
        table.add(Operation::new(Method::GET, "whoami/", whoami).for_sessions());
        table.add(Operation::new(Method::GET, "anybody/", whoami));
    })
    .await;
    world.account(ADA).await;
    let jar = world.session(ADA).await;
    let anonymous = world.send(get("whoami/")).await;
    assert_eq!(anonymous.refused(401, "not_authenticated").header("www-authenticate"), r#"Bearer realm="api""#);
    let id = world.me(&jar).await.json()["id"].clone();
    assert_eq!(world.send(get("whoami/").jar(&jar)).await.json()["user"], id);
    // A row for anybody does not look at tokens.
    assert_eq!(world.send(get("anybody/").jar(&jar)).await.json()["user"], Value::Null);
}

async fn a_wrapped_row_is_run_by_what_is_around_it(ground: Ground) {
    let world = world(ground, |table| {
        let invitation = field::text("invitation", 10).optional();
        table.wrap_reading(Method::POST, "signup/", invitation, |request, form, next| async move {
            let invitation = form.read()?;
            if invitation.as_deref() != Some("welcome") {
                return Err(Refusal::new(StatusCode::FORBIDDEN, "invitation_needed", "You need an invitation."));
            }
            let answer = next.run(request).await?;
            Ok(answer.with_header(header::WARNING, HeaderValue::from_static("199 - \"invited\"")))
        });
    })
    .await;
    let mut body = json!({ "email": ADA, "password": PASSWORD });
    world.send(post("signup/").json(body.clone())).await.refused(403, "invitation_needed");
    assert!(world.mails().await.is_empty());
    body["invitation"] = "welcome".into();
    let answer = world.send(post("signup/").json(body.clone())).await;
    assert_eq!((answer.status.as_u16(), answer.header("warning")), (201, "199 - \"invited\""));
    assert_eq!(world.mails().await.len(), 1);
    // What the row itself refuses goes through.
    body["password"] = "short".into();
    assert_eq!(world.send(post("signup/").json(body)).await.refused(400, "invalid_fields").field("password").len(), 1);
}

async fn nobody_without_a_session_reaches_what_is_around_a_row_that_asks_for_one(ground: Ground) {
    let world = world(ground, |table| {
        table.wrap(Method::GET, "me/", |request, next| async move {
            assert!(request.session().is_some());
            // What is around once may be around twice.
            next.run(request).await
        });
        table.wrap(Method::GET, "me/", |request, next| async move { next.run(request).await });
    })
    .await;
    world.account(ADA).await;
    let jar = world.session(ADA).await;
    world.send(get("me/")).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&jar).await.json()["email"], ADA);
}

async fn a_replaced_row_is_the_applications_own(ground: Ground) {
    let world = world(ground, |table| {
        let closed = |_| async { Err(Refusal::new(StatusCode::GONE, "closed", "We take no more users.")) };
        table.replace(Operation::new(Method::POST, "signup/", closed));
    })
    .await;
    world.sign_up(ADA, PASSWORD).await.refused(410, "closed");
    assert!(world.mails().await.is_empty());
}

async fn a_row_has_the_limit_that_it_was_given(ground: Ground) {
    let mut config = config();
    config.policy.timed_limits = true;
    let world = with(ground, config, |table| {
        let minute = Duration::from_secs(60);
        table.throttle(Method::POST, "logout/", Limit::new(2, minute));
        table.throttle(Method::POST, "password-reset/", Limit::new(1, minute));
        table.add(echo(Method::GET).throttled(Limit::new(3, minute)));
    })
    .await;
    let reset = || post("password-reset/").json(json!({ "email": ADA }));
    for (call, allowed, name) in
        [(post("logout/"), 2, "logout"), (reset(), 1, "password-reset"), (get("echo/?text=a"), 3, "echo")]
    {
        for _ in 0..allowed {
            assert_ne!(world.send(call.clone()).await.status, 429, "{name}");
        }
        let refused = world.send(call.clone()).await;
        let policy = format!("\"{name}\";q={allowed};w=60");
        assert_eq!(refused.refused(429, "throttled").header("ratelimit-policy"), policy);
        world.advance(Duration::from_secs(61));
        assert_ne!(world.send(call).await.status, 429, "{name}");
    }
}

async fn a_row_of_ones_own_may_make_a_session(ground: Ground) {
    let world = world(ground, |table| {
        table.add(
            Operation::reading(Method::POST, "again/", field::password("password"), |request, form| async move {
                let live = request.session().copied().ok_or(auth_system::auth_core::Reason::NotAuthenticated)?;
                let password = form.read()?;
                let sent = Confirmation { password: Some(&password), code: None };
                let tokens = request.auth().reauthenticate(&live, sent).await?;
                Ok(Answer::empty().with_session(tokens))
            })
            .for_sessions(),
        );
    })
    .await;
    world.account(ADA).await;
    let old = world.session(ADA).await;
    let wrong = world.send(post("again/").jar(&old).json(json!({ "password": "wrong" }))).await;
    wrong.refused(400, "wrong_password");
    let new = world.send(post("again/").jar(&old).json(json!({ "password": PASSWORD }))).await;
    assert_eq!(new.status, 204);
    assert_eq!(world.me(&new.jar()).await.status, 200);
    assert_eq!(world.me(&old).await.status, 401);
}

async fn a_row_may_require_a_recent_login(ground: Ground) {
    let world = world(ground, |table| {
        table.add(echo(Method::GET).require(Require::recent(Duration::from_secs(300))));
    })
    .await;
    world.account(ADA).await;
    let jar = world.session(ADA).await;
    world.send(get("echo/?text=a")).await.refused(401, "not_authenticated");
    assert_eq!(world.send(get("echo/?text=a").jar(&jar)).await.status, 201);
    world.advance(Duration::from_secs(301));
    world.send(get("echo/?text=a").jar(&jar)).await.refused(403, "reauthentication_required");
}

async fn a_path_may_have_parameters(ground: Ground) {
    let world = world(ground, |table| {
        let show = |request: Request| async move {
            let (team, id) = (request.parameter("team"), request.parameter("id"));
            Ok(Answer::json(StatusCode::OK, json!({ "team": team, "id": id, "other": request.parameter("other") })))
        };
        table.add(Operation::new(Method::GET, "teams/{team}/members/{id}/", show));
        let own = |_| async { Ok(Answer::detail(StatusCode::OK, "mine")) };
        table.add(Operation::new(Method::GET, "teams/{team}/members/me/", own));
    })
    .await;
    for path in ["teams/red/members/7/", "teams/red/members/7"] {
        let answer = world.send(get(path)).await;
        assert_eq!(answer.json(), json!({ "team": "red", "id": "7", "other": null }));
    }
    // As it was sent.
    assert_eq!(world.send(get("teams/r%2Fd/members/7/")).await.json()["team"], "r%2Fd");
    // The plain path goes before the one with a parameter.
    assert_eq!(world.send(get("teams/red/members/me/")).await.json()["detail"], "mine");
    for path in ["teams/red/members/", "teams//members/7/", "teams/red/members/7/8/", "teams/red/members/7//"] {
        world.send(get(path)).await.refused(404, "not_found");
    }
    let refused = world.send(post("teams/red/members/7/")).await;
    assert_eq!(refused.refused(405, "method_not_allowed").header("allow"), "GET, HEAD, OPTIONS");
}

async fn a_row_may_answer_with_a_page_or_a_redirect(ground: Ground) {
    let world = world(ground, |table| {
        table.add(Operation::new(Method::GET, "page/", |_| async { Ok(Answer::page("<p>Hello</p>")) }));
        let elsewhere = |_| async { Ok(Answer::redirect(HeaderValue::from_static("https://app.example.org/done"))) };
        table.add(Operation::new(Method::POST, "go/", elsewhere));
    })
    .await;
    let page = world.send(get("page/")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!((page.text().as_str(), page.header("cache-control")), ("<p>Hello</p>", "no-store"));
    let redirect = world.send(post("go/")).await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (303, "https://app.example.org/done"));
    assert_eq!((redirect.text().as_str(), redirect.header("referrer-policy")), ("", "no-referrer"));
}

async fn a_streamed_answer_arrives_in_parts(ground: Ground) {
    let world = world(ground, |table| {
        table.add(Operation::new(Method::GET, "events/", |_| async {
            Ok(Answer::stream("text/event-stream", Events(vec!["data: two\n\n", "data: one\n\n"])))
        }));
    })
    .await;
    let events = world.send(get("events/")).await;
    assert_eq!((events.status.as_u16(), events.header("content-type")), (200, "text/event-stream"));
    assert_eq!((events.header("cache-control"), events.header("content-length")), ("no-store", ""));
    assert_eq!(events.text(), "data: one\n\ndata: two\n\n");
    let head = world.send(call(Method::HEAD, "events/")).await;
    assert_eq!((head.status.as_u16(), head.text().as_str()), (200, ""));
}

/// A body that gives one event at a time, each only when it is asked once more.
struct Events(Vec<&'static str>);

impl http_body::Body for Events {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready(self.0.pop().map(|event| Ok(http_body::Frame::data(bytes::Bytes::from(event)))))
    }
}

async fn the_fields_of_a_form_are_all_judged_at_once(ground: Ground) {
    let world = world(ground, |table| {
        let form = (field::email("email"), field::flag("loud"), field::uuid("id"), field::text("note", 3).optional());
        table.add(Operation::reading(Method::POST, "form/", form, |_, form| async move {
            let (email, loud, id, note) = form.read()?;
            Ok(Answer::json(StatusCode::OK, json!([email.spelling(), loud, id, note])))
        }));
    })
    .await;
    let id = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
    let good = world.send(post("form/").json(json!({ "email": ADA, "id": id }))).await;
    assert_eq!(good.json(), json!([ADA, false, id, null]));
    let all = json!({ "email": ADA, "id": id, "loud": true, "note": "abc" });
    assert_eq!(world.send(post("form/").json(all)).await.json(), json!([ADA, true, id, "abc"]));
    let wrong = world.send(post("form/").json(json!({ "email": "ada", "loud": 1, "id": "7", "note": "abcd" }))).await;
    let codes = ["email", "loud", "id", "note"].map(|name| wrong.refused(400, "invalid_fields").field(name).concat());
    assert_eq!(codes, ["invalid_email", "not_a_flag", "invalid_uuid", "too_long"]);
}

type Change = fn(&mut Operations<'_>);

#[tokio::test]
async fn what_does_not_fit_the_table_is_refused_by_name() {
    let world = Ground { store: crate::place::Store::Memory, driver: crate::door::Driver::Bare }.world().await;
    let nothing = |_| async { Ok(Answer::empty()) };
    let add = move |path| Operation::new(Method::POST, path, nothing);
    let cases: [(Change, &str); 9] = [
        (|table| _ = table.remove(Method::GET, "login/"), "there is no GET login/"),
        (|table| _ = table.remove(Method::POST, "login/").remove(Method::POST, "login/"), "there is no POST login/"),
        (|table| _ = table.throttle(Method::POST, "nothing/", Limit::new(1, Duration::from_secs(1))), "nothing/"),
        (|table| _ = table.throttle(Method::POST, "login/", Limit::new(0, Duration::from_secs(1))), "POST login/"),
        (|table| _ = table.wrap(Method::PUT, "me/", |request, next| next.run(request)), "there is no PUT me/"),
        (|table| _ = table.add(echo(Method::POST)).add(echo(Method::POST)), "POST echo/ is there already"),
        (|table| _ = table.replace(echo(Method::POST)), "there is no POST echo/"),
        (|table| _ = table.add(echo(Method::POST).throttled(Limit::new(1, Duration::ZERO))), "POST echo/"),
        (|table| _ = table.remove(Method::POST, ""), "there is no POST "),
    ];
    for (change, problem) in cases {
        let refused = world.builder(config()).operations(change).build().unwrap_err();
        assert_eq!(refused.setting, "operations");
        assert!(refused.to_string().contains(problem), "{refused}");
    }
    for path in ["", "/", "/a/", "a//b/", "a b/", "a?b", "{}/", "{Id}/", "a{id}/", "ä/"] {
        let refused = world.builder(config()).operations(move |table| _ = table.add(add(path))).build();
        assert!(refused.unwrap_err().to_string().contains("is no path"), "{path}");
    }
    assert!(world.builder(config()).operations(move |table| _ = table.add(add("a/b-c.d/"))).build().is_ok());
}

#[cfg(feature = "openapi")]
#[tokio::test]
async fn the_document_shows_the_table_as_it_was_made() {
    let world = Ground { store: crate::place::Store::Memory, driver: crate::door::Driver::Bare }.world().await;
    let schema = || json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    let builder = world.builder(config()).operations(move |table| {
        table.remove(Method::POST, "signup/");
        let echo = echo(Method::POST).summary("Says the same").for_sessions();
        table.add(echo.answer_schema(StatusCode::CREATED, schema).throttled(Limit::new(1, Duration::from_secs(1))));
        table.wrap(Method::GET, "me/", |request, next| next.run(request));
    });
    let document = builder.build().unwrap().openapi();
    let paths = &document["paths"];
    assert!(paths["/api/auth/signup/"].is_null());
    let echo = &paths["/api/auth/echo/"]["post"];
    assert_eq!(echo["summary"], "Says the same");
    let body = &echo["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["text"]));
    assert_eq!(body["properties"]["text"], json!({ "type": "string", "minLength": 1, "maxLength": 5 }));
    assert_eq!(echo["responses"]["201"]["content"]["application/json"]["schema"], schema());
    assert!(["400", "401", "403", "413", "429"].iter().all(|status| echo["responses"][status].is_object()), "{echo}");
    assert_eq!(echo["security"][0], json!({ "accessCookie": ["full"] }));
    assert_eq!(paths["/api/auth/me/"]["get"]["security"][0], json!({ "accessCookie": ["full"] }));
}
