//! An application by invitation, with the table of endpoints changed to fit:
//! `cargo run --features full --example custom_operation`.
//!
//! * `POST invitations/` is added: who is logged in makes invitations, a few an hour.
//! * `POST signup/` is wrapped: it takes one.
//! * `POST deactivate-account/` is taken away, and `POST login/` has a limit of its own.
//!
//! It then plays a short scene through the bare service; `auth_system::router(auth)` would serve the same table.

#![allow(clippy::print_stdout, reason = "it tells the person at the terminal what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_system::mail::ConsoleTransport;
use auth_system::operation::{Answer, Call, Form, Method, Next, Operation, Refusal, StatusCode, field};
use auth_system::port::Random as _;
use auth_system::store::MemoryStore;
use auth_system::system::{SystemClock, SystemRandom};
use auth_system::{Auth, Config, Limit, RootSecret};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Invitations that wait, and who made them. A real application has a table.
#[derive(Clone, Default)]
struct Invitations(Arc<Mutex<HashMap<String, String>>>);

impl Invitations {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `POST invitations/` -> 201 and the code.
    async fn make(self, call: Call) -> Result<Answer, Refusal> {
        let by = call.session().map(|live| live.user().to_string()).unwrap_or_default();
        let mut random = [0; 16];
        call.system().ports().random.fill(&mut random).map_err(auth_system::Error::internal)?;
        let code = Uuid::from_bytes(random).to_string();
        self.waiting().insert(code.clone(), by);
        Ok(Answer::json(StatusCode::CREATED, json!({ "invitation": code })))
    }

    /// Around `POST signup/`: an invitation is used up by whoever comes first, and given back if they are refused.
    async fn needed(self, call: Call, form: Form<String>, next: Next) -> Result<Answer, Refusal> {
        let code = form.read()?;
        let invitation = self.waiting().remove_entry(&code);
        let (code, by) = invitation
            .ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "not_invited", "This invitation does not work."))?;
        let answer = next.run(call).await;
        if answer.is_err() {
            self.waiting().insert(code, by);
        }
        answer
    }
}

fn auth(invitations: &Invitations) -> Result<Auth, Box<dyn Error>> {
    // Of this run alone: a server reads its secret from a secret store.
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes)?;
    let secret = RootSecret::from_bytes(&bytes)?;
    let store = MemoryStore::new(Arc::new(SystemClock));
    let (made, needed) = (invitations.clone(), invitations.clone());
    let builder = Auth::builder(Config::new(secret, "http://127.0.0.1:3000")).store(store).mail(ConsoleTransport);
    let builder = builder.operations(move |table| {
        let invite = Operation::new(Method::POST, "invitations/", move |call| made.clone().make(call));
        table.add(invite.for_sessions().throttled(Limit::new(5, HOUR)).summary("Invite somebody"));
        table.wrap_reading(Method::POST, "signup/", field::text("invitation", 36), move |call, form, next| {
            needed.clone().needed(call, form, next)
        });
        table.remove(Method::POST, "deactivate-account/");
        table.throttle(Method::POST, "login/", Limit::new(20, HOUR));
    });
    Ok(builder.build()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let invitations = Invitations::default();
    let auth = auth(&invitations)?;
    // The first user needs nobody's invitation: operators make accounts.
    auth.admin().ensure_superuser("ada@example.org", "correct horse battery").await?;

    let login = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let login = send(&auth, "login/", "", &login).await?;
    let cookies: Vec<_> =
        login.headers().get_all(header::SET_COOKIE).iter().filter_map(|it| it.to_str().ok()).collect();
    let cookies: Vec<_> = cookies.into_iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let cookies = cookies.join("; ");
    let invited = send(&auth, "invitations/", &cookies, &json!({})).await?;
    let invited: Value = serde_json::from_slice(invited.body())?;

    let signup = |name: &str, invitation: &Value| json!({ "email": format!("{name}@example.org"), "password": "correct horse battery", "invitation": invitation });
    send(&auth, "signup/", "", &signup("grace", &invited["invitation"])).await?;
    send(&auth, "signup/", "", &signup("eve", &invited["invitation"])).await?;
    send(&auth, "deactivate-account/", &cookies, &json!({ "password": "correct horse battery" })).await?;
    auth.shutdown().await;
    Ok(())
}

async fn send(auth: &Auth, path: &str, cookies: &str, body: &Value) -> Result<Response<Bytes>, Box<dyn Error>> {
    let request = Request::post(format!("/api/auth/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::COOKIE, cookies)
        .body(Full::new(Bytes::from(body.to_string())))?;
    let (parts, body) = auth.respond(request, Some([127, 0, 0, 1].into())).await.into_parts();
    let response = Response::from_parts(parts, body.collect().await?.to_bytes());
    println!("POST {path} -> {} {}", response.status(), String::from_utf8_lossy(response.body()));
    Ok(response)
}
