//! The tower middleware for an application's own routes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::Auth;
use crate::http::problem::Problem;
use crate::http::{Caller, Refusal, Source, caller};

impl Auth {
    /// Authenticates the application's own routes: extractors such as [`CurrentUser`](crate::CurrentUser) then tell who
    /// calls. A request that changes something and was authenticated by cookie must come from an allowed origin.
    ///
    /// The layer lets anonymous requests through; the extractor refuses them. Use [`AuthLayer::required`] where every
    /// route needs a login.
    pub fn layer(&self) -> AuthLayer {
        AuthLayer { auth: self.clone(), required: false }
    }
}

/// Made by [`Auth::layer`].
#[derive(Clone, Debug)]
pub struct AuthLayer {
    auth: Auth,
    required: bool,
}

impl AuthLayer {
    /// Refuses every request without a live session, before any handler runs.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
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

/// What the layer leaves for extractors.
#[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "extractors read it"))]
#[derive(Clone)]
pub(crate) struct Identified {
    pub(crate) auth: Auth,
    pub(crate) caller: Caller,
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
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone takes the place of the service that was found ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let AuthLayer { auth, required } = self.layer.clone();
        Box::pin(async move {
            let (method, headers) = (request.method().clone(), request.headers());
            match identify(&auth, &method, headers, whole_path(&request), required).await {
                Ok(caller) => {
                    request.extensions_mut().insert(Identified { auth, caller });
                    inner.call(request).await
                }
                Err(refused) => Ok(refused.map(R::from)),
            }
        })
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

/// Who calls, or the answer to a request that must not reach a handler.
async fn identify(
    auth: &Auth,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
    required: bool,
) -> Result<Caller, Response<Bytes>> {
    let refuse = |problem: Problem| auth.respond_refused(problem, headers, path);
    match caller::authenticate(auth, headers).await.map_err(Problem::challenging) {
        Ok(Some((live, source))) => {
            let by_cookie = source == Source::Cookie;
            if by_cookie && !auth.http().origins.permits(method, headers, by_cookie) {
                return Err(refuse(Problem::cross_origin()));
            }
            Ok(Caller::Live(live))
        }
        Ok(None) if required => Err(refuse(Problem::from(auth_core::Reason::NotAuthenticated).challenging())),
        Ok(None) => Ok(Caller::Anonymous),
        Err(problem) if required => Err(refuse(problem)),
        Err(problem) => {
            let unavailable = problem.status().is_server_error();
            Ok(Caller::Refused(Arc::new(Refusal { response: refuse(problem), unavailable })))
        }
    }
}
