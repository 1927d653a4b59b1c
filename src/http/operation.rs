//! Changing the table before it is mounted: rows of the application's own, rows less, rows wrapped, other limits.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use auth_core::error::{Error, FieldError, FieldReason, Reason};
use auth_core::flow::SessionTokens;
use auth_core::policy::InvalidSetting;
use auth_core::proof::LiveSession;
use auth_core::types::{Client, Limit, Password};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::Exchange;
use super::doc::Doc;
use super::fields::{Fields, Reader};
use super::problem::Problem;
use super::reply::Reply;
use super::table::{Access, Effect, Endpoint, Handler, Table};
use super::throttle::Throttle;
use crate::Auth;
use crate::config::Throttles;

type Running = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;
pub(crate) type OwnHandler = Arc<dyn Fn(Call) -> Running + Send + Sync>;
pub(crate) type Wrapper = Arc<dyn Fn(Call, Next) -> Running + Send + Sync>;

/// The table of endpoints, to be changed by [`AuthBuilder::operations`](crate::AuthBuilder::operations).
///
/// A row is named by its method and its path below the public path, with the slash at its end: `POST` and `login/`.
/// What does not fit is told by [`AuthBuilder::build`](crate::AuthBuilder::build).
pub struct Operations<'a> {
    table: &'a mut Table,
    throttles: &'a Throttles,
    problem: Option<InvalidSetting>,
}

impl<'a> Operations<'a> {
    pub(crate) fn new(table: &'a mut Table, throttles: &'a Throttles) -> Self {
        Self { table, throttles, problem: None }
    }

    /// The first thing that did not fit.
    pub(crate) fn outcome(self) -> Result<(), InvalidSetting> {
        self.problem.map_or(Ok(()), Err)
    }

    /// Takes a row away: its path answers as if it had never been there.
    pub fn remove(&mut self, method: Method, path: &str) -> &mut Self {
        if let Some(at) = self.find(&method, path) {
            self.table.endpoints.remove(at);
        }
        self
    }

    /// Adds a row.
    pub fn add(&mut self, operation: Operation) -> &mut Self {
        let row = operation.row;
        if self.position(&row.method, row.path).is_some() {
            return self.refuse(format!("{} {} is there already: replace it", row.method, row.path));
        }
        let segments = row.path.strip_suffix('/').unwrap_or(row.path).split('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        if !segments.into_iter().all(|part| !part.is_empty() && part.chars().all(plain)) {
            return self.refuse(format!("`{}` is no path such as `invitations/`", row.path));
        }
        if let Some(Err(problem)) = row.throttle.map(|throttle| throttle.check(self.throttles)) {
            return self.refuse(format!("{} {}: {problem}", row.method, row.path));
        }
        self.table.endpoints.push(row);
        self
    }

    /// Puts a row of the application's own in the place of one that is there.
    pub fn replace(&mut self, operation: Operation) -> &mut Self {
        if let Some(at) = self.find(&operation.row.method, operation.row.path) {
            self.table.endpoints.remove(at);
            self.add(operation);
        }
        self
    }

    /// Runs `around` in the place of a row; it calls [`Next::run`] to go on. The session check of the row comes first,
    /// so `around` never sees a call that lacks the session, or the scope, that the row asks for.
    pub fn wrap<F, R>(&mut self, method: Method, path: &str, around: F) -> &mut Self
    where
        F: Fn(Call, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        if let Some(row) = self.find(&method, path).and_then(|at| self.table.endpoints.get_mut(at)) {
            let inner = Arc::clone(&row.handler);
            let around: Wrapper = Arc::new(move |call, next| {
                let answer = around(call, next);
                Box::pin(async move { Ok(answer.await?.0) })
            });
            row.handler = Arc::new(Handler::Wrapped { inner, around });
        }
        self
    }

