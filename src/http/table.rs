//! THE table: every endpoint, its method, path, effect, throttle, access and handler. The site map of the library.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use auth_core::Reason;
use auth_core::proof::LiveSession;
use auth_core::types::Scope;
use http::Method;

use super::doc::Doc;
#[cfg(feature = "openapi")]
use super::openapi;
use super::operation::{Call, Next, OwnHandler, Wrapper};
use super::problem::Problem;
use super::reply::Reply;
use super::throttle::Throttle;
use super::{
    Exchange, change_email, change_password, deactivate, login, logout, me, not_me, password_reset, reauthenticate,
    refresh, signup, two_factor, verify_email,
};

/// One row.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// Below the public path, with its trailing slash; requests may leave that out.
    pub(crate) path: &'static str,
    pub(crate) effect: Effect,
    pub(crate) access: Access,
    /// How often one address may call it.
    pub(crate) throttle: Option<Throttle>,
    /// Whether the body's fields are read; other bodies are ignored whatever they hold.
    pub(crate) reads_body: bool,
    /// What the OpenAPI document says of it.
    #[cfg_attr(not(feature = "openapi"), allow(dead_code, reason = "only the document reads it"))]
    pub(crate) doc: Doc,
    pub(crate) handler: Arc<Handler>,
}

/// Whether an endpoint changes anything. A GET that does is never run by HEAD or a prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Changes,
}

/// The callers that an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Every caller. Access tokens are ignored.
    Anyone,
    /// A caller with a live session of one of these scopes.
    Session(&'static [Scope]),
}

impl Access {
    /// A session for the whole account.
    pub(crate) const FULL: Self = Self::Session(&[Scope::Full]);
    /// Also a session that may only enrol a second factor.
    pub(crate) const ENROLMENT: Self = Self::Session(&[Scope::Full, Scope::EnrolFactor]);
}

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;

/// The code of an endpoint. Its row says who may call it.
pub(crate) enum Handler {
    /// Without a session.
    Public(for<'a> fn(&'a Exchange<'a>) -> Answer<'a>),
    /// With the session that the row asked for.
    Session(for<'a> fn(&'a Exchange<'a>, LiveSession) -> Answer<'a>),
    /// The application's own.
    Own(OwnHandler),
    /// One with something of the application's around it.
    Wrapped { inner: Arc<Handler>, around: Wrapper },
}

impl Handler {
    /// Runs the code with the session that the row asked for, if it did.
    pub(crate) fn run<'a>(&'a self, exchange: Exchange<'a>, live: Option<LiveSession>) -> Answer<'a> {
        Box::pin(async move {
            match self {
                Self::Public(handler) => handler(&exchange).await,
                Self::Session(handler) => {
                    let live = live.ok_or(Reason::NotAuthenticated)?;
                    handler(&exchange, live).await
                }
                Self::Own(run) => run(Call::new(exchange, live)).await,
                Self::Wrapped { inner, around } => {
                    around(Call::new(exchange, live), Next::new(Arc::clone(inner))).await
                }
            }
        })
    }
}

/// All rows.
pub(crate) struct Table {
    pub(super) endpoints: Vec<Endpoint>,
}

