//! What only actix-web has: its scopes, its way with `Option`, and its bodies, which come in pieces.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service as _, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, test, web};
use auth_system::{CurrentUser, MaybeUser, Reason, Rejection};
use bytes::Bytes;
use futures_core::Stream;
use http::Method;
use serde_json::json;

use crate::door::{Driver, through_actix as through};
use crate::faults::{Fault, Faults};
use crate::logs::Logs;
use crate::place::Store;
use crate::world::{Ground, Jar, PASSWORD, REFRESH, call, get, post};

const GROUND: Ground = Ground { store: Store::Memory, driver: Driver::Actix };

async fn id(user: CurrentUser) -> String {
    user.id().to_string()
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("the application's own")
}

#[tokio::test]
async fn our_routes_live_beside_and_inside_others() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let auth = &world.auth;
    let app = App::new()
        .service(auth_system::scope(auth.clone()))
        .service(web::scope("/api").route("/id", web::to(id)).wrap(auth.middleware()))
        .service(web::scope("/deep").service(web::resource("/er/id").wrap(auth.middleware()).to(id)))
        .service(web::resource("/inner").wrap(auth.middleware().required()).wrap(auth.middleware()).to(id))
        .default_service(web::to(not_found));
    let app = test::init_service(app).await;
    for path in ["/api/id", "/deep/er/id", "/inner"] {
        assert_eq!(through(&app, get(path).jar(&jar)).await.status, 200, "{path}");
        through(&app, get(path)).await.refused(401, "not_authenticated");
    }

    assert_eq!(through(&app, get("/api/auth/me").jar(&jar)).await.status, 200);
    through(&app, get("/api/auth/nothing")).await.refused(404, "not_found");
    for path in ["/api/authx", "/%61pi/auth/me/", "/api%2fauth/me/"] {
        assert_ne!(through(&app, get(path)).await.header("content-type"), "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn within_a_scope_the_public_path_is_the_whole_one() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let auth = &world.auth;
    // With a middleware around everything.
    let api = web::scope("/api").service(auth_system::scope(auth.clone())).route("/id", web::to(id));
    let app = test::init_service(App::new().service(api).wrap(auth.middleware())).await;
    assert_eq!(through(&app, get("/api/auth/me").jar(&jar)).await.status, 200);
    assert_eq!(through(&app, post("/api/auth/refresh/").jar(&jar)).await.status, 200);
    assert_eq!(through(&app, get("/api/id").jar(&jar)).await.status, 200);
    // Below another prefix the cookies' paths would be wrong: that is no place for us.
    let elsewhere = web::scope("/v1").service(auth_system::scope(auth.clone()));
    let app = test::init_service(App::new().service(elsewhere)).await;
    for path in ["/v1/api/auth/me", "/v1/auth/me", "/api/auth/me"] {
        assert_eq!(through(&app, get(path).jar(&jar)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn optional_extractors_of_both_kinds_tell_users_from_anonymous_callers() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let optional = |MaybeUser(user): MaybeUser| async move { user.is_some().to_string() };
    let needed = |user: Result<CurrentUser, Rejection>| async move {
        assert_eq!(user.as_ref().err().map(Rejection::reason), user.is_err().then_some(Reason::NotAuthenticated));
        user.is_ok().to_string()
    };
    let app = App::new().route("/optional", web::to(optional)).route("/result", web::to(needed));
    let app = test::init_service(app.wrap(world.auth.middleware())).await;
    for path in ["/optional", "/result"] {
        assert_eq!(through(&app, get(path).jar(&jar)).await.text(), "true");
        assert_eq!(through(&app, get(path)).await.text(), "false");
    }
}

#[tokio::test]
async fn no_handler_runs_for_a_caller_whose_session_cannot_be_checked() {
    let faults = Faults::default();
    let world = faults.around(GROUND.world().await, |_| {});
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let runs = Rc::new(Cell::new(0));
    let counted = runs.clone();
    let handler = move |_user: MaybeUser| {
        counted.set(counted.get() + 1);
        async { "ran" }
    };
    // With a middleware of the application's own around ours.
    let app = App::new().route("/", web::to(handler)).wrap(world.auth.middleware());
    let app = test::init_service(app.wrap(actix_web::middleware::DefaultHeaders::new().add(("x-own", "1")))).await;
    assert_eq!(through(&app, get("/").jar(&jar)).await.status, 200);
    world.advance(Duration::from_secs(11));
    faults.stores.always(Fault::FailBefore);
    let refused = through(&app, get("/").jar(&jar)).await;
    refused.refused(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(runs.get(), 1);
    faults.stores.heal();
    assert_eq!(through(&app, get("/").jar(&jar)).await.status, 200);
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_route_without_the_middleware_says_so_in_the_log() {
    let (logs, _guard) = Logs::of_this_thread();
    let optional = |MaybeUser(user): MaybeUser| async move { user.is_some().to_string() };
    let app = App::new().route("/id", web::to(id)).route("/optional", web::to(optional));
    let app = test::init_service(app).await;
    for path in ["/id", "/optional"] {
        let answer = through(&app, call(Method::GET, path)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (500, 0), "{path}");
    }
    let log = logs.take();
    assert_eq!(log.matches("this route lacks `.wrap(auth.middleware())`").count(), 2, "{log}");
}

/// The cookies that a route of the application sees.
async fn seen(request: HttpRequest) -> String {
    let cookies = request.headers().get_all("cookie").map(|value| value.to_str().unwrap().to_owned());
    cookies.collect::<Vec<_>>().join("; ")
}

/// A middleware of the application that keeps a clone of the request, for a log line after the answer.
async fn keep_a_clone<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let kept = request.request().clone();
    let answer = next.call(request).await;
    drop(kept);
    answer
}

#[tokio::test]
async fn refresh_cookie_stays_hidden_where_an_outer_middleware_keeps_a_clone_of_the_request() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let without_refresh =
        Jar { cookies: jar.cookies.clone().into_iter().filter(|(name, _)| name != REFRESH).collect() };
    let (logs, _guard) = Logs::of_this_thread();
    let auth = &world.auth;
    let app = App::new()
        .service(web::resource("/outside").wrap(auth.middleware()).wrap(from_fn(keep_a_clone)).to(seen))
        .service(web::resource("/inside").wrap(from_fn(keep_a_clone)).wrap(auth.middleware()).to(seen));
    let app = test::init_service(app).await;

    let inside = through(&app, get("/inside").jar(&jar)).await;
    assert_eq!(inside.status, 200);
    assert!(!inside.text().contains(REFRESH) && inside.text().contains(world.access_cookie()), "{inside:?}");
    let unchanged = through(&app, get("/outside").jar(&without_refresh)).await;
    assert_eq!(unchanged.status, 200, "nothing has to be hidden: {unchanged:?}");
    assert_eq!(logs.take().matches("ERROR").count(), 0);

    let refused = through(&app, get("/outside").jar(&jar)).await;
    assert_eq!((refused.status.as_u16(), refused.body.len()), (500, 0));
    let log = logs.take();
    let remedy =
        "call `.wrap(auth.middleware())` after the `.wrap` of the middleware that keeps a clone of the request";
    assert_eq!(log.matches(remedy).count(), 1, "{log}");
    assert!(!log.contains(jar.refresh()), "{log}");
}

/// A body of zeros in pieces of a kibibyte, and how many pieces were asked for.
struct Zeros {
    asked: Rc<Cell<usize>>,
    pieces: usize,
}

impl Stream for Zeros {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.asked.get() == self.pieces {
            return Poll::Pending;
        }
        self.asked.set(self.asked.get() + 1);
        Poll::Ready(Some(Ok(Bytes::from_static(&[b' '; 1024]))))
    }
}

fn streamed(pieces: usize) -> (actix_http::Request, Rc<Cell<usize>>) {
    let asked = Rc::new(Cell::new(0));
    let payload = Payload::Stream { payload: Box::pin(Zeros { asked: asked.clone(), pieces }) as Pin<Box<_>> };
    let request = test::TestRequest::post().uri("/api/auth/login/").append_header(("content-type", "application/json"));
    (request.to_request().replace_payload(payload).0, asked)
}

#[tokio::test]
async fn an_endless_body_is_refused_at_the_limit() {
    let world = GROUND.world().await;
    let app = test::init_service(App::new().service(auth_system::scope(world.auth.clone()))).await;
    let (request, asked) = streamed(usize::MAX);
    let response = app.call(request).await.unwrap();
    assert_eq!((response.status().as_u16(), asked.get()), (413, 65));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let world = GROUND.world().await;
    world.account("ada@example.org").await;
    let app = test::init_service(App::new().service(auth_system::scope(world.auth.clone()))).await;
    let (request, asked) = streamed(3);
    tokio::select! {
        biased;
        _ = app.call(request) => panic!("answered before the body's end"),
        () = async {} => {}
    }
    assert_eq!(asked.get(), 3);
    let login = post("login/").json(json!({ "email": "ada@example.org", "password": PASSWORD }));
    assert_eq!(through(&app, login).await.status, 200);
}
