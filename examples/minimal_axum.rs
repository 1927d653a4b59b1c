//! Accounts in an axum app, and a route of its own for users alone.

use std::net::SocketAddr;

use auth_system::{Auth, Config, CurrentUser, mail::ConsoleTransport, store::SqliteStore};
use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::open("sqlite://auth.db").await?;
    let auth = Auth::builder(Config::from_env()?).store(store).mail(ConsoleTransport).build()?;
    auth.check_data_keys().await?;
    let app = Router::new()
        .route("/hello", get(async |user: CurrentUser| format!("Hello {}", user.id())))
        .layer(auth.layer())
        .merge(auth_system::router(auth));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
