//! The application's own routes: what the layer and the extractors let in, refuse, and tell.

use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_system::auth_core::port::Event;
use auth_system::auth_core::types::{SessionId, TenantId};
use auth_system::config::Profile;
use auth_system::{Config, CurrentSession, CurrentUser, Rejection};
use axum::Router;
use axum::routing::any;
use http::{HeaderValue, Method};
use serde_json::json;

use crate::door::through_axum;
use crate::faults::{Fault, Faults};
use crate::scenarios;
use crate::world::{ACCESS, Authenticator, Call, Ground, Jar, PASSWORD, World, call, claims, get, post};

scenarios![
    extractors_tell_who_calls,
    a_bad_token_is_refused_where_somebody_is_needed,
    of_two_cookies_on_own_routes_the_only_good_one_counts,
    whoever_logs_out_is_out_of_own_routes_at_once,
    bearer_tokens_count_where_they_are_on,
    a_route_may_require_a_recent_login,
    a_route_may_require_two_factors,
    where_the_store_is_down_nobody_is_taken_for_nobody,
    our_routes_live_beside_and_inside_others,
    own_routes_never_see_the_refresh_cookie,
    a_proxy_is_believed_when_it_is_trusted,
    a_client_cannot_hide_behind_a_trusted_proxy,
    without_a_peer_there_is_no_address,
];

async fn all(world: &World, call: impl Fn(&str) -> Call) -> [u16; 4] {
    let mut statuses = [0; 4];
    for (status, path) in statuses.iter_mut().zip(["/open", "/maybe", "/whoami", "/required"]) {
        *status = world.app(call(path)).await.status.as_u16();
    }
    statuses
}

async fn a_route_may_require_a_recent_login(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.app(get("/recent")).await.refused(401, "not_authenticated");
    world.advance(Duration::from_secs(300));
    assert_eq!(world.app(get("/recent").jar(&jar)).await.text(), "in");
    world.advance(Duration::from_secs(1));
    let refused = world.app(get("/recent").jar(&jar)).await;
    assert_eq!(refused.refused(403, "reauthentication_required").json()["accepts"], json!(["password", "code"]));
    // A refresh is no proof, and a password is.
    let jar = world.refresh(&jar).await.jar();
    world.app(get("/recent").jar(&jar)).await.refused(403, "reauthentication_required");
    assert_eq!(world.app(get("/required").jar(&jar)).await.text(), "in");
    let confirmed = world.send(post("reauthenticate/").jar(&jar).json(json!({ "password": PASSWORD }))).await;
    assert_eq!(world.app(get("/recent").jar(&confirmed.jar())).await.text(), "in");
}

async fn a_route_may_require_two_factors(ground: Ground) {
    let world = ground.world().await;
    world.account("bob@example.org").await;
    let bob = world.session("bob@example.org").await;
    let refused = world.app(get("/two-factors").jar(&bob)).await;
    assert_eq!(refused.refused(403, "reauthentication_required").json()["accepts"], json!(["code"]));
    let (ada, _) = Authenticator::enrolled(&world, "ada@example.org").await;
    assert_eq!(world.app(get("/two-factors").jar(&ada)).await.text(), "in");
}

async fn extractors_tell_who_calls(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    world.advance(Duration::from_secs(60));
    let jar = world.session("ada@example.org").await;
    let claims = claims(jar.access());
    let (id, sid) = (claims["sub"].as_str().unwrap(), claims["sid"].as_str().unwrap());
    assert_eq!(world.app(get("/whoami").jar(&jar)).await.text(), format!("{id} {sid}"));
    assert_eq!(world.app(get("/my-address").jar(&jar)).await.text(), "ada@example.org");
    assert_eq!(world.app(get("/maybe").jar(&jar)).await.text(), id);
    assert_eq!(world.app(get("/maybe")).await.text(), "nobody");
    assert_eq!(world.app(get("/open")).await.text(), "open");
    assert_eq!(world.app(get("/required").jar(&jar)).await.text(), "in");

    let detailed = |session: CurrentSession, user: CurrentUser| async move {
        let times = (session.auth_time().seconds(), session.expires_at().seconds());
        format!(
            "{:?} {} {} {:?}",
            session.channel(),
            user.tenant(),
            session.methods().names().collect::<String>(),
            times
        )
    };
    let optional = |session: Option<CurrentSession>| async move { session.is_some().to_string() };
    let result = |user: Result<CurrentUser, Rejection>| async move {
        user.map_or_else(|rejection| format!("{:?}", rejection.reason()), |user| user.id().to_string())
    };
    let router =
        Router::new().route("/detailed", any(detailed)).route("/optional", any(optional)).route("/result", any(result));
    let router = router.layer(world.auth.layer());
    let answer = through_axum(&router, get("/detailed").jar(&jar)).await;
    assert_eq!(answer.text(), "Cookie default pwd (1767225660, 1767226560)");
    assert_eq!(through_axum(&router, get("/optional").jar(&jar)).await.text(), "true");
    assert_eq!(through_axum(&router, get("/optional")).await.text(), "false");
    assert_eq!(through_axum(&router, get("/result").jar(&jar)).await.text(), id);
    assert_eq!(through_axum(&router, get("/result")).await.text(), "NotAuthenticated");
}

