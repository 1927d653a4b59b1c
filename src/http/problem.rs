//! Refusals on the wire: every reason's status, texts and shape, here and nowhere else.
//!
//! The standard shape is RFC 9457: `type title status detail`, a stable `code`, and `errors` per field. The Django
//! profile has the keys that front-ends of that system read, plus `code`.

use std::time::Duration;

use auth_core::error::{Error, FieldError, FieldReason, KnownText, Reason, Throttle};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::config::Profile;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    shape: Shape,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The whole story, for tracing; never for the client.
    pub(crate) cause: Option<Error>,
}

/// How the Django profile spells a problem.
#[derive(Debug)]
enum Shape {
    /// `{"detail": "..."}`
    Detail,
    /// `{"error": "..."}`
    Error,
    /// `{"non_field_errors": ["..."]}`
    NonField,
    /// `{"<field>": ["..."]}`
    Fields(Vec<FieldError>),
    /// As `Fields`, for a password that was asked for in this field.
    WrongPassword(&'static str),
    /// `{"detail": "...", "messages": [...]}`
    Token(&'static str),
    /// `Detail`, to which the standard profile adds `accepts`: the fields that `reauthenticate/` accepts.
    Reauthenticate(&'static [&'static str]),
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), shape: Shape::Detail, headers: Vec::new(), cause: None }
    }

    fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
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

    pub(crate) fn status(&self) -> StatusCode {
        self.status
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
    pub(crate) fn not_an_object(kind: &str) -> Self {
        let detail = format!("Invalid data. Expected a dictionary, but got {kind}.");
        Self::new(StatusCode::BAD_REQUEST, "not_an_object", detail).shaped(Shape::NonField)
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
    pub(crate) fn link_incomplete() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "link_incomplete", "Missing uid or token.").shaped(Shape::Error)
    }

    /// The same in other words.
    pub(crate) fn in_words(self, detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..self }
    }

    /// Where a wrong password was given in another field than `password`.
    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        if let Shape::WrongPassword(name) = &mut self.shape {
            *name = field;
        }
        self
    }

    /// The two passwords of a form whose contract says so in `detail`.
    pub(crate) fn passwords_differ(profile: Profile, field: &'static str) -> Self {
        match profile {
            Profile::Django => Self::new(StatusCode::BAD_REQUEST, "password_mismatch", "Passwords do not match."),
            Profile::Standard => {
                Error::invalid_fields(vec![FieldError { field, reason: FieldReason::PasswordMismatch }]).into()
            }
        }
    }

    /// The response, in the profile's shape.
    pub(crate) fn into_response(self, profile: Profile) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body(profile).to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Self::content_type(profile)));
        response.headers_mut().extend(self.headers);
        response
    }

    /// The type of every refusal's body.
    pub(crate) const fn content_type(profile: Profile) -> &'static str {
        match profile {
            Profile::Standard => "application/problem+json",
            Profile::Django => "application/json",
        }
    }

    pub(crate) fn body(&self, profile: Profile) -> Value {
        match profile {
            Profile::Standard => self.standard_body(),
            Profile::Django => self.django_body(),
        }
    }

    /// The headers that it has besides those of every answer.
    #[cfg(feature = "openapi")]
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    fn standard_body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Shape::WrongPassword(field) = self.shape {
            body["errors"] = json!({ field: [{ "code": self.code, "detail": self.detail }] });
        }
        if let Shape::Reauthenticate(accepts) = self.shape {
            body["accepts"] = accepts.into();
        }
        if let Shape::Fields(errors) = &self.shape {
            body["errors"] = by_field(errors, |error| json!({ "code": error.reason.code(), "detail": text_of(error) }));
        }
        body
    }

    fn django_body(&self) -> Value {
        let mut body = match &self.shape {
            Shape::Detail | Shape::Reauthenticate(_) => json!({ "detail": self.detail }),
            Shape::Error => json!({ "error": self.detail }),
            Shape::NonField => json!({ "non_field_errors": [self.detail] }),
            Shape::Fields(errors) => by_field(errors, |error| text_of(error).into()),
            // Not a list: so that contract has it, for this field alone.
            Shape::WrongPassword(field @ "old_password") => json!({ *field: self.detail }),
            Shape::WrongPassword(field) => json!({ *field: [self.detail] }),
            Shape::Token(message) => json!({
                "detail": self.detail,
                "messages": [{ "token_class": "AccessToken", "token_type": "access", "message": message }],
            }),
        };
        // A field of that name keeps its errors.
        if body.get("code").is_none() {
            body["code"] = self.code.into();
        }
        body
    }
}