    /// Gives a row a limit by address of its own, in the place of the one in [`Throttles`] or of none.
    pub fn throttle(&mut self, method: Method, path: &str, limit: Limit) -> &mut Self {
        if let Some(row) = self.find(&method, path).and_then(|at| self.table.endpoints.get_mut(at)) {
            let throttle = Throttle::Own(row.path.trim_end_matches('/'), limit);
            row.throttle = Some(throttle);
            if let Err(problem) = throttle.check(self.throttles) {
                return self.refuse(format!("{method} {path}: {problem}"));
            }
        }
        self
    }

    fn position(&self, method: &Method, path: &str) -> Option<usize> {
        self.table.endpoints.iter().position(|row| row.method == *method && row.matches(path))
    }

    fn find(&mut self, method: &Method, path: &str) -> Option<usize> {
        let at = self.position(method, path);
        if at.is_none() {
            self.refuse(format!("there is no {method} {path}"));
        }
        at
    }

    fn refuse(&mut self, problem: String) -> &mut Self {
        self.problem.get_or_insert_with(|| InvalidSetting::new("operations", problem));
        self
    }
}

impl fmt::Debug for Operations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.table.endpoints.iter().map(|row| format!("{} {}", row.method, row.path));
        f.debug_list().entries(rows).finish()
    }
}

/// A row of the application's own. It gets what every row gets: the cross-origin check, the size limits, the headers of
/// every answer, and a limit by address if it is given one.
pub struct Operation {
    row: Endpoint,
}

impl Operation {
    /// A row for anybody. `path` is below the public path, such as `invitations/`; it works with and without the slash
    /// at its end.
    ///
    /// A GET only reads and takes its fields from the query; all other methods change something and take them from the
    /// body.
    pub fn new<F, R>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        let run: OwnHandler = Arc::new(move |call| {
            let answer = handler(call);
            Box::pin(async move { Ok(answer.await?.0) })
        });
        let reads = method == Method::GET;
        let refusals = |_| vec![Error::invalid_fields(Vec::new()).into()];
        Self {
            row: Endpoint {
                effect: if reads { Effect::Reads } else { Effect::Changes },
                reads_body: !reads,
                method,
                path,
                throttle: None,
                doc: Doc { answer: || serde_json::json!({}), ..Doc::new("application", path) }.refusals(refusals),
                access: Access::Anyone,
                handler: Arc::new(Handler::Own(run)),
            },
        }
    }

    /// Only for callers with a live session; [`Call::session`] is then there. A session that may only enrol a second
    /// factor is refused.
    #[must_use]
    pub fn for_sessions(mut self) -> Self {
        self.row.access = Access::FULL;
        self
    }

    /// Requires a session like [`for_sessions`](Self::for_sessions), and also admits sessions that may only enrol a second
    /// factor. [`LiveSession::scope`] tells them apart.
    #[must_use]
    pub fn for_enrolment(mut self) -> Self {
        self.row.access = Access::ENROLMENT;
        self
    }

    /// How often one address may call it. Default: as often as it likes.
    #[must_use]
    pub fn throttled(mut self, limit: Limit) -> Self {
        self.row.throttle = Some(Throttle::Own(self.row.path.trim_end_matches('/'), limit));
        self
    }

    /// What the OpenAPI document says of it.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.row.doc.summary = summary;
        self
    }

    /// JSON Schema of the body, for the OpenAPI document.
    #[must_use]
    pub fn body_schema(mut self, schema: fn() -> Value) -> Self {
        self.row.doc.body = Some(schema);
        self
    }

    /// Status and JSON Schema of the answer, for the OpenAPI document. Default: 200 and anything.
    #[must_use]
    pub fn answer_schema(mut self, status: StatusCode, schema: fn() -> Value) -> Self {
        (self.row.doc.status, self.row.doc.answer) = (status.as_u16(), schema);
        self
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("method", &self.row.method)
            .field("path", &self.row.path)
            .finish_non_exhaustive()
    }
}

/// One request to a row, past the checks that all rows share.
pub struct Call {
    auth: Auth,
    client: Client,
    headers: HeaderMap,
    fields: Fields,
    session: Option<LiveSession>,
}