async fn a_bad_token_is_refused_where_somebody_is_needed(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (expired, revoked) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    world.send(post("logout/").jar(&revoked)).await;
    let cases = [
        (Jar::default(), "not_authenticated"),
        (Jar::of(ACCESS, ""), "token_not_valid"),
        (Jar::of(ACCESS, "garbage"), "token_not_valid"),
        (Jar::of(ACCESS, expired.refresh()), "token_not_valid"),
        (expired.only("refresh_token"), "not_authenticated"),
        (revoked, "not_authenticated"),
    ];
    for (jar, code) in &cases {
        refused_alike(&world, jar, code).await;
    }
    world.advance(Duration::from_secs(900));
    refused_alike(&world, &expired, "token_not_valid").await;
}

/// The same refusal from the extractor and from the layer; open to those who need nobody.
async fn refused_alike(world: &World, jar: &Jar, code: &str) {
    assert_eq!(all(world, |path| get(path).jar(jar)).await, [200, 200, 401, 401], "{jar:?}");
    assert_eq!(world.app(get("/maybe").jar(jar)).await.text(), "nobody");
    let [by_extractor, by_layer] =
        [world.app(get("/whoami").jar(jar)).await, world.app(get("/required").jar(jar)).await];
    let by_us = world.me(jar).await;
    for answer in [&by_extractor, &by_layer, &by_us] {
        answer.refused(401, code);
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Origin"));
        assert_eq!(answer.body, by_us.body);
    }
}

async fn of_two_cookies_on_own_routes_the_only_good_one_counts(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (one, two) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let both = |a: &str, b: &str| format!("__Host-access_token={a}; __Host-access_token={b}");
    for cookies in [both("x", one.access()), both(one.access(), "x")] {
        assert_eq!(all(&world, |path| get(path).header("cookie", &cookies)).await, [200; 4]);
    }
    for cookies in [both(one.access(), two.access()), both("x", "y")] {
        let ask = |path: &str| get(path).header("cookie", &cookies);
        assert_eq!(all(&world, ask).await, [200, 200, 401, 401]);
        for path in ["/whoami", "/required", "/maybe"] {
            world.events.take();
            assert!(world.app(ask(path)).await.set_cookies().is_empty(), "{path}");
            assert!(matches!(world.events.take()[..], [Event::TokensAmbiguous { .. }]), "{path}");
        }
    }
}

async fn whoever_logs_out_is_out_of_own_routes_at_once(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (jar, other) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    assert_eq!(all(&world, |path| get(path).jar(&jar)).await, [200; 4]);
    world.send(post("logout/").jar(&jar.only("refresh_token"))).await;
    assert_eq!(all(&world, |path| get(path).jar(&jar)).await, [200, 200, 401, 401]);
    assert_eq!(all(&world, |path| get(path).jar(&other)).await, [200; 4]);
}

async fn bearer_tokens_count_where_they_are_on(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let good = format!("Bearer {}", jar.access());
    let ask = |value: &str| {
        let value = HeaderValue::from_str(value).unwrap();
        move |path: &str| {
            let mut call = get(path);
            call.headers.insert("authorization", value.clone());
            call
        }
    };
    assert_eq!(all(&world, ask(&good)).await, [200, 200, 401, 401], "off by default");
    let world = world.restarted(|config| config.bearer = true).await;
    for value in [&good, &good.replace("Bearer", "bEARER"), &good.replace(' ', "   "), &format!("{good} ")] {
        assert_eq!(all(&world, ask(value)).await, [200; 4], "{value:?}");
    }
    for value in
        ["Bearer", "Bearer ", "Bearer x", jar.access(), &format!("Basic {}", jar.access()), &format!("{good},x")]
    {
        assert_eq!(all(&world, ask(value)).await, [200, 200, 401, 401], "{value:?}");
    }
    let twice = |path: &str| ask(&good)(path).header("authorization", &good);
    assert_eq!(all(&world, twice).await, [200, 200, 401, 401]);
    // A cookie comes first: whoever sends both cannot choose by breaking one.
    let beside = |path: &str| ask(&good)(path).header("cookie", "__Host-access_token=x");
    assert_eq!(all(&world, beside).await, [200, 200, 401, 401]);
}

