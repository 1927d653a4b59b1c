//! One endpoint: its row in the table, its handler, and the request that the handler gets.
//!
//! The library's own endpoints and those of the application are the same type, made by the same functions.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use auth_core::error::Reason;
use auth_core::proof::LiveSession;
use auth_core::session::Require;
use auth_core::types::{Client, Limit, Scope};
use auth_core::{AuthSystem, Request};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::answer::Answer;
use super::doc::Doc;
use super::field::{Fields, Form, Part};
use super::guard::caller;
use super::guard::throttle::Throttle;
use super::refusal::Refusal;
use super::site::Site;
use super::values::Values;

pub(super) type Running = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;
/// The code of an endpoint, with everything that the application put around it.
pub(super) type Handler = Arc<dyn Fn(Call) -> Running + Send + Sync>;

/// A row of the table. It gets what every row gets: the cross-origin check, the size limits, the headers of every answer,
/// and a limit by address if it is given one.
pub struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) effect: Effect,
    pub(super) access: Access,
    /// Requirements on the session, besides its scope.
    pub(super) requirements: Vec<Require>,
    pub(super) throttle: Option<Throttle>,
    /// What the handler reads from the body, or of a GET from the query. Without any, bodies are ignored.
    pub(super) fields: Vec<Part>,
    /// What the OpenAPI document says of it.
    #[cfg_attr(not(feature = "openapi"), allow(dead_code, reason = "only the document reads it"))]
    pub(super) doc: Doc,
    pub(super) handler: Handler,
}

/// Whether an endpoint changes anything. A GET that does is never run by HEAD or a prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Changes,
}

/// The callers that an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Every caller. Access tokens are ignored.
    Anyone,
    /// A caller with a live session of one of these scopes.
    Session(&'static [Scope]),
}

