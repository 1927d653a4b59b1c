//! Refusals: the status, the code and the sentence of each. How they are spelt is for the dialect.

use std::time::Duration;

use auth_core::error::{Error, FieldError, FieldReason, KnownText, Reason, Throttle};
use http::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};

use super::json_kind::JsonKind;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The refusal of a request, in the shape that the profile has for all of them.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
    subject: Subject,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The underlying error, for logs only.
    pub(super) cause: Option<Error>,
}

/// What a refusal is about.
#[derive(Debug)]
pub(super) enum Subject {
    /// The request as a whole.
    Request,
    /// The body, which is JSON of this kind.
    Body(JsonKind),
    /// Single fields.
    Fields(Vec<FieldError>),
    /// A wrong password, in this field.
    Password(&'static str),
    /// The mailed link.
    Link,
    /// The access token.
    AccessToken,
    /// The age of the last proofs; one in any of these fields of `reauthenticate/` helps.
    StepUp(&'static [&'static str]),
}

impl Refusal {
    /// A refusal of the application's own. `code` is for programs and stays the same; `detail` is for people. A `status`
    /// that refuses nothing becomes 500.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let refuses = status.is_client_error() || status.is_server_error();
        let status = if refuses { status } else { StatusCode::INTERNAL_SERVER_ERROR };
        Self { status, code, detail: detail.into(), subject: Subject::Request, headers: Vec::new(), cause: None }
    }

    /// One field is wrong.
    pub fn field(field: &'static str, reason: FieldReason) -> Self {
        Error::invalid_fields(vec![FieldError { field, reason }]).into()
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code, for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The reason of the core, if it refused.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.cause.as_ref().map(Error::reason)
    }

    fn about(self, subject: Subject) -> Self {
        Self { subject, ..self }
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Says when to come back, in words and in the fields of draft-ietf-httpapi-ratelimit-headers.
    fn throttled(mut self, Throttle { name, limit, hit }: &Throttle) -> Self {
        let seconds = whole_seconds(hit.reset_after);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        self.detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
        let policy = format!("\"{name}\";q={};w={}", limit.count, limit.window.as_secs());
        let state = format!("\"{name}\";r={};t={seconds}", hit.remaining);
        self.with_header(RATE_LIMIT_POLICY, &policy).with_header(RATE_LIMIT, &state)
    }

    pub(crate) fn with_cookies(mut self, cookies: impl Iterator<Item = HeaderValue>) -> Self {
        self.headers.extend(cookies.map(|cookie| (SET_COOKIE, cookie)));
        self
    }

    /// A 401 that says how to authenticate (RFC 9110 section 11.6.1).
    pub(crate) fn challenging(self) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            self.with_header(WWW_AUTHENTICATE, r#"Bearer realm="api""#)
        } else {
            self
        }
    }

    /// Nothing lives at this path.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found.")
    }

    /// Something lives here, but takes other methods.
    pub(crate) fn method_not_allowed(method: &http::Method, allow: &str) -> Self {
        let detail = format!("Method \"{method}\" not allowed.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).with_header(ALLOW, allow)
    }

    /// The body's type is none that we read.
    pub(crate) fn unsupported_media_type(content_type: &str) -> Self {
        let shown: String = content_type.chars().take(100).collect();
        let detail = format!("Unsupported media type \"{shown}\" in request.");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The body is longer than we read.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let detail = format!("The request body is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// The headers are longer than we read.
    pub(crate) fn headers_too_large(limit: usize) -> Self {
        let detail = format!("The request headers are larger than {limit} bytes.");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)
    }

    /// The client stopped in the middle of its body.
    pub(crate) fn body_incomplete() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_incomplete", "The request body ended early.")
    }

    /// The body did not arrive within the time limit. The connection closes: the rest may still be on its way.
    pub(crate) fn body_timeout() -> Self {
        let detail = "The request body took too long to arrive.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail).with_header(CONNECTION, "close")
    }

    /// The body is no JSON. Line and column only: serde's text would repeat what was sent.
    pub(crate) fn malformed_json(error: &serde_json::Error) -> Self {
        let detail = format!("JSON parse error - line {} column {}", error.line(), error.column());
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    }

    /// The body is JSON, but no object.
    pub(crate) fn not_an_object(kind: JsonKind) -> Self {
        let detail = format!("The body must be a JSON object, not {}.", kind.with_article());
        Self::new(StatusCode::BAD_REQUEST, "not_an_object", detail).about(Subject::Body(kind))
    }

    /// Another site's page sent this.
    pub(crate) fn cross_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_origin", "Requests from this origin are not allowed.")
    }

    /// Nobody asked for this yet: a browser fetched ahead.
    pub(crate) fn prefetch_refused() -> Self {
        Self::new(StatusCode::FORBIDDEN, "prefetch_refused", "This address is not to be fetched ahead.")
    }

    /// A mailed link arrived without its parts.
    pub(super) fn link_incomplete(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "link_incomplete", detail).about(Subject::Link)
    }

    /// Where a wrong password was given in another field than `password`.
    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        if let Subject::Password(name) = &mut self.subject {
            *name = field;
        }
        self
    }

    /// The headers that it has besides those of every answer.
    pub(super) fn into_headers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers
    }

    /// The names of those headers.
    #[cfg(feature = "openapi")]
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// What is wrong with a field, in a sentence that names the field where that helps.
    pub(super) fn text_of(error: &FieldError) -> String {
        match error.reason {
            FieldReason::Taken => format!("A user with that {} already exists.", error.field),
            reason => Self::text(&reason),
        }
    }

    /// What is wrong with a field, in a sentence.
    pub(super) fn text(reason: &FieldReason) -> String {
        match *reason {
            FieldReason::Required => "This field is required.".into(),
            FieldReason::Blank => "This field may not be blank.".into(),
            FieldReason::Null => "This field may not be null.".into(),
            FieldReason::NotAString => "Not a valid string.".into(),
            FieldReason::NotAFlag => "Must be true or false.".into(),
            FieldReason::Repeated => "This field was given more than once.".into(),
            FieldReason::NullCharacter => "Null characters are not allowed.".into(),
            FieldReason::TooShort(limit) => format!("Ensure this field has at least {limit} characters."),
            FieldReason::TooLong(limit) => format!("Ensure this field has no more than {limit} characters."),
            FieldReason::InvalidEmail => "Enter a valid email address.".into(),
            FieldReason::InvalidUsername => {
                "Enter a valid username: unaccented letters a to z, digits and _ . + - only.".into()
            }
            FieldReason::MalformedCode => {
                "Enter the six digits that your authenticator shows, or a backup code of eight letters and digits."
                    .into()
            }
            FieldReason::PasswordTooShort(limit) => {
                format!("This password is too short. It must contain at least {limit} characters.")
            }
            FieldReason::PasswordTooCommon => "This password is too common.".into(),
            FieldReason::PasswordTooSimilar(KnownText::Email) => {
                "The password is too similar to the email address.".into()
            }
            FieldReason::PasswordTooSimilar(KnownText::Username) => {
                "The password is too similar to the username.".into()
            }
            FieldReason::PasswordTooSimilar(_) => "The password is too similar to the name of this service.".into(),
            FieldReason::PasswordRefused(text) => text.into(),
            FieldReason::PasswordNumeric => "This password is entirely numeric.".into(),
            FieldReason::PasswordMismatch => "Passwords do not match.".into(),
            FieldReason::InvalidUuid => "Must be a valid UUID.".into(),
            FieldReason::NotConfirmed => "This has to be confirmed.".into(),
            FieldReason::AddressInUse => "This email is already in use.".into(),
            FieldReason::Taken => "This value is in use already.".into(),
            _ => "This value is not valid.".into(),
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Error::from(reason).into()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        use StatusCode as S;
        let (status, detail) = match error.reason() {
            Reason::InvalidFields => (S::BAD_REQUEST, "One or more fields are invalid."),
            Reason::LinkInvalid => (S::BAD_REQUEST, "Invalid or expired token."),
            Reason::LinkSpent => (S::BAD_REQUEST, "Verification session expired. Please request again."),
            Reason::WrongPassword => (S::BAD_REQUEST, "Wrong password."),
            Reason::ReauthenticationRequired => {
                (S::FORBIDDEN, "Your last login is too long ago for this. Give your password again.")
            }
            Reason::SecondFactorNeeded => {
                (S::FORBIDDEN, "This needs a fresh code of your authenticator. Confirm it and try again.")
            }
            Reason::AlreadyVerified => (S::BAD_REQUEST, "This account is already verified."),
            Reason::InvalidCredentials => (S::UNAUTHORIZED, "Invalid email or password."),
            Reason::NotAuthenticated => (S::UNAUTHORIZED, "Authentication credentials were not provided."),
            Reason::TokenInvalid => (S::UNAUTHORIZED, "The access token is not valid."),
            Reason::TokenExpired => (S::UNAUTHORIZED, "The access token has expired."),
            Reason::TokenWrongType => (S::UNAUTHORIZED, "This is not an access token."),
            Reason::UserInactive => (S::UNAUTHORIZED, "This account is disabled."),
            Reason::UserNotFound => (S::UNAUTHORIZED, "This account does not exist any more."),
            Reason::RefreshInvalid => (S::UNAUTHORIZED, "Refresh token is invalid or has expired."),
            Reason::PendingSessionInvalid => (S::UNAUTHORIZED, "2FA session expired or invalid. Please log in again."),
            Reason::InvalidCode => (S::BAD_REQUEST, "Invalid or expired 2FA code."),
            Reason::TwoFactorEnabled => (S::BAD_REQUEST, "Two-factor authentication is already enabled."),
            Reason::SecondFactorRequired => (S::FORBIDDEN, "Two-factor authentication is required for this account."),
            Reason::TwoFactorDisabled => (S::BAD_REQUEST, "Two-factor authentication is not enabled."),
            Reason::TwoFactorNotSetUp => (S::BAD_REQUEST, "Set up an authenticator first."),
            Reason::Throttled => (S::TOO_MANY_REQUESTS, "Request was throttled."),
            Reason::Unavailable => (S::SERVICE_UNAVAILABLE, "The service is unavailable for the moment. Try again."),
            Reason::Overloaded => (S::SERVICE_UNAVAILABLE, "The service is busy. Try again."),
            Reason::LastSuperuser => (S::CONFLICT, "This is the last super-user."),
            Reason::NotSupported => (S::NOT_IMPLEMENTED, "This is not supported here."),
            Reason::Internal => (S::INTERNAL_SERVER_ERROR, "Something went wrong."),
            other => return unmapped(other, error),
        };
        let subject = match error.reason() {
            Reason::InvalidFields => Subject::Fields(error.fields().to_vec()),
            Reason::LinkInvalid | Reason::LinkSpent => Subject::Link,
            Reason::WrongPassword => Subject::Password("password"),
            Reason::ReauthenticationRequired => Subject::StepUp(&["password", "code"]),
            Reason::SecondFactorNeeded => Subject::StepUp(&["code"]),
            Reason::TokenInvalid | Reason::TokenExpired | Reason::TokenWrongType => Subject::AccessToken,
            _ => Subject::Request,
        };
        let mut problem = Self::new(status, error.reason().code(), detail).about(subject);
        if let Some(wait) = error.retry_after() {
            problem = problem.with_header(RETRY_AFTER, &whole_seconds(wait).to_string());
        }
        if let Some(throttle) = error.throttle() {
            problem = problem.throttled(throttle);
        }
        Self { cause: Some(error), ..problem }
    }
}

/// A reason of a newer core than this table knows: our fault, and said so.
fn unmapped(reason: Reason, error: Error) -> Refusal {
    let problem = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason.code(), "Something went wrong.");
    Refusal { cause: Some(error), ..problem }
}

/// At least one: `Retry-After: 0` invites a stampede.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
