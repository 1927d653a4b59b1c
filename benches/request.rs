//! What our layer and extractor add to a GET of the application's own, in process: no socket, no HTTP parser.
//!
//! `cargo bench --features axum --bench request --bench verify`, then take the difference of the medians: `guarded` minus
//! `open` is at most 7 × `hmac_baseline` of the bench `verify`.
//!
//! * `open`: an axum handler, called through a router that is built once.
//! * `guarded`: the same handler behind [`Auth::layer`](auth_system::Auth::layer), with the `CurrentUser` extractor. The
//!   request brings its access cookie as a browser sends it, behind one other cookie.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

mod common;

use std::time::Duration;

use auth_system::CurrentUser;
use auth_system::auth_core::testing::InsecurePlainHasher;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use criterion::BatchSize;
use http::{Request, header};
use tower::{Service as _, ServiceExt as _};

fn main() {
    let mut criterion = common::criterion();
    let runtime = common::runtime();
    let (auth, token) = runtime.block_on(async {
        let auth = common::system(InsecurePlainHasher::default()).await;
        let token = common::log_in(&auth).await;
        (auth, token)
    });
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
            bencher.iter_batched(|| request(&token), call, BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();
}

/// As a browser sends it from a page of the same site.
fn request(token: &str) -> Request<Body> {
    Request::get("/hello")
        .header(header::HOST, "app.example.org")
        .header(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_LANGUAGE, "en-GB,en;q=0.5")
        .header(header::ACCEPT_ENCODING, "gzip, deflate, br")
        .header(header::COOKIE, format!("theme=dark; access_token={token}"))
        .header("sec-fetch-dest", "empty")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "same-origin")
        .body(Body::empty())
        .unwrap()
}
