//! The actix-web adapter: translations only.

mod middleware;

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodyStream, SizedStream};
use actix_web::dev::RequestHead;
use actix_web::error::PayloadError;
use actix_web::http::header::{HeaderValue, InvalidHeaderValue, TryIntoHeaderValue};
use actix_web::{HttpRequest, HttpResponse, Scope, guard, web};
use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use http_body_util::{BodyDataStream, Empty};

pub use self::middleware::{AuthMiddleware, AuthMiddlewareService};
use crate::Auth;

/// All endpoints, at the configured [`public_path`](crate::Config::public_path): give it to `service` of your app.
///
/// Scopes do not fall through in actix-web: a scope of your own that begins at the same path, such as `/api`, comes after
/// this one, or holds it.
///
/// ```
/// use actix_web::{App, web};
/// use auth_system::{Auth, CurrentUser};
///
/// async fn hello(user: CurrentUser) -> String {
///     format!("Hello {}", user.id())
/// }
///
/// # fn configure(auth: Auth) {
/// let app = App::new()
///     .service(auth_system::scope(auth.clone()))
///     .service(web::resource("/hello").wrap(auth.middleware()).to(hello));
/// # }
/// ```
pub fn scope(auth: Auth) -> Scope {
    let guarding = auth.clone();
    // By the whole path as it was sent: actix-web would match a decoded one, below the scopes around this one.
    let is_ours =
        guard::fn_guard(move |context| guarding.http().below_public_path(context.head().uri.path()).is_some());
    web::scope("").guard(is_ours).default_service(web::to(move |request: HttpRequest, body: web::Payload| {
        let auth = auth.clone();
        async move { respond(&auth, &request, body).await }
    }))
}

async fn respond(auth: &Auth, request: &HttpRequest, body: web::Payload) -> HttpResponse {
    let peer = request.peer_addr().map(|address| address.ip());
    match translate(request.head()) {
        Ok(request) => answer(auth.respond(request.map(|()| Body(body)), peer).await),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

/// The head of a request, in the types of the `http` crate's first version: actix-web has those of the one before. What
/// one of them lets through, the other does, too; if ever not, the request is refused.
fn translate(head: &RequestHead) -> Result<http::Request<()>, http::Error> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = http::Request::builder().method(head.method.as_str()).uri(path).body(())?;
    for (name, value) in &head.headers {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes())?;
        request.headers_mut().try_append(name, http::HeaderValue::from_bytes(value.as_bytes())?)?;
    }
    Ok(request)
}

fn answer(response: http::Response<crate::Body>) -> HttpResponse {
    let (parts, body) = response.into_parts();
    let status = actix_web::http::StatusCode::from_u16(parts.status.as_u16());
    let mut answer = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in &parts.headers {
        answer.append_header((name.as_str(), Value(value)));
    }
    // Only an answer to HEAD says its length itself. actix-web goes by what the body says, and sends none.
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match (length, body.into_bytes()) {
        (Some(length), _) => answer.body(SizedStream::new(length, BodyDataStream::new(Empty::<Bytes>::new()))),
        (None, Ok(body)) => answer.body(body),
        (None, Err(body)) => answer.body(BodyStream::new(BodyDataStream::new(body))),
    }
}

/// A value in actix-web's type, which says of a cookie as ours does that nobody is to log it.
struct Value<'v>(&'v http::HeaderValue);

impl TryIntoHeaderValue for Value<'_> {
    type Error = InvalidHeaderValue;

    fn try_into_value(self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_bytes(self.0.as_bytes())?;
        value.set_sensitive(self.0.is_sensitive());
        Ok(value)
    }
}

/// A request's body, as it arrives.
struct Body(web::Payload);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        Pin::new(&mut self.0).poll_next(cx).map_ok(Frame::data)
    }
}