async fn where_the_store_is_down_nobody_is_taken_for_nobody(ground: Ground) {
    let faults = Faults::default();
    let world = faults.around(ground.world().await, |_| {});
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    assert_eq!(all(&world, |path| get(path).jar(&jar)).await, [200; 4]);
    for (fault, status) in [(Fault::FailBefore, 503), (Fault::Corrupt, 500)] {
        world.advance(Duration::from_secs(11));
        faults.stores.always(fault.clone());
        assert_eq!(all(&world, |path| get(path).jar(&jar)).await, [200, status, status, status], "{fault:?}");
        for path in ["/maybe", "/whoami", "/required"] {
            let answer = world.app(get(path).jar(&jar)).await;
            assert_eq!(answer.header("retry-after"), if status == 503 { "1" } else { "" });
            assert!(answer.set_cookies().is_empty() && !answer.text().contains(Faults::CAUSE));
        }
        // Who brings no token, or none of ours, needs no store.
        assert_eq!(all(&world, get).await, [200, 200, 401, 401]);
        assert_eq!(all(&world, |path| get(path).jar(&Jar::of(ACCESS, "x"))).await, [200, 200, 401, 401]);
        faults.stores.heal();
        assert_eq!(all(&world, |path| get(path).jar(&jar)).await, [200; 4]);
    }
}

async fn id(user: CurrentUser) -> String {
    user.id().to_string()
}

async fn our_routes_live_beside_and_inside_others(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let auth = &world.auth;
    let nested = Router::new().route("/id", any(id)).layer(auth.layer());
    let inner = Router::new().route("/inner", any(id)).layer(auth.layer().required()).layer(auth.layer());
    let app = Router::new()
        .nest("/deep/er", nested)
        .merge(inner)
        .route("/outside", any(id))
        .merge(auth_system::router(auth.clone()))
        .fallback(|| async { (http::StatusCode::NOT_FOUND, "the application's own") });
    for path in ["/deep/er/id", "/inner"] {
        assert_eq!(through_axum(&app, get(path).jar(&jar)).await.status, 200, "{path}");
        through_axum(&app, get(path)).await.refused(401, "not_authenticated");
    }

    assert_eq!(through_axum(&app, get("/api/auth/me").jar(&jar)).await.status, 200);
    through_axum(&app, get("/api/auth/nothing")).await.refused(404, "not_found");
    assert_eq!(through_axum(&app, get("/api/authx")).await.text(), "the application's own");
    // Below another prefix the cookies' paths would be wrong: that is no place for us.
    let app = Router::new().nest("/v1", auth_system::router(auth.clone()));
    through_axum(&app, get("/v1/api/auth/me").jar(&jar)).await.refused(404, "not_found");
    // With a state of the application's own, and a layer around everything.
    let app: Router = Router::new()
        .route("/id", any(id))
        .merge(auth_system::router(auth.clone()))
        .with_state(7_u8)
        .layer(auth.layer());
    assert_eq!(through_axum(&app, get("/id").jar(&jar)).await.status, 200);
    assert_eq!(through_axum(&app, post("refresh/").jar(&jar)).await.status, 200);
}

async fn own_routes_never_see_the_refresh_cookie(ground: Ground) {
    for configure in [(|_| {}) as fn(&mut Config), |config| config.profile = Profile::Django] {
        let world = ground.world_with(configure).await;
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        let [access, refresh] = ["access_token", "refresh_token"].map(|name| {
            let (name, value) = jar.only(name).cookies.pop_first().unwrap();
            format!("{name}={value}")
        });
        for (sent, seen) in [
            (vec![format!("theme=dark; {access}; {refresh}; a=b")], format!("theme=dark; {access}; a=b")),
            (vec![refresh.clone(), access.clone()], access.clone()),
            (vec![format!("{refresh}; {refresh};{access}")], access.clone()),
            (vec![refresh.clone()], String::new()),
            (vec![format!("a=b; {access}")], format!("a=b; {access}")),
            (vec![], String::new()),
        ] {
            let call = sent.iter().fold(get("/cookies"), |call, sent| call.header("cookie", sent));
            let answer = world.app(call).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, seen), "{sent:?}");
        }
    }
}

