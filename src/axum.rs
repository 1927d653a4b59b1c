//! The axum adapter: translations only.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::request::Parts;

use crate::http::guard::access::{Identified, OfSession, Rejection};
use crate::{Auth, CurrentSession, CurrentUser, EnrollingUser, MaybeUser};

/// All endpoints, at the configured [`public_path`](crate::Config::public_path): merge it into your router.
///
/// Serve your app with `into_make_service_with_connect_info::<SocketAddr>()`, so that the client's address is known.
pub fn router<S: Clone + Send + Sync + 'static>(auth: Auth) -> Router<S> {
    let path = auth.http().public_path.clone();
    let handler = any(move |request: Request| {
        let auth = auth.clone();
        async move { respond(&auth, request).await }
    });
    Router::new()
        .route(&path, handler.clone())
        .route(&format!("{path}/"), handler.clone())
        .route(&format!("{path}/{{*rest}}"), handler)
}

async fn respond(auth: &Auth, mut request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    // Under `nest` the path is cut; the public path is the whole one.
    if let Some(OriginalUri(uri)) = request.extensions().get::<OriginalUri>() {
        *request.uri_mut() = uri.clone();
    }
    auth.respond(request, peer).await.map(Body::new)
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        required(parts)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentUser {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        optional(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeUser {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        optional(parts).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentSession {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        required(parts)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentSession {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        optional(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for EnrollingUser {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        required(parts)
    }
}

fn required<T: OfSession>(parts: &Parts) -> Result<T, Rejection> {
    identified(parts)?.required(&parts.headers)
}

fn optional<T: OfSession>(parts: &Parts) -> Result<Option<T>, Rejection> {
    identified(parts)?.optional()
}

fn identified(parts: &Parts) -> Result<&Identified, Rejection> {
    parts.extensions.get().ok_or_else(|| Rejection::unidentified(".layer(auth.layer())", parts.uri.path()))
}