impl Table {
    /// `openapi`: with the rows that serve the document, where that feature is on.
    #[rustfmt::skip]
    #[cfg_attr(not(feature = "openapi"), expect(unused_variables, reason = "the feature reads it"))]
    pub(crate) fn new(openapi: bool) -> Self {
        use Access::Anyone;
        use Effect::{Changes, Reads};
        use Handler::{Public, Session};
        use Throttle::{
            ChangeEmail, ChangePassword, Confirm, Login, PasswordReset, Reauthenticate, Refresh, ResendVerification, SignUp,
            TwoFactor, VerifyLogin,
        };
        const FULL: Access = Access::FULL;
        const ENROLMENT: Access = Access::ENROLMENT;
        let row = |method, path, effect, access, throttle, reads_body, doc, handler| {
            Endpoint { method, path, effect, access, throttle, reads_body, doc, handler: Arc::new(handler) }
        };
        #[cfg_attr(not(feature = "openapi"), expect(unused_mut, reason = "the feature adds rows"))]
        let mut endpoints = vec![
            //  method        path                       effect   access     throttle                  body   doc                                  handler
            row(Method::POST, "signup/",                 Changes, Anyone,    Some(SignUp),             true,  signup::SIGN_UP,                     Public(|x| Box::pin(signup::sign_up(x)))),
            row(Method::GET,  "verify-account/",         Changes, Anyone,    Some(Confirm),            false, verify_email::VERIFY,                Public(|x| Box::pin(verify_email::verify(x)))),
            row(Method::POST, "verify-account/",         Changes, Anyone,    Some(Confirm),            true,  verify_email::VERIFY,                Public(|x| Box::pin(verify_email::verify(x)))),
            row(Method::POST, "resend-verification/",    Changes, Anyone,    Some(ResendVerification), true,  verify_email::RESEND,                Public(|x| Box::pin(verify_email::resend(x)))),
            row(Method::POST, "login/",                  Changes, Anyone,    Some(Login),              true,  login::LOG_IN,                       Public(|x| Box::pin(login::log_in(x)))),
            row(Method::POST, "refresh/",                Changes, Anyone,    Some(Refresh),            false, refresh::REFRESH,                    Public(|x| Box::pin(refresh::refresh(x)))),
            row(Method::POST, "logout/",                 Changes, Anyone,    None,                     false, logout::LOG_OUT,                     Public(|x| Box::pin(logout::log_out(x)))),
            row(Method::GET,  "me/",                     Reads,   FULL,      None,                     false, me::SHOW,                            Session(|x, live| Box::pin(me::show(x, live)))),
            row(Method::PATCH,"me/",                     Changes, FULL,      None,                     true,  me::CHANGE,                          Session(|x, live| Box::pin(me::change(x, live)))),
            row(Method::POST, "reauthenticate/",         Changes, FULL,      Some(Reauthenticate),     true,  reauthenticate::REAUTHENTICATE,      Session(|x, live| Box::pin(reauthenticate::reauthenticate(x, live)))),
            row(Method::POST, "change-password/",        Changes, FULL,      Some(ChangePassword),     true,  change_password::CHANGE,             Session(|x, live| Box::pin(change_password::change(x, live)))),
            row(Method::POST, "change-email/",           Changes, FULL,      Some(ChangeEmail),        true,  change_email::REQUEST,               Session(|x, live| Box::pin(change_email::request(x, live)))),
            row(Method::GET,  "change-email-confirm/",   Changes, Anyone,    Some(Confirm),            false, change_email::CONFIRM_BY_GET,        Public(|x| Box::pin(change_email::confirm_by_get(x)))),
            row(Method::POST, "change-email-confirm/",   Changes, Anyone,    Some(Confirm),            true,  change_email::CONFIRM,               Public(|x| Box::pin(change_email::confirm(x)))),
            row(Method::POST, "not-me/",                 Changes, Anyone,    Some(Confirm),            true,  not_me::TAKE_BACK,                   Public(|x| Box::pin(not_me::take_back(x)))),
            row(Method::POST, "deactivate-account/",     Changes, FULL,      Some(Reauthenticate),     true,  deactivate::DEACTIVATE,              Session(|x, live| Box::pin(deactivate::deactivate(x, live)))),
            row(Method::POST, "password-reset/",         Changes, Anyone,    Some(PasswordReset),      true,  password_reset::REQUEST,             Public(|x| Box::pin(password_reset::request(x)))),
            row(Method::POST, "password-reset-confirm/", Changes, Anyone,    Some(Confirm),            true,  password_reset::CONFIRM,             Public(|x| Box::pin(password_reset::confirm(x)))),
            row(Method::POST, "2fa/setup/",              Changes, ENROLMENT, Some(TwoFactor),          true,  two_factor::SET_UP,                  Session(|x, live| Box::pin(two_factor::set_up(x, live)))),
            row(Method::POST, "2fa/enable/",             Changes, ENROLMENT, Some(TwoFactor),          true,  two_factor::ENABLE,                  Session(|x, live| Box::pin(two_factor::enable(x, live)))),
            row(Method::POST, "2fa/disable/",            Changes, FULL,      Some(TwoFactor),          true,  two_factor::DISABLE,                 Session(|x, live| Box::pin(two_factor::disable(x, live)))),
            row(Method::POST, "2fa/replace/",            Changes, FULL,      Some(TwoFactor),          true,  two_factor::REPLACE,                 Session(|x, live| Box::pin(two_factor::replace(x, live)))),
            row(Method::POST, "2fa/verify-login/",       Changes, Anyone,    Some(VerifyLogin),        true,  two_factor::VERIFY_LOGIN,            Public(|x| Box::pin(two_factor::verify_login(x)))),
            row(Method::GET,  "2fa/backup-codes/",       Reads,   FULL,      None,                     false, two_factor::SHOW_BACKUP_CODES,       Session(|x, live| Box::pin(two_factor::show_backup_codes(x, live)))),
            row(Method::POST, "2fa/backup-codes/",       Changes, FULL,      Some(TwoFactor),          true,  two_factor::REGENERATE_BACKUP_CODES, Session(|x, live| Box::pin(two_factor::regenerate_backup_codes(x, live)))),
        ];
        #[cfg(feature = "openapi")]
        if openapi {
            endpoints.extend([
            row(Method::GET,  "openapi.json",            Reads,   Anyone,    None,                     false, openapi::DOCUMENT,                   Public(|x| Box::pin(openapi::show_document(x)))),
            row(Method::GET,  "docs/",                   Reads,   Anyone,    None,                     false, openapi::PAGE,                       Public(|x| Box::pin(openapi::show_page(x)))),
            ]);
        }
        Self { endpoints }
    }

    /// All rows.
    #[cfg(feature = "openapi")]
    pub(crate) fn rows(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The rows at a path; `None` when there are none.
    pub(crate) fn at(&self, public_path: &str, path: &str) -> Option<Vec<&Endpoint>> {
        let below = path.strip_prefix(public_path)?.strip_prefix('/')?;
        let rows: Vec<_> = self.endpoints.iter().filter(|row| row.matches(below)).collect();
        (!rows.is_empty()).then_some(rows)
    }
}

impl Endpoint {
    pub(super) fn matches(&self, below: &str) -> bool {
        self.path == below || self.path.strip_suffix('/') == Some(below)
    }

    /// HEAD is answered where GET is.
    pub(crate) fn answers(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

/// The `Allow` of some rows.
pub(crate) fn allow(rows: &[&Endpoint]) -> String {
    let mut methods = Vec::new();
    for row in rows {
        methods.push(row.method.as_str());
        if row.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}
