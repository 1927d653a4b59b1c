//! Who is calling: the tokens of a request, checked.

use std::time::Duration;

use auth_core::Reason;
use auth_core::error::{Class, Error};
use auth_core::port::{Event, TenantQuery, TokenKind};
use auth_core::proof::LiveSession;
use auth_core::types::{Client, Locale, Scope, SessionId, TenantId, UserId};
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, HeaderMap, USER_AGENT};

use super::address;
use crate::http::cookie::{self, Presented};
use crate::http::refusal::Refusal;
use crate::http::site::Site;

/// How long an access check waits for the store.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where an access token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Cookie,
    Bearer,
}

/// A request without an access token, or with a good one; or why it is none.
pub(crate) type Checked = Result<Option<(LiveSession, Source)>, Refusal>;

/// Checks the access token of a request, if it has one: it must be of a session with one of these scopes.
pub(crate) async fn authenticate(site: &Site, headers: &HeaderMap, scopes: &[Scope]) -> Checked {
    let (presented, source) = presented(site, headers);
    let live = match presented {
        Presented::None => return Ok(None),
        Presented::One(token) => check(site, token, scopes).await?,
        Presented::Many(tokens) => check_each(site, headers, &tokens, scopes).await?,
    };
    Ok(Some((admitted(tenant(site, headers), live, source)?, source)))
}

/// The tenant of a request; `None` for one that there is none for.
pub(crate) fn tenant(site: &Site, headers: &HeaderMap) -> Option<TenantId> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    site.system.ports().tenants.resolve(&TenantQuery::new(&text))
}

/// Refuses a session of another tenant, whose token is as good as none here, and a token that came in a cookie though its
/// session has none.
fn admitted(tenant: Option<TenantId>, live: LiveSession, source: Source) -> Result<LiveSession, Error> {
    if tenant != Some(live.tenant()) {
        return Err(Reason::NotAuthenticated.into());
    }
    if source == Source::Cookie && !live.channel().has_access_cookie() {
        return Err(Reason::TokenInvalid.into());
    }
    Ok(live)
}

/// As [`authenticate`], at once; `None` where it takes more than a look at one token.
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) fn authenticate_now(site: &Site, headers: &HeaderMap, scopes: &[Scope]) -> Option<Checked> {
    let (presented, source) = presented(site, headers);
    match presented {
        Presented::None => Some(Ok(None)),
        Presented::One(token) => {
            let checked = site.system.authenticate_now(token, scopes)?;
            let outcome = checked.and_then(|live| admitted(tenant(site, headers), live, source));
            Some(outcome.map(|live| Some((live, source))).map_err(Refusal::from))
        }
        Presented::Many(_) => None,
    }
}

fn presented<'a>(site: &Site, headers: &'a HeaderMap) -> (Presented<'a>, Source) {
    match cookie::find(headers, &site.settings.cookies.access.name) {
        Presented::None => (bearer(site, headers).map_or(Presented::None, Presented::One), Source::Bearer),
        presented => (presented, Source::Cookie),
    }
}

async fn check(site: &Site, token: &str, scopes: &[Scope]) -> Result<LiveSession, Error> {
    let checked = tokio::time::timeout(PATIENCE, site.system.authenticate_within(token, scopes)).await;
    checked.unwrap_or_else(|_| Err(Error::unavailable("the store took too long to tell what was revoked")))
}

/// Returns the session of the only cookie that verifies among several with one name, for a session of any scope.
async fn check_each(site: &Site, headers: &HeaderMap, tokens: &[&str], scopes: &[Scope]) -> Result<LiveSession, Error> {
    let mut verified = Vec::new();
    for token in tokens {
        match check(site, token, &Scope::ALL).await {
            Ok(live) => verified.push((*token, live)),
            Err(error) if error.class() == Class::Unauthenticated => {}
            // Says nothing of the token.
            Err(error) => return Err(error),
        }
    }
    if let [(token, _)] = verified[..] {
        return check(site, token, scopes).await;
    }
    let verified = verified.iter().map(|(_, live)| (live.user(), live.session())).collect();
    record_ambiguity(site, headers, TokenKind::Access, verified);
    Err(Reason::TokenInvalid.into())
}

