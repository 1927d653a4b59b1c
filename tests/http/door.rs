//! The doors to an account system: the bare service, axum and actix-web, each of the two with an application's own routes
//! beside ours.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, test, web};
use auth_system::types::AuthMethods;
use auth_system::{Auth, CurrentSession, CurrentUser, EnrollingUser, MaybeUser, Require};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyDataStream, BodyExt as _};
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;

use crate::world::{Answer, Call};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Driver {
    Bare,
    Axum,
    Actix,
}

/// The way into one world.
pub(crate) enum Door {
    /// The application's own routes are axum's.
    Bare(Auth, Router),
    Axum(Router),
    Actix(Arbiter),
}

impl Door {
    pub(crate) fn of(driver: Driver, auth: &Auth) -> Self {
        match driver {
            Driver::Bare => Self::Bare(auth.clone(), axum_app(auth)),
            Driver::Axum => Self::Axum(axum_app(auth)),
            Driver::Actix => Self::Actix(Arbiter::start(auth.clone())),
        }
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        match self {
            Self::Bare(auth, _) => {
                let peer = call.peer;
                let (parts, body) = auth.respond(request(call), peer).await.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                Answer { status: parts.status, headers: parts.headers, body }
            }
            Self::Axum(_) | Self::Actix(_) => self.app(call).await,
        }
    }

    /// Through the application, whose own routes the bare service does not have.
    pub(crate) async fn app(&self, call: Call) -> Answer {
        match self {
            Self::Bare(_, router) | Self::Axum(router) => through_axum(router, call).await,
            Self::Actix(arbiter) => arbiter.send(call).await,
        }
    }
}

/// A body whose connection may break after what was sent.
struct Sent {
    body: Option<Bytes>,
    breaks_off: bool,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let broken = self.breaks_off.then(|| Err(ErrorKind::ConnectionReset.into()));
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))).or(broken))
    }
}

fn request(call: Call) -> Request<Sent> {
    let sent = Sent { body: Some(call.body), breaks_off: call.breaks_off };
    let mut request = Request::builder().method(call.method).uri(call.path).body(sent).unwrap();
    *request.headers_mut() = call.headers;
    request
}

pub(crate) fn axum_app(auth: &Auth) -> Router {
    let own = Router::new()
        .route("/open", any(open))
        .route("/whoami", any(whoami))
        .route("/maybe", any(maybe))
        .route("/my-address", any(account))
        .route("/cookies", any(cookies))
        .layer(auth.layer());
    let required = Router::new().route("/required", any(required)).layer(auth.layer().required());
    let enrolling = Router::new()
        .route("/enrolling/user", any(enrolling))
        .route("/enrolling/whoami", any(whoami))
        .route("/enrolling/maybe", any(maybe))
        .layer(auth.layer().for_enrolment());
    let guarded = |path: &str, requirement| {
        Router::new().route(path, any(self::required)).layer(auth.layer().require(requirement))
    };
    let guarded = guarded("/recent", RECENT).merge(guarded("/two-factors", TWO_FACTORS));
    own.merge(required).merge(enrolling).merge(guarded).merge(auth_system::router(auth.clone()))
}

pub(crate) fn actix_app(
    auth: &Auth,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = actix_web::Error, InitError = ()>
    + use<>,
> {
    let own = |path: &str| web::resource(path.to_owned()).wrap(auth.middleware());
    let guarded = |path: &str, requirement| {
        web::resource(path.to_owned()).wrap(auth.middleware().require(requirement)).to(required)
    };
    let enrolling_route = |path: &str| web::resource(path.to_owned()).wrap(auth.middleware().for_enrolment());
    App::new()
        .service(enrolling_route("/enrolling/user").to(enrolling))
        .service(enrolling_route("/enrolling/whoami").to(whoami))
        .service(enrolling_route("/enrolling/maybe").to(maybe))
        .service(auth_system::scope(auth.clone()))
        .service(own("/open").to(open))
        .service(own("/whoami").to(whoami))
        .service(own("/maybe").to(maybe))
        .service(own("/my-address").to(account))
        .service(own("/cookies").to(cookies_in_actix))
        .service(guarded("/recent", RECENT))
        .service(guarded("/two-factors", TWO_FACTORS))
        .service(web::resource("/required").wrap(auth.middleware().required()).to(required))
}

/// The requirements of the guarded routes.
const RECENT: Require = Require::recent(Duration::from_secs(300));
const TWO_FACTORS: Require = Require::method(AuthMethods::MULTI_FACTOR);

async fn open() -> &'static str {
    "open"
}