impl Call {
    pub(super) fn new(exchange: Exchange<'_>, session: Option<LiveSession>) -> Self {
        let Exchange { auth, client, headers, fields } = exchange;
        Self { auth: auth.clone(), client, headers: headers.clone(), fields, session }
    }

    /// The account system.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Who calls: what flows count by and mails are worded for.
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

    /// Starts reading the fields of the body or query.
    pub fn form(&self) -> Form<'_> {
        Form(self.fields.reader())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("client", &self.client).field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// The row that something is wrapped around.
pub struct Next(Arc<Handler>);

impl Next {
    pub(super) fn new(handler: Arc<Handler>) -> Self {
        Self(handler)
    }

    /// Runs the row.
    ///
    /// # Errors
    /// What the row refuses.
    pub async fn run(self, call: Call) -> Result<Answer, Refusal> {
        let Call { auth, client, headers, fields, session } = call;
        let exchange = Exchange { auth: &auth, client, headers: &headers, fields };
        self.0.run(exchange, session).await.map(Answer).map_err(Refusal)
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// Reads fields one by one, and tells all that is wrong at its [`finish`](Self::finish).
pub struct Form<'a>(Reader<'a>);

/// Values may be secrets.
impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

impl<'a> Form<'a> {
    /// Whether the field was sent at all.
    pub fn has(&self, field: &str) -> bool {
        self.0.has(field)
    }

    /// A text without the white space around it, of 1 to so many characters.
    pub fn text(&mut self, field: &'static str, max_chars: usize) -> &'a str {
        self.0.text(field, max_chars)
    }

    /// As [`text`](Self::text); `None` when it was not sent, `""` when it is blank.
    pub fn optional_text(&mut self, field: &'static str, max_chars: usize) -> Option<&'a str> {
        self.0.optional_text(field, max_chars)
    }

    /// A mail address.
    pub fn email(&mut self, field: &'static str) -> &'a str {
        self.0.email(field)
    }

    /// A password to be checked.
    pub fn password(&mut self, field: &'static str) -> Password {
        self.0.password(field)
    }

    /// Says that a field is wrong.
    pub fn refuse(&mut self, field: &'static str, reason: FieldReason) {
        self.0.wrong(field, reason);
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `invalid_fields`, with all that is wrong.
    pub fn finish(self) -> Result<(), Refusal> {
        self.0.finish().map_err(Refusal)
    }
}

/// What a row answers. It goes out with the headers of every answer, `Cache-Control: no-store` among them.
#[derive(Debug)]
pub struct Answer(Reply);

impl Answer {
    /// A status and a JSON body.
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self(Reply::json(status, body))
    }

    /// `{"detail": "..."}`
    pub fn detail(status: StatusCode, detail: &str) -> Self {
        Self(Reply::detail(status, detail))
    }

    /// 204.
    pub fn empty() -> Self {
        Self(Reply::empty())
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// One more header, beside those of its name that are there.
    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self(self.0.with_header(name, value))
    }

    /// Hands a session's tokens to the browser, as cookies.
    #[must_use]
    pub fn with_session(self, auth: &Auth, tokens: &SessionTokens) -> Self {
        Self(self.0.with_session(auth, tokens))
    }
}

/// A refusal, in the shape that the profile has for all of them.
#[derive(Debug)]
pub struct Refusal(Problem);

impl Refusal {
    /// A refusal of the application's own. `code` is for programs and stays the same; `detail` is for people. A `status`
    /// that refuses nothing becomes 500.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let refuses = status.is_client_error() || status.is_server_error();
        let status = if refuses { status } else { StatusCode::INTERNAL_SERVER_ERROR };
        Self(Problem::new(status, code, detail))
    }

    /// One field is wrong.
    pub fn field(field: &'static str, reason: FieldReason) -> Self {
        Error::invalid_fields(vec![FieldError { field, reason }]).into()
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self(reason.into())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}
