//! The app of `examples/axum.rs` on actix-web: `cargo run --features full --example actix`.

mod common;

use std::process::ExitCode;

use actix_web::error::ErrorServiceUnavailable;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use auth_system::CurrentUser;
use common::Outcome;

#[actix_web::main]
async fn main() -> ExitCode {
    common::run(serve()).await
}

async fn serve() -> Outcome {
    let server = common::server().await?;
    let auth = server.auth.clone();
    let app = move || {
        App::new()
            .service(auth_system::scope(auth.clone()))
            .service(web::resource("/api/hello").wrap(auth.middleware()).route(web::get().to(hello)))
            .configure(page)
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
fn page(app: &mut ServiceConfig) {
    app.route("/favicon.ico", web::get().to(HttpResponse::NoContent));
    for asset in common::assets() {
        let answer = move || async move {
            asset
                .headers()
                .into_iter()
                .fold(HttpResponse::Ok(), |mut answer, header| {
                    answer.append_header(header);
                    answer
                })
                .body(asset.text)
        };
        app.route(asset.path, web::get().to(answer));
    }
}
