//! The middleware for an application's own routes, and the extractors that tell them who calls.

use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::EitherBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use auth_core::session::Require;

use super::{answer, translate};
use crate::http::cookie;
use crate::http::guard::access::{self, Guard, Identified, OfSession, Rejection};
use crate::http::guard::caller;
use crate::{Auth, CurrentSession, CurrentUser, EnrollingUser, MaybeUser};

impl Auth {
    /// Authenticates the application's own routes: extractors such as [`CurrentUser`] then tell who calls. A request that
    /// changes something or opens a WebSocket, and was authenticated by cookie, must come from an allowed origin. The
    /// routes see the request without its refresh cookie, which is for this library alone.
    ///
    /// The middleware lets anonymous requests through; the extractor refuses them. [`MaybeUser`] takes both. Use
    /// [`AuthMiddleware::required`] where every route needs a login. Without the middleware an extractor answers with 500.
    ///
    /// A middleware of yours that keeps a clone of the `HttpRequest` while it calls its inner service belongs inside this
    /// one: actix-web changes no request that has a clone. Outside of it, a request with a refresh cookie is answered with
    /// 500 and the log names the remedy.
    pub fn middleware(&self) -> AuthMiddleware {
        AuthMiddleware { auth: self.clone(), guard: Guard::open() }
    }
}

/// Made by [`Auth::middleware`].
#[derive(Clone, Debug)]
pub struct AuthMiddleware {
    auth: Auth,
    guard: Guard,
}

impl AuthMiddleware {
    /// Refuses every request without a live session, before any handler runs.
    #[must_use]
    pub fn required(self) -> Self {
        Self { guard: self.guard.required(), ..self }
    }

    /// Refuses every request without a live session that meets `requirement`, before any handler runs: 403 with the code
    /// `reauthentication_required`. Several calls add up.
    #[must_use]
    pub fn require(self, requirement: Require) -> Self {
        Self { guard: self.guard.require(requirement), ..self }
    }

    /// Admits sessions that may only enrol a second factor, too. Extractors other than
    /// [`EnrollingUser`](crate::EnrollingUser) refuse them still.
    #[must_use]
    pub fn for_enrolment(self) -> Self {
        Self { guard: self.guard.for_enrolment(), ..self }
    }

    async fn admit(&self, request: &ServiceRequest) -> Result<Identified, HttpResponse> {
        let head = translate(request.head()).map_err(|_| HttpResponse::BadRequest().finish())?;
        let checked = match caller::authenticate_now(self.auth.site(), head.headers(), self.guard.scopes()) {
            Some(checked) => checked,
            None => caller::authenticate(self.auth.site(), head.headers(), self.guard.scopes()).await,
        };
        let head = (head.method(), head.headers());
        self.guard.admit(self.auth.site(), head, checked).map_err(|refused| answer(refused.map(crate::Body::from)))
    }
}

impl<S, B> Transform<S, ServiceRequest> for AuthMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = AuthMiddlewareService<S>;
    type InitError = ();
    type Future = Ready<Result<AuthMiddlewareService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(AuthMiddlewareService { inner: Rc::new(inner), middleware: self.clone() }))
    }
}

/// Made by [`AuthMiddleware`].
#[derive(Debug)]
pub struct AuthMiddlewareService<S> {
    inner: Rc<S>,
    middleware: AuthMiddleware,
}

impl<S, B> Service<ServiceRequest> for AuthMiddlewareService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let (middleware, inner) = (self.middleware.clone(), self.inner.clone());
        Box::pin(async move {
            let identified = match middleware.admit(&request).await {
                Ok(identified) => identified,
                Err(refused) => return Ok(request.into_response(refused).map_into_right_body()),
            };
            let http = middleware.auth.http();
            // Around the whole application, the middleware leaves the endpoints their cookie.
            if http.below_public_path(request.head().uri.path()).is_none()
                && !strip(&mut request, &http.cookies.refresh.name)
            {
                let refused = answer(access::unstrippable(request.head().uri.path()).map(crate::Body::from));
                return Ok(request.into_response(refused).map_into_right_body());
            }
            request.extensions_mut().insert(identified);
            inner.call(request).await.map(ServiceResponse::map_into_left_body)
        })
    }
}

/// Takes every cookie of one name out of a request. Returns `false` if the request has such a cookie and cannot be changed.
fn strip(request: &mut ServiceRequest, name: &str) -> bool {
    let has = |value: &HeaderValue| cookie::without(value.as_bytes(), name).is_some();
    if !request.headers().get_all(COOKIE).any(has) {
        return true;
    }
    let Some(headers) = headers_mut(request) else { return false };
    let sent: Vec<_> = headers.remove(COOKIE).collect();
    for value in sent {
        let kept = match cookie::without(value.as_bytes(), name) {
            None => Some(value),
            Some(rest) if rest.is_empty() => None,
            // A part of a valid value is valid.
            Some(rest) => HeaderValue::try_from(rest).ok(),
        };
        if let Some(kept) = kept {
            headers.append(COOKIE, kept);
        }
    }
    true
}

/// Returns the headers of a request, or `None` if a clone of the request is alive.
///
/// actix-web has no other test for a clone than the panic of `headers_mut`, which comes before any change. With
/// `panic = "abort"` it ends the process, as every panic does.
fn headers_mut(request: &mut ServiceRequest) -> Option<&mut HeaderMap> {
    catch_unwind(AssertUnwindSafe(|| _ = request.headers_mut())).ok()?;
    Some(request.headers_mut())
}

impl FromRequest for CurrentUser {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(required(request))
    }
}

impl FromRequest for MaybeUser {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identified(request).and_then(|identified| identified.optional()).map(Self))
    }
}

impl FromRequest for EnrollingUser {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(required(request))
    }
}

impl FromRequest for CurrentSession {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(required(request))
    }
}

fn required<T: OfSession>(request: &HttpRequest) -> Result<T, Rejection> {
    let identified = identified(request)?;
    if let Some(found) = identified.optional()? {
        return Ok(found);
    }
    // The middleware refuses a head that cannot be translated.
    let head = translate(request.head()).unwrap_or_default();
    identified.required(head.headers())
}

fn identified(request: &HttpRequest) -> Result<Identified, Rejection> {
    let unidentified = || Rejection::unidentified(".wrap(auth.middleware())", request.uri().path());
    request.extensions().get().cloned().ok_or_else(unidentified)
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        answer(self.to_response().map(crate::Body::from))
    }
}
