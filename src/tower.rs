//! The tower middleware for an application's own routes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use auth_core::session::Require;
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Auth;
use crate::http::cookie;
use crate::http::guard::access::Guard;
use crate::http::guard::caller::{self, Checked};

impl Auth {
    /// Authenticates the application's own routes: extractors such as [`CurrentUser`](crate::CurrentUser) then tell who
    /// calls. A request that changes something or opens a WebSocket, and was authenticated by cookie, must come from an
    /// allowed origin. The routes see the request without its refresh cookie, which is for this library alone.
    ///
    /// The layer lets anonymous requests through; the extractor refuses them. Use [`AuthLayer::required`] where every
    /// route needs a login.
    pub fn layer(&self) -> AuthLayer {
        AuthLayer { auth: self.clone(), guard: Guard::open() }
    }
}

/// Made by [`Auth::layer`].
#[derive(Clone, Debug)]
pub struct AuthLayer {
    auth: Auth,
    guard: Guard,
}

impl AuthLayer {
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
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;
    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, layer: self.clone() }
    }
}

/// Made by [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let layer = &self.layer;
        if let Some(checked) = caller::authenticate_now(layer.auth.site(), request.headers(), layer.guard.scopes()) {
            return match layer.admit(&mut request, checked) {
                Ok(()) => ResponseFuture { kind: Kind::Inner { future: self.inner.call(request) } },
                Err(refused) => ResponseFuture::boxed(async { Ok(refused.map(R::from)) }),
            };
        }
        let layer = layer.clone();
        // The clone takes the place of the service that was found ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::boxed(async move {
            let checked = caller::authenticate(layer.auth.site(), request.headers(), layer.guard.scopes()).await;
            match layer.admit(&mut request, checked) {
                Ok(()) => inner.call(request).await,
                Err(refused) => Ok(refused.map(R::from)),
            }
        })
    }
}

impl AuthLayer {
    /// Leaves for extractors who calls, or answers a request that must not reach a handler.
    fn admit<B>(&self, request: &mut Request<B>, checked: Checked) -> Result<(), Response<Bytes>> {
        let head = (request.method(), request.headers());
        let identified = self.guard.admit(self.auth.site(), head, checked)?;
        request.extensions_mut().insert(identified);
        // Around the whole application, the layer leaves the endpoints their cookie.
        if self.auth.http().below_public_path(whole_path(request)).is_none() {
            cookie::strip(request.headers_mut(), &self.auth.http().cookies.refresh.name);
        }
        Ok(())
    }
}

/// The path as the client sees it: on axum's nested routers the request's own is cut.
fn whole_path<B>(request: &Request<B>) -> &str {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri.path();
    }
    request.uri().path()
}

pin_project! {
    /// The answer of an [`AuthService`].
    pub struct ResponseFuture<F: Future> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<F: Future> {
        /// The inner service's own: the check was local, so there is nothing to box.
        Inner { #[pin] future: F },
        Boxed { future: Pin<Box<dyn Future<Output = F::Output> + Send>> },
    }
}

impl<F: Future> ResponseFuture<F> {
    fn boxed(future: impl Future<Output = F::Output> + Send + 'static) -> Self {
        Self { kind: Kind::Boxed { future: Box::pin(future) } }
    }
}

impl<F: Future> Future for ResponseFuture<F> {
    type Output = F::Output;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().kind.project() {
            Projected::Inner { future } => future.poll(cx),
            Projected::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}
