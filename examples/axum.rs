//! An axum app with complete accounts and a small page to click through: `cargo run --features full --example axum`.

mod common;

use std::net::SocketAddr;
use std::process::ExitCode;

use auth_system::CurrentUser;
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use common::{Asset, Outcome};

#[tokio::main]
async fn main() -> ExitCode {
    common::run(serve()).await
}

async fn serve() -> Outcome {
    let server = common::server().await?;
    let auth = &server.auth;
    let app = Router::new()
        .route("/api/hello", get(hello))
        .layer(auth.layer())
        .merge(auth_system::router(auth.clone()))
        .merge(page(server.assets()));
    let listener = tokio::net::TcpListener::bind(server.bind).await.map_err(|error| server.cannot_bind(&error))?;
    server.greet();
    let serving = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(common::asked_to_end());
    tokio::select! {
        ended = serving.into_future() => ended?,
        () = common::out_of_patience() => {}
    }
    server.end().await
}

/// A route of the app's own: the extractor lets only users in.
async fn hello(user: CurrentUser) -> Result<impl IntoResponse, StatusCode> {
    let message = common::hello(&user).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(([("content-type", "application/json")], message))
}

/// The page and its assets.
fn page(assets: Vec<Asset>) -> Router {
    let router = Router::new().route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }));
    let route = |router: Router, asset: Asset| {
        router.route(asset.path, get(move || async move { (asset.headers(), asset.text) }))
    };
    assets.into_iter().fold(router, route)
}