async fn required() -> &'static str {
    "in"
}

async fn whoami(user: CurrentUser, session: CurrentSession) -> String {
    format!("{} {}", user.id(), session.id())
}

async fn account(user: CurrentUser) -> String {
    user.load().await.map_or_else(|error| error.reason().code().to_owned(), |account| account.email.to_string())
}

async fn enrolling(user: EnrollingUser) -> String {
    format!("{} {}", user.id(), user.scope().as_str())
}

/// The `Cookie` headers that a handler sees.
async fn cookies(headers: HeaderMap) -> String {
    let values: Vec<_> = headers.get_all("cookie").iter().map(|value| value.to_str().unwrap()).collect();
    values.join("|")
}

async fn cookies_in_actix(request: actix_web::HttpRequest) -> String {
    let values: Vec<_> = request.headers().get_all("cookie").map(|value| value.to_str().unwrap()).collect();
    values.join("|")
}

async fn maybe(MaybeUser(user): MaybeUser) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.id().to_string())
}

pub(crate) async fn through_axum(router: &Router, call: Call) -> Answer {
    let mut request = request(call.clone()).map(Body::new);
    if let Some(peer) = call.peer {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 50_000)));
    }
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    Answer { status: parts.status, headers: parts.headers, body: axum::body::to_bytes(body, usize::MAX).await.unwrap() }
}

/// An application of actix-web in a thread of its own: its services are for one thread alone, and calls come from many.
pub(crate) struct Arbiter {
    calls: Option<mpsc::UnboundedSender<(Call, oneshot::Sender<Answer>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Arbiter {
    fn start(auth: Auth) -> Self {
        let (calls, mut incoming) = mpsc::unbounded_channel::<(Call, oneshot::Sender<Answer>)>();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = Rc::new(test::init_service(actix_app(&auth)).await);
                while let Some((call, answer)) = incoming.recv().await {
                    let app = app.clone();
                    actix_web::rt::spawn(async move {
                        let _ = answer.send(through_actix(&*app, call).await);
                    });
                }
            });
        });
        Self { calls: Some(calls), thread: Some(thread) }
    }

    async fn send(&self, call: Call) -> Answer {
        let (sender, answer) = oneshot::channel();
        self.calls.as_ref().unwrap().send((call, sender)).unwrap();
        answer.await.expect("the application panicked")
    }
}

/// With everything that it was at: nothing of a process goes on after its end.
impl Drop for Arbiter {
    fn drop(&mut self) {
        self.calls = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, None | Some(Ok(()))) || thread::panicking(), "the application panicked");
    }
}

pub(crate) async fn through_actix<S, B>(app: &S, call: Call) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let (parts, sent) = request(call.clone()).into_parts();
    let mut request = test::TestRequest::default()
        .method(actix_web::http::Method::from_bytes(parts.method.as_str().as_bytes()).unwrap())
        .uri(&call.path);
    if let Some(peer) = call.peer {
        request = request.peer_addr(SocketAddr::new(peer, 50_000));
    }
    for (name, value) in &parts.headers {
        request = request.append_header((name.as_str(), value.as_bytes()));
    }
    let body = BodyDataStream::new(sent.map_err(actix_web::error::PayloadError::from));
    let payload = actix_web::dev::Payload::Stream { payload: Box::pin(body) as Pin<Box<_>> };
    let (request, _) = request.to_request().replace_payload(payload);
    match app.call(request).await {
        Ok(response) => read(response.into_parts().1).await,
        Err(error) => read(error.error_response()).await,
    }
}

async fn read<B: MessageBody>(response: actix_web::HttpResponse<B>) -> Answer {
    let (head, body) = response.into_parts();
    let pair = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap();
        let mut translated = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        translated.set_sensitive(value.is_sensitive());
        (name, translated)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in head.headers().iter().map(pair) {
        headers.append(name, value);
    }
    let body = actix_web::body::to_bytes(body).await.unwrap_or_else(|_| panic!("a body that cannot be read"));
    Answer { status: StatusCode::from_u16(head.status().as_u16()).unwrap(), headers, body }
}