/// Tells the operator; the client learns no more than from any other token that is not valid.
fn record_ambiguity(site: &Site, headers: &HeaderMap, kind: TokenKind, verified: Vec<(UserId, SessionId)>) {
    let tenant = tenant(site, headers).unwrap_or_default();
    site.system.ports().events.record(&tenant, &Event::TokensAmbiguous { kind, verified });
}

/// Whether the request brings any cookie of ours along.
pub(crate) fn has_cookie(site: &Site, headers: &HeaderMap) -> bool {
    let cookies = &site.settings.cookies;
    [&cookies.access, &cookies.refresh].iter().any(|cookie| cookie::find(headers, &cookie.name) != Presented::None)
}

/// The token of `Authorization: Bearer`, where that is on (RFC 6750 section 2.1).
fn bearer<'a>(site: &Site, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| site.settings.bearer)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim())
}

/// The refresh token of a request: of several cookies with one name, the only one that verifies.
pub(crate) fn refresh_token<'a>(site: &Site, headers: &'a HeaderMap) -> Option<&'a str> {
    let tokens = match cookie::find(headers, &site.settings.cookies.refresh.name) {
        Presented::None => return None,
        Presented::One(token) => return Some(token),
        Presented::Many(tokens) => tokens,
    };
    let verify = |token: &'a str| site.system.session_of_refresh_token(token).map(|session| (token, session));
    let verified: Vec<_> = tokens.into_iter().filter_map(verify).collect();
    if let [(token, _)] = verified[..] {
        return Some(token);
    }
    record_ambiguity(site, headers, TokenKind::Refresh, verified.into_iter().map(|(_, session)| session).collect());
    None
}

/// The device token of a request; of several none, as it only decides whose budget is used.
pub(crate) fn device_token<'a>(site: &Site, headers: &'a HeaderMap) -> Option<&'a str> {
    match cookie::find(headers, &site.settings.cookies.device.name) {
        Presented::One(token) => Some(token),
        Presented::None | Presented::Many(_) => None,
    }
}

/// Every access token and every refresh token of a request, good or not: a logout ends each session that it can.
pub(crate) async fn all_tokens<'a>(site: &Site, headers: &'a HeaderMap) -> (Vec<&'a str>, Vec<&'a str>) {
    let cookies = &site.settings.cookies;
    let mut access = cookie::find(headers, &cookies.access.name).into_vec();
    if access.len() > 1 {
        // For its event alone.
        let _ = check_each(site, headers, &access, &Scope::ALL).await;
    }
    if access.is_empty() {
        access.extend(bearer(site, headers));
    }
    let refresh = cookie::find(headers, &cookies.refresh.name).into_vec();
    if refresh.len() > 1 {
        refresh_token(site, headers);
    }
    (access, refresh)
}

/// What else a request tells of its sender.
pub(crate) fn client(site: &Site, tenant: TenantId, headers: &HeaderMap, peer: Option<std::net::IpAddr>) -> Client {
    let http = &site.settings;
    if address::is_untrusted_proxy(peer, headers, &http.trusted_proxies) {
        http.proxy_warning.call_once(|| {
            tracing::warn!(
                target: "auth",
                setting = "trusted_proxies",
                peer = peer.map(tracing::field::display),
                "a private address sends `X-Forwarded-For` or `Forwarded` and is not trusted: if it is a proxy, all its clients \
                 share one limit. List it in `AUTH_TRUSTED_PROXIES`, and have it send `X-Forwarded-For`"
            );
        });
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // The first preference is enough: templates fall back by themselves.
    let language = text(ACCEPT_LANGUAGE).and_then(|list| list.split([',', ';']).next());
    Client {
        tenant,
        address: address::client_address(peer, headers, &http.trusted_proxies),
        agent: text(USER_AGENT).map(str::to_owned),
        locale: Locale::parse_or_default(language.unwrap_or("").trim()),
        device: None,
    }
}