/// Field by field, each with a list of what is wrong with it.
fn by_field(errors: &[FieldError], show: impl Fn(&FieldError) -> Value) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for error in errors {
        let list = fields.entry(error.field).or_insert_with(|| json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.push(show(error)));
    }
    fields.into()
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Error::from(reason).into()
    }
}

impl From<Error> for Problem {
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
            Reason::TokenInvalid | Reason::TokenExpired | Reason::TokenWrongType => {
                (S::UNAUTHORIZED, "Given token not valid for any token type")
            }
            Reason::UserInactive => (S::UNAUTHORIZED, "User is inactive"),
            Reason::UserNotFound => (S::UNAUTHORIZED, "User not found"),
            Reason::RefreshInvalid => (S::UNAUTHORIZED, "Refresh token is invalid or has expired."),
            Reason::PendingSessionInvalid => (S::UNAUTHORIZED, "2FA session expired or invalid. Please log in again."),
            Reason::InvalidCode => (S::BAD_REQUEST, "Invalid or expired 2FA code."),
            Reason::TwoFactorEnabled => (S::BAD_REQUEST, "Two-factor authentication is already enabled."),
            Reason::SecondFactorRequired => (S::FORBIDDEN, "Two-factor authentication is required for this account."),
            Reason::TwoFactorDisabled => (S::BAD_REQUEST, "Two-factor authentication is not enabled."),
            Reason::TwoFactorNotSetUp => (S::BAD_REQUEST, "Call /auth/2fa/setup/ first to generate a TOTP secret."),
            Reason::Throttled => (S::TOO_MANY_REQUESTS, "Request was throttled."),
            Reason::Unavailable => (S::SERVICE_UNAVAILABLE, "The service is unavailable for the moment. Try again."),
            Reason::Overloaded => (S::SERVICE_UNAVAILABLE, "The service is busy. Try again."),
            Reason::LastSuperuser => (S::CONFLICT, "This is the last super-user."),
            Reason::NotSupported => (S::NOT_IMPLEMENTED, "This is not supported here."),
            Reason::Internal => (S::INTERNAL_SERVER_ERROR, "Something went wrong."),
            other => return unmapped(other, error),
        };
        let shape = match error.reason() {
            Reason::InvalidFields => Shape::Fields(error.fields().to_vec()),
            Reason::LinkInvalid | Reason::LinkSpent => Shape::Error,
            Reason::WrongPassword => Shape::WrongPassword("password"),
            Reason::ReauthenticationRequired => Shape::Reauthenticate(&["password", "code"]),
            Reason::SecondFactorNeeded => Shape::Reauthenticate(&["code"]),
            Reason::TokenInvalid => Shape::Token("Token is invalid"),
            Reason::TokenExpired => Shape::Token("Token is expired"),
            Reason::TokenWrongType => Shape::Token("Token has wrong type"),
            _ => Shape::Detail,
        };
        let mut problem = Self::new(status, error.reason().code(), detail).shaped(shape);
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
fn unmapped(reason: Reason, error: Error) -> Problem {
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, reason.code(), "Something went wrong.");
    Problem { cause: Some(error), ..problem }
}

/// At least one: `Retry-After: 0` invites a stampede.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn text_of(error: &FieldError) -> String {
    match error.reason {
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
            "Enter the six digits that your authenticator shows, or a backup code of eight letters and digits.".into()
        }
        FieldReason::PasswordTooShort(limit) => {
            format!("This password is too short. It must contain at least {limit} characters.")
        }
        FieldReason::PasswordTooCommon => "This password is too common.".into(),
        FieldReason::PasswordTooSimilar(KnownText::Email) => "The password is too similar to the email address.".into(),
        FieldReason::PasswordTooSimilar(KnownText::Username) => "The password is too similar to the username.".into(),
        FieldReason::PasswordTooSimilar(_) => "The password is too similar to the name of this service.".into(),
        FieldReason::PasswordRefused(text) => text.into(),
        FieldReason::PasswordNumeric => "This password is entirely numeric.".into(),
        FieldReason::PasswordMismatch => "Passwords do not match.".into(),
        FieldReason::InvalidUuid => "Must be a valid UUID.".into(),
        FieldReason::NotConfirmed => "This has to be confirmed.".into(),
        FieldReason::AddressInUse => "This email is already in use.".into(),
        FieldReason::Taken if error.field == "email" => "user with this email already exists.".into(),
        FieldReason::Taken => format!("A user with that {} already exists.", error.field),
        _ => "This value is not valid.".into(),
    }
}
