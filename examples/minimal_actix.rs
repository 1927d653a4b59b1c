//! Accounts in an actix-web app, and a route of its own for users alone.

use actix_web::{App, HttpServer, web};
use auth_system::{Auth, Config, CurrentUser, mail::ConsoleTransport, store::SqliteStore};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::open("sqlite://auth.db").await?;
    let auth = Auth::builder(Config::from_env()?).store(store).mail(ConsoleTransport).build()?;
    auth.check_data_keys().await?;
    let app = move || {
        let hello = web::to(async |user: CurrentUser| format!("Hello {}", user.id()));
        App::new()
            .service(auth_system::scope(auth.clone()))
            .service(web::resource("/hello").wrap(auth.middleware()).route(hello))
    };
    Ok(HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?)
}
