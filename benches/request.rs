//! What our middleware and extractor add to a GET of the application's own, in process: no socket, no HTTP parser.
//!
//! `cargo bench --features full --bench request --bench verify`, then take the difference of the medians: in each
//! framework, `guarded` minus `open` is at most 7 × `hmac_baseline` of the bench `verify`.
//!
//! * `open`: a handler, called through a router that is built once.
//! * `guarded`: the same handler behind [`Auth::layer`](auth_system::Auth::layer) in axum,
//!   [`Auth::middleware`](auth_system::Auth::middleware) in actix-web, with the `CurrentUser` extractor. The request brings
//!   its access cookie as a browser sends it, behind one other cookie.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

mod common;

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service as ActixService, ServiceResponse};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, web};
use auth_system::auth_core::testing::InsecurePlainHasher;
use auth_system::{Auth, CurrentUser};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion};
use http::Request;
use tokio::runtime::Runtime;
use tower::{Service as _, ServiceExt as _};

fn main() {
    let mut criterion = common::criterion();
    let runtime = common::runtime();
    let (auth, token) = runtime.block_on(async {
        let auth = common::system(InsecurePlainHasher::default()).await;
        let token = common::log_in(&auth).await;
        (auth, token)
    });
    in_axum(&mut criterion, &runtime, &auth, &token);
    in_actix(&mut criterion, &auth, &token);
    criterion.final_summary();
}

fn in_axum(criterion: &mut Criterion, runtime: &Runtime, auth: &Auth, token: &str) {
    let open = Router::new().route("/hello", get(|| async { "hello" }));
    let guarded = Router::new().route("/hello", get(|_: CurrentUser| async { "hello" })).layer(auth.layer());

    let mut group = criterion.benchmark_group("authenticated_get");
    for (name, router) in [("open", open), ("guarded", guarded)] {
        runtime.block_on(auth.system().sync_revocations(Duration::ZERO)).unwrap();
        let mut service = router.into_service::<Body>();
        group.bench_function(name, |bencher| {
            let call = |request| {
                let response = runtime.block_on(async { service.ready().await.unwrap().call(request).await }).unwrap();
                assert_eq!(response.status(), 200);
                response
            };
            bencher.iter_batched(|| axum_request(token), call, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn in_actix(criterion: &mut Criterion, auth: &Auth, token: &str) {
    let runtime = System::new();
    let open = web::resource("/hello").to(async || "hello");
    let guarded = web::resource("/hello").wrap(auth.middleware()).to(async |_: CurrentUser| "hello");
    let open = runtime.block_on(init_service(App::new().service(open)));
    let guarded = runtime.block_on(init_service(App::new().service(guarded)));

    let mut group = criterion.benchmark_group("authenticated_get_actix");
    actix_row(&mut group, "open", &runtime, open, token);
    runtime.block_on(auth.system().sync_revocations(Duration::ZERO)).unwrap();
    actix_row(&mut group, "guarded", &runtime, guarded, token);
    group.finish();
}

fn actix_row<B: MessageBody>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    runtime: &SystemRunner,
    app: impl ActixService<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    token: &str,
) {
    group.bench_function(name, |bencher| {
        let call = |request| {
            let response = runtime.block_on(app.call(request)).unwrap();
            assert_eq!(response.status(), 200);
            response
        };
        bencher.iter_batched(|| actix_request(token), call, BatchSize::SmallInput);
    });
}

/// The headers of a request that a browser sends from a page of the same site.
fn headers(token: &str) -> [(&'static str, String); 9] {
    let cookies = format!("theme=dark; __Host-access_token={token}; __Host-refresh_token={token}");
    [
        ("host", "app.example.org"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "*/*"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cookie", &cookies),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

fn axum_request(token: &str) -> Request<Body> {
    let request = Request::get("/hello");
    let request = headers(token).into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(Body::empty()).unwrap()
}

fn actix_request(token: &str) -> actix_http::Request {
    let request = TestRequest::get().uri("/hello");
    headers(token).into_iter().fold(request, TestRequest::insert_header).to_request()
}
