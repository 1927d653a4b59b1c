//! The app of `examples/axum.rs` on actix-web: `cargo run --features full --example actix`.

mod common;

use std::process::ExitCode;

use actix_web::error::ErrorServiceUnavailable;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use auth_system::CurrentUser;
use common::{Asset, Outcome};

#[actix_web::main]
async fn main() -> ExitCode {
    common::run(serve()).await
}

async fn serve() -> Outcome {
    let server = common::server().await?;
    let (auth, assets) = (server.auth.clone(), server.assets());
    let app = move || {
        App::new()
            .service(auth_system::scope(auth.clone()))
            .service(web::resource("/api/hello").wrap(auth.middleware()).route(web::get().to(hello)))
            .configure(|app| page(app, &assets))
    };
    let serving = HttpServer::new(app)
        .shutdown_signal(common::asked_to_end())
        .shutdown_timeout(common::PATIENCE.as_secs())
        .bind(server.bind)
        .map_err(|error| server.cannot_bind(&error))?;
    server.greet();
    serving.run().await?;
    server.end().await
}

/// A route of the app's own: the extractor lets only users in.
async fn hello(user: CurrentUser) -> actix_web::Result<impl Responder> {
    let message = common::hello(&user).await.map_err(ErrorServiceUnavailable)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(message))
}

/// The page and its assets.
fn page(app: &mut ServiceConfig, assets: &[Asset]) {
    app.route("/favicon.ico", web::get().to(HttpResponse::NoContent));
    for asset in assets.iter().cloned() {
        let path = asset.path;
        let answer = move || {
            let mut answer = HttpResponse::Ok();
            asset.headers().into_iter().for_each(|header| _ = answer.append_header(header));
            let answer = answer.body(asset.text.clone());
            async { answer }
        };
        app.route(path, web::get().to(answer));
    }
}