/// The address that a login through these hops leaves in its session.
async fn address(world: &World, peer: &str, forwarded: &[&[u8]]) -> String {
    let body = serde_json::json!({ "email": "ada@example.org", "password": PASSWORD });
    let mut login = post("login/").json(body).header("user-agent", "a browser");
    login.peer = Some(peer.parse::<IpAddr>().unwrap());
    for value in forwarded {
        login.headers.append("x-forwarded-for", HeaderValue::from_bytes(value).unwrap());
    }
    for other in ["x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip", "client-ip"] {
        login = login.header(other, "203.0.113.66");
    }
    let jar = world.send(login).await.jar();
    let id = SessionId(claims(jar.access())["sid"].as_str().unwrap().parse().unwrap());
    let session = world.auth.system().ports().sessions.find(&TenantId::default(), id).await.unwrap().unwrap().row;
    assert_eq!(session.agent.as_deref(), Some("a browser"));
    session.address.unwrap().to_string()
}

async fn a_proxy_is_believed_when_it_is_trusted(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    assert_eq!(address(&world, "10.0.0.1", &[b"198.51.100.7"]).await, "10.0.0.1", "nobody is trusted by default");
    let trusting =
        world.restarted(|c| c.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]).await;
    let cases: [(&str, &[&[u8]], &str); 8] = [
        ("192.0.2.9", &[b"198.51.100.7"], "192.0.2.9"),
        ("10.0.0.1", &[b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", &[b"203.0.113.1, 198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", &[b"203.0.113.1", b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", &[b"2001:db8::7"], "2001:db8::7"),
        ("fd00::1", &[b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("::ffff:10.0.0.1", &[b"::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", &[], "10.0.0.1"),
    ];
    for (peer, forwarded, expected) in cases {
        assert_eq!(address(&trusting, peer, forwarded).await, expected, "{peer} {forwarded:?}");
    }
}

async fn a_client_cannot_hide_behind_a_trusted_proxy(ground: Ground) {
    let world = ground.world_with(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]).await;
    world.account("ada@example.org").await;
    // Proxies append to what the client wrote, whatever that was.
    for written in
        [&b"\xff"[..], b"\xc3\xa9, 1.2.3.4", b"", b",,,", b"unknown", b"10.0.0.9", b"a".repeat(9000).as_slice()]
    {
        let header = [written, b", 198.51.100.7"].concat();
        assert_eq!(address(&world, "10.0.0.1", &[&header]).await, "198.51.100.7", "{written:?}");
        assert_eq!(address(&world, "10.0.0.1", &[written, b"198.51.100.7"]).await, "198.51.100.7", "{written:?}");
    }
    // What makes no sense next to the proxy is nobody's address but the proxy's own.
    for nonsense in [&b"unknown"[..], b"198.51.100.7 ; x", b"198.51.100.7, ", b"\xff", b"198.51.100.300"] {
        assert_eq!(address(&world, "10.0.0.1", &[nonsense]).await, "10.0.0.1", "{nonsense:?}");
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_route_without_the_layer_says_so_in_the_log() {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || sink.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let optional = |user: Option<CurrentUser>| async move { user.is_some().to_string() };
    let router = Router::new().route("/id", any(id)).route("/optional", any(optional));
    for path in ["/id", "/optional"] {
        let answer = through_axum(&router, call(Method::GET, path)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (500, 0), "never taken for nobody");
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("this route lacks `.layer(auth.layer())`").count(), 2, "{log}");
    assert!(log.contains("path=\"/id\"") || log.contains("path=/id"), "{log}");
}

async fn without_a_peer_there_is_no_address(ground: Ground) {
    let world = ground.world_with(|config| config.trusted_proxies = vec!["0.0.0.0/1".parse().unwrap()]).await;
    world.account("ada@example.org").await;
    let body = serde_json::json!({ "email": "ada@example.org", "password": PASSWORD });
    let login = post("login/").json(body).header("x-forwarded-for", "198.51.100.7");
    let jar = world.send(Call { peer: None, ..login }).await.jar();
    let id = SessionId(claims(jar.access())["sid"].as_str().unwrap().parse().unwrap());
    let session = world.auth.system().ports().sessions.find(&TenantId::default(), id).await.unwrap().unwrap().row;
    assert_eq!(session.address, None);
}
