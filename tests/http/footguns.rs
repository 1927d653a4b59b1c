//! Settings that are possible and dangerous: one warning each, and none for a right configuration.

use std::net::IpAddr;
use std::sync::Arc;

use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::{Auth, Config};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::logs::Logs;
use crate::world;

fn build(configure: impl FnOnce(&mut Config)) -> Auth {
    let mut config = world::config();
    configure(&mut config);
    let store = MemoryStore::new(Arc::new(ManualClock::new()));
    let builder = Auth::builder(config).store(store).mailer(RecordingMailer::default());
    builder.hasher(InsecurePlainHasher::default()).without_workers().build().unwrap()
}

/// The settings that warnings in these lines name.
fn named(lines: &str) -> Vec<String> {
    let warnings = lines.lines().filter(|line| line.contains(" WARN "));
    let setting =
        |line: &str| line.split_once("setting=\"").map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
    warnings.map(|line| setting(line).unwrap_or_else(|| line.to_owned())).collect()
}

#[tokio::test]
async fn build_warns_once_of_each_dangerous_setting_and_of_no_other() {
    let (logs, _guard) = Logs::of_this_thread();
    let at = |frontend: &'static str, secure: bool| {
        move |config: &mut Config| {
            config.frontend_url = frontend.into();
            config.cookies.secure = secure;
        }
    };
    for right in ["https://app.example.org", "http://localhost:3000", "http://app.localhost", "http://[::1]:8080"] {
        build(at(right, true));
        assert_eq!(named(&logs.take()), [""; 0], "{right}");
    }
    for loopback in ["http://127.0.0.1:3000", "http://localhost", "https://localhost"] {
        build(at(loopback, false));
        assert_eq!(named(&logs.take()), [""; 0], "{loopback}");
    }
    for exposed in
        ["http://app.example.org", "http://192.168.1.7:3000", "http://0.0.0.0:3000", "http://localhost.example"]
    {
        build(at(exposed, true));
        assert_eq!(named(&logs.take()), ["frontend_url"], "{exposed}");
        build(at(exposed, false));
        assert_eq!(named(&logs.take()), ["frontend_url", "cookies.secure"], "{exposed}");
    }
    build(at("https://app.example.org", false));
    assert_eq!(named(&logs.take()), ["cookies.secure"]);
    build(|config| config.cookies.http_only = false);
    assert_eq!(named(&logs.take()), ["cookies.http_only"]);

    let origins = |list: &'static [&'static str]| {
        move |config: &mut Config| config.allowed_origins = list.iter().map(|&origin| origin.to_owned()).collect()
    };
    build(origins(&["https://app.example.org", "http://localhost:5173"]));
    assert_eq!(named(&logs.take()), [""; 0]);
    build(origins(&["http://app.example.org", "http://www.example.org"]));
    assert_eq!(named(&logs.take()), ["allowed_origins"], "one for all of them");
    build(|config| {
        origins(&["http://localhost", "https://app.example.org"])(config);
        at("http://localhost", false)(config);
    });
    assert_eq!(named(&logs.take()), ["cookies.secure"], "one of the pages is not on loopback");
}

/// Sends a login from a peer with a header.
async fn log_in(auth: &Auth, peer: &str, header: Option<&str>) {
    let mut request = Request::post("/api/auth/login/").header("content-type", "application/json");
    if let Some(name) = header {
        request = request.header(name, "for=192.0.2.60");
    }
    let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    assert_eq!(auth.respond(request, peer.parse::<IpAddr>().ok()).await.status(), 400);
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_told_of_once() {
    let (logs, _guard) = Logs::of_this_thread();
    for header in ["x-forwarded-for", "forwarded"] {
        let auth = build(|_| {});
        for (peer, header) in [("10.0.0.1", None), ("192.0.2.1", Some(header)), ("2001:db8::1", Some(header))] {
            log_in(&auth, peer, header).await;
            assert_eq!(named(&logs.take()), [""; 0], "{peer} {header:?}");
        }
        log_in(&auth, "127.0.0.1", Some(header)).await;
        assert_eq!(named(&logs.take()), ["trusted_proxies"]);
        for peer in ["127.0.0.1", "10.0.0.1", "::1"] {
            log_in(&auth, peer, Some(header)).await;
            assert_eq!(named(&logs.take()), [""; 0], "once");
        }
        let trusting = build(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
        log_in(&trusting, "10.0.0.1", Some(header)).await;
        assert_eq!(named(&logs.take()), [""; 0], "as it is to be");
        log_in(&trusting, "172.17.0.1", Some(header)).await;
        assert_eq!(named(&logs.take()), ["trusted_proxies"], "another one");
    }
}