impl Operation {
    /// An endpoint for every caller that reads no fields.
    ///
    /// `path` is below the public path, such as `invitations/`; it works with and without the slash at its end. A segment
    /// in braces, as in `invitations/{id}/`, matches every segment: [`Call::parameter`] returns what was sent.
    ///
    /// A GET only reads; all other methods change something, so they must come from an allowed origin.
    pub fn new<H, R>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        Self::with(method, path, Vec::new(), Arc::new(move |call| Box::pin(handler(call))))
    }

    /// As [`new`](Self::new), with the fields that the handler reads: from the query of a GET, else from the body.
    pub fn reading<F, H, R>(method: Method, path: &'static str, fields: F, handler: H) -> Self
    where
        F: Fields,
        H: Fn(Call, Form<F::Output>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        let parts = fields.parts();
        let fields = Arc::new(fields);
        Self::with(
            method,
            path,
            parts,
            Arc::new(move |call| {
                let form = call.form(&fields);
                Box::pin(handler(call, form))
            }),
        )
    }

    fn with(method: Method, path: &'static str, fields: Vec<Part>, handler: Handler) -> Self {
        let effect = if method == Method::GET { Effect::Reads } else { Effect::Changes };
        let (access, requirements) = (Access::Anyone, Vec::new());
        let (throttle, doc) = (None, Doc::new("application", path));
        Self { method, path, effect, access, requirements, throttle, fields, doc, handler }
    }

    /// Only for callers with a live session, which [`Call::session`] returns. A session that may only enrol a second
    /// factor is refused.
    #[must_use]
    pub fn for_sessions(self) -> Self {
        Self { access: Access::Session(&[Scope::Full]), ..self }
    }

    /// Requires a session like [`for_sessions`](Self::for_sessions), and also admits sessions that may only enrol a second
    /// factor. [`LiveSession::scope`] tells them apart.
    #[must_use]
    pub fn for_enrolment(self) -> Self {
        Self { access: Access::Session(&[Scope::Full, Scope::EnrolFactor]), ..self }
    }

    /// Requires a session like [`for_sessions`](Self::for_sessions) that also meets `requirement`: others are refused with
    /// 403 and the code `reauthentication_required`. Several calls add up.
    #[must_use]
    pub fn require(mut self, requirement: Require) -> Self {
        self.requirements.push(requirement);
        if self.access == Access::Anyone { self.for_sessions() } else { self }
    }

    /// How often one address may call it. Default: without a limit.
    #[must_use]
    pub fn throttled(self, limit: Limit) -> Self {
        let throttle = Throttle { name: self.path.trim_end_matches('/'), default: limit };
        Self { throttle: Some(throttle), ..self }
    }

    /// As [`throttled`](Self::throttled), with a count that all endpoints of this name share.
    pub(super) fn throttle(self, name: &'static str, per_minute: u32) -> Self {
        Self { throttle: Some(Throttle::per_minute(name, per_minute)), ..self }
    }

    /// A GET that changes something: a mailed link.
    pub(super) fn changing(self) -> Self {
        Self { effect: Effect::Changes, ..self }
    }

    pub(super) fn doc(self, doc: Doc) -> Self {
        Self { doc, ..self }
    }

    /// Its line in the OpenAPI document.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.doc.summary = summary;
        self
    }

    /// Status and JSON Schema of the answer, for the OpenAPI document. Default: 200 and any object.
    #[must_use]
    pub fn answer_schema(mut self, status: StatusCode, schema: fn() -> Value) -> Self {
        (self.doc.status, self.doc.answer) = (status.as_u16(), schema);
        self
    }

    /// Puts `around` in the place of the handler; it reads these fields beside those of the handler.
    pub(super) fn wrap<F, W, R>(&mut self, fields: F, around: W)
    where
        F: Fields,
        W: Fn(Call, Form<F::Output>, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        self.fields.extend(fields.parts());
        let (inner, fields) = (Arc::clone(&self.handler), Arc::new(fields));
        self.handler = Arc::new(move |call| {
            let form = call.form(&fields);
            Box::pin(around(call, form, Next(Arc::clone(&inner))))
        });
    }

    /// Whether it is at this path below the public one.
    pub(super) fn matches(&self, below: &str) -> bool {
        let (path, below) = (self.path.trim_end_matches('/'), below.strip_suffix('/').unwrap_or(below));
        let mut sent = below.split('/');
        let fits = path.split('/').all(|segment| match (parameter_name(segment), sent.next()) {
            (Some(_), Some(sent)) => !sent.is_empty(),
            (None, Some(sent)) => segment == sent,
            (_, None) => false,
        });
        fits && sent.next().is_none()
    }

    /// HEAD is answered where GET is.
    pub(super) fn answers(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

/// The name of a path parameter, such as `id` of `{id}`.
pub(super) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

/// One request to a row, past the checks that all rows share.
pub struct Call {
    site: Arc<Site>,
    client: Client,
    headers: Arc<HeaderMap>,
    /// The row's path, and the path that was sent, below the public one.
    path: (&'static str, String),
    values: Arc<Values>,
    session: Option<LiveSession>,
}

impl Call {
    pub(super) fn new(
        site: &Arc<Site>,
        (client, headers): (Client, &Arc<HeaderMap>),
        path: (&'static str, &str),
        values: Values,
        session: Option<LiveSession>,
    ) -> Self {
        let (site, headers) = (Arc::clone(site), Arc::clone(headers));
        Self { site, client, headers, path: (path.0, path.1.to_owned()), values: Arc::new(values), session }
    }

    /// The flows, for the calling client.
    pub fn auth(&self) -> Request<'_> {
        self.system().request(&self.client)
    }

    /// The account system.
    pub fn system(&self) -> &AuthSystem {
        &self.site.system
    }

    /// The calling client: what flows count by and mails are worded for.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The session of a row that asks for one.
    pub fn session(&self) -> Option<&LiveSession> {
        self.session.as_ref()
    }

    /// What was sent in the place of `{name}` in the row's path, as it was sent: percent-encoding is not decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (path, sent) = &self.path;
        let mut segments = path.split('/').zip(sent.split('/'));
        segments.find(|(segment, _)| parameter_name(segment) == Some(name)).map(|(_, sent)| sent)
    }

    /// As [`session`](Self::session), where the row asks for one.
    pub(super) fn live(&self) -> Result<&LiveSession, Refusal> {
        self.session.as_ref().ok_or_else(|| Reason::NotAuthenticated.into())
    }

    /// The client, with the device token that the browser shows.
    pub(super) fn client_on_device(&self) -> Client {
        self.client.on_device(self.device_token())
    }

    pub(super) fn device_token(&self) -> Option<&str> {
        caller::device_token(&self.site, &self.headers)
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    fn form<F: Fields>(&self, fields: &Arc<F>) -> Form<F::Output> {
        Form::new(fields, &self.site, self.auth().shared_policy(), &self.values)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("client", &self.client).field("fields", &self.values).finish_non_exhaustive()
    }
}

/// The row that something is wrapped around.
pub struct Next(Handler);

impl Next {
    /// Runs the row.
    ///
    /// # Errors
    /// What the row refuses.
    pub async fn run(self, call: Call) -> Result<Answer, Refusal> {
        (self.0)(call).await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}
