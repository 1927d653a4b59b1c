//! An axum app with complete accounts and a small page to click through: `cargo run --features full --example axum`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the greeting is for the person at the terminal")]

mod common;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use auth_system::CurrentUser;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use common::{ASSETS, CONTENT_SECURITY_POLICY, INDEX_HTML, PAGE_PATHS};
use serde_json::json;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let common::Server { auth, bind, greeting } = common::server().await?;
    let app = Router::new()
        .route("/api/hello", get(hello))
        .layer(auth.layer())
        .merge(auth_system::router(auth.clone()))
        .merge(page());
    let listener = tokio::net::TcpListener::bind(bind).await.map_err(|error| format!("AUTH_BIND {bind}: {error}"))?;
    println!("{greeting}Ctrl-C ends the server.\n");
    let serving = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(common::asked_to_end());
    tokio::select! {
        ended = serving.into_future() => ended?,
        () = common::out_of_patience() => {}
    }
    auth.shutdown().await;
    println!("Goodbye.");
    Ok(())
}

/// A route of the app's own: the extractor lets only users in.
async fn hello(user: CurrentUser) -> impl IntoResponse {
    Json(json!({ "message": format!("Hello, user {}.", user.id()) }))
}

/// The page and its assets.
fn page() -> Router {
    let asset = |content_type: &'static str, text: &'static str| {
        get(move || async move {
            let headers: [(HeaderName, &str); 3] = [
                (header::CONTENT_TYPE, content_type),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, text)
        })
    };
    let router = Router::new().route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }));
    let router = ASSETS.into_iter().fold(router, |router, (path, kind, text)| router.route(path, asset(kind, text)));
    PAGE_PATHS
        .into_iter()
        .fold(router, |router, path| router.route(path, asset("text/html; charset=utf-8", INDEX_HTML)))
}
