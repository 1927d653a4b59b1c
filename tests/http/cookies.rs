//! Cookies as browsers, siblings on the same domain and attackers send them.

use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::login::LoginRequest;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::{Event, TokenKind};
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::auth_core::types::Identifier;
use auth_system::config::{Profile, SameSite};
use auth_system::{Auth, Channel, Client, Config, Password};
use http::HeaderValue;
use serde_json::json;

use crate::scenarios;
use crate::world::{ACCESS, Answer, Call, DEVICE, Ground, Jar, PASSWORD, REFRESH, World, claims, get, post};

scenarios![
    of_two_cookies_the_only_good_one_counts,
    two_cookies_that_verify_are_refused_and_nothing_is_cleared,
    an_ambiguity_names_both_accounts_to_the_operator,
    two_cookies_that_do_not_verify_are_refused_and_nothing_is_cleared,
    a_logout_clears_both_cookies_whatever_they_hold,
    each_profile_has_its_names_and_paths,
    several_cookie_headers_are_one,
    other_cookies_do_not_matter_whatever_they_hold,
    only_the_exact_name_counts,
    a_value_counts_to_the_last_character,
    a_flood_of_cookies_is_refused_cheaply,
    one_kind_of_token_never_stands_in_for_the_other,
    tokens_come_the_way_of_their_session_alone,
    a_refusal_takes_no_cookie_away,
    logout_ends_the_session_of_every_cookie,
    custom_names_are_the_only_ones,
    cookies_that_cross_sites_are_cleared_across_sites,
];

const DISTINCT: [&str; 3] = ["ada@example.org", "bob@example.org", "eve@example.org"];

async fn cookie(world: &World, cookies: &str) -> Answer {
    world.send(get("me/").header("cookie", cookies)).await
}

/// The names and paths that an answer clears cookies of.
fn cleared(answer: &Answer) -> Vec<(String, String)> {
    let part = |cookie: &str, name: &str| {
        let value = cookie.split("; ").find_map(|part| part.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
        value.unwrap_or_else(|| panic!("{cookie}"))
    };
    let cookies = answer.set_cookies();
    cookies
        .iter()
        .map(|cookie| {
            assert!(cookie.contains("=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; "), "{cookie}");
            assert!(cookie.ends_with("; Secure"), "{cookie}");
            (cookie.split('=').next().unwrap().to_owned(), part(cookie, "Path"))
        })
        .collect()
}

/// The kind and the number of verified tokens of each ambiguity that was recorded.
fn ambiguities(world: &World) -> Vec<(TokenKind, usize)> {
    let told = |event| match event {
        Event::TokensAmbiguous { kind, verified } => Some((kind, verified.len())),
        _ => None,
    };
    world.events.take().into_iter().filter_map(told).collect()
}

async fn of_two_cookies_the_only_good_one_counts(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let gone = world.session("ada@example.org").await;
    world.send(post("logout/").jar(&gone)).await;
    let (good, bad) =
        (jar.access(), ["", "x", "a.b.c", jar.refresh(), gone.access(), &good_with_one_bit_off(jar.access())]);
    for bad in bad {
        for cookies in [
            format!("__Host-access_token={bad}; __Host-access_token={good}"),
            format!("__Host-access_token={good}; __Host-access_token={bad}"),
        ] {
            let answer = cookie(&world, &cookies).await;
            assert_eq!(answer.status, 200, "{cookies}");
            assert!(answer.set_cookies().is_empty());
        }
    }
    for bad in ["", "x", jar.access()] {
        let cookies = format!("__Host-refresh_token={bad}; __Host-refresh_token={}", jar.refresh());
        assert_eq!(world.send(post("refresh/").header("cookie", &cookies)).await.status, 200);
    }
}

fn good_with_one_bit_off(token: &str) -> String {
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    format!("{}{last}", &token[..token.len() - 1])
}

async fn two_cookies_that_verify_are_refused_and_nothing_is_cleared(ground: Ground) {
    let world = ground.world().await;
    for email in DISTINCT {
        world.account(email).await;
    }
    let (ada, bob) = (world.session("ada@example.org").await, world.session("bob@example.org").await);
    let both = |name: &str| format!("{name}={}; {name}={}", ada.cookies[name], bob.cookies[name]);
    world.events.take();
    let answer = cookie(&world, &both(ACCESS)).await;
    answer.refused(401, "token_not_valid");
    assert_eq!((cleared(&answer), ambiguities(&world)), (vec![], vec![(TokenKind::Access, 2)]));
    let answer = world.send(post("refresh").header("cookie", &both(REFRESH))).await;
    answer.refused(401, "refresh_invalid");
    assert_eq!((cleared(&answer), ambiguities(&world)), (vec![], vec![(TokenKind::Refresh, 2)]));
    // Neither session was ended: it was not their owner's fault.
    for jar in [&ada, &bob] {
        assert_eq!(world.me(jar).await.status, 200);
        assert_eq!(world.refresh(jar).await.status, 200);
    }
    // A good cookie that is sent twice is ambiguous, too, because browsers never do that.
    let twice = format!("{ACCESS}={0}; {ACCESS}={0}", ada.access());
    cookie(&world, &twice).await.refused(401, "token_not_valid");
}

async fn an_ambiguity_names_both_accounts_to_the_operator(ground: Ground) {
    let world = ground.world().await;
    let mut expected = Vec::new();
    let mut jars = Vec::new();
    for email in ["ada@example.org", "eve@example.org"] {
        world.account(email).await;
        let jar = world.session(email).await;
        let claims = claims(jar.access());
        expected.push(["sub", "sid"].map(|name| claims[name].as_str().unwrap().to_owned()));
        jars.push(jar);
    }
    world.events.take();
    cookie(&world, &format!("{ACCESS}={}; {ACCESS}={}", jars[0].access(), jars[1].access())).await;
    let events = world.events.take();
    let [Event::TokensAmbiguous { verified, .. }] = &events[..] else { panic!("{events:?}") };
    let named: Vec<_> = verified.iter().map(|(user, session)| [user.to_string(), session.to_string()]).collect();
    assert_eq!(named, expected);
}

async fn two_cookies_that_do_not_verify_are_refused_and_nothing_is_cleared(ground: Ground) {
    let world = ground.world().await;
    let both = format!("{ACCESS}=x; {ACCESS}=y; {REFRESH}=; {REFRESH}=z");
    for (call, told) in [(get("me/"), TokenKind::Access), (post("refresh/"), TokenKind::Refresh)] {
        let answer = world.send(call.header("cookie", &both)).await;
        assert_eq!((answer.status.as_u16(), cleared(&answer)), (401, vec![]));
        assert_eq!(ambiguities(&world), [(told, 0)]);
    }
    // A public endpoint does not look at them.
    let answer = world.send(get("verify-account/").header("cookie", &both)).await;
    assert_eq!((answer.status.as_u16(), cleared(&answer)), (400, vec![]));
    assert_eq!(ambiguities(&world), []);
}

async fn a_logout_clears_both_cookies_whatever_they_hold(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let (one, two) = (world.session("ada@example.org").await, world.session("ada@example.org").await);
    let both = vec![(ACCESS.to_owned(), "/".to_owned()), (REFRESH.to_owned(), "/".to_owned())];
    world.events.take();
    for (cookies, status, told) in [
        (format!("{ACCESS}=x; {ACCESS}=y"), 401, vec![(TokenKind::Access, 0)]),
        (format!("{REFRESH}=x; {REFRESH}=y; {REFRESH}=z"), 401, vec![(TokenKind::Refresh, 0)]),
        (format!("{REFRESH}=x"), 401, vec![]),
        (format!("{ACCESS}={}; {ACCESS}={}", one.access(), two.access()), 200, vec![(TokenKind::Access, 2)]),
        (format!("{ACCESS}={}; {REFRESH}={}", one.access(), two.refresh()), 401, vec![]),
    ] {
        let answer = world.send(post("logout/").header("cookie", &cookies)).await;
        assert_eq!((answer.status.as_u16(), cleared(&answer)), (status, both.clone()), "{cookies}");
        assert_eq!(ambiguities(&world), told, "{cookies}");
    }
}

async fn each_profile_has_its_names_and_paths(ground: Ground) {
    let standard = |plain: &str| (format!("__Host-{plain}"), "/".to_owned());
    let plain = |plain: &str| (plain.to_owned(), "/".to_owned());
    let narrow = |plain: &str| (plain.to_owned(), "/api/auth".to_owned());
    let names = ["access_token", "refresh_token", "known_device"];
    let django: fn(&mut Config) = |config| config.profile = Profile::Django;
    let insecure: fn(&mut Config) = |config| config.cookies.secure = false;
    let both: fn(&mut Config) = |config| {
        config.profile = Profile::Django;
        config.cookies.secure = false;
    };
    let given: fn(&mut Config) = |config| config.cookies.refresh_name = Some("r".into());
    for (configure, expected) in [
        ((|_| {}) as fn(&mut Config), names.map(standard)),
        (insecure, names.map(plain)),
        (django, [plain(names[0]), narrow(names[1]), narrow(names[2])]),
        (both, [plain(names[0]), narrow(names[1]), narrow(names[2])]),
        (given, [standard(names[0]), plain("r"), standard(names[2])]),
    ] {
        let world = ground.world_with(configure).await;
        world.account("ada@example.org").await;
        let answer = world.log_in("ada@example.org", PASSWORD).await;
        let cookies = answer.set_cookies();
        let named = cookies.iter().map(|cookie| {
            let path = cookie.split("; ").find_map(|part| part.strip_prefix("Path=")).unwrap();
            (cookie.split('=').next().unwrap().to_owned(), path.to_owned())
        });
        assert_eq!(named.collect::<Vec<_>>(), expected);
        // The cookies that were set are the ones that count.
        let jar = answer.jar();
        assert_eq!(world.me(&jar).await.status, 200);
        assert_eq!(world.refresh(&jar).await.status, 200);
    }
}

async fn several_cookie_headers_are_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let access = format!("__Host-access_token={}", jar.access());
    let spread = get("me/").header("cookie", "a=b").header("cookie", &access).header("cookie", "c=d");
    assert_eq!(world.send(spread).await.status, 200);
    let bad = get("me/").header("cookie", "__Host-access_token=x").header("cookie", &access);
    assert_eq!(world.send(bad).await.status, 200);
    let twice = get("me/").header("cookie", &access).header("cookie", &access);
    world.send(twice).await.refused(401, "token_not_valid");
}

async fn other_cookies_do_not_matter_whatever_they_hold(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for other in ["n=\u{e9}", "\u{1f36a}=1", "n=\"a; b\"", "=", ";;;", "n", "n=access_token", "\t", "n=a=b=c"] {
        for (before, after) in [(other, ""), ("", other)] {
            let mut call = get("me/");
            let cookies = format!("{before}; __Host-access_token={} ;{after}", jar.access());
            call.headers.insert("cookie", HeaderValue::from_bytes(cookies.as_bytes()).unwrap());
            assert_eq!(world.send(call).await.status, 200, "{other:?}");
        }
        let mut refresh = post("refresh/");
        let cookies = format!("{other}; __Host-refresh_token={}", jar.refresh());
        refresh.headers.insert("cookie", HeaderValue::from_bytes(cookies.as_bytes()).unwrap());
        assert_eq!(world.send(refresh).await.status, 200, "{other:?}");
    }
    // Bytes that are no text, in our own name: a bad token, not none.
    for bytes in [&b"__Host-access_token=\xff\xfe"[..], b"__Host-access_token=\xc3"] {
        let mut call = get("me/");
        call.headers.insert("cookie", HeaderValue::from_bytes(bytes).unwrap());
        world.send(call).await.refused(401, "token_not_valid");
    }
}

async fn only_the_exact_name_counts(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for name in [
        "__Host-Access_Token",
        "__HOST-access_token",
        "__host-access_token",
        "__Host-access_token ",
        "x__Host-access_token",
        "__Host-access_tokenx",
        "__Host-access%5Ftoken",
        "__Host-access_toke%6E",
        "access_token",
        "__Secure-access_token",
        "\"__Host-access_token\"",
        "__Host-access-token",
        "$__Host-access_token",
        "x __Host-access_token",
        "x,__Host-access_token",
        "=__Host-access_token",
        "__Host-access_token[]",
        "__Host-access_token.0",
    ] {
        let answer = cookie(&world, &format!("{name}={}", jar.access())).await;
        answer.refused(401, "not_authenticated");
        let name = name.replace("access", "refresh").replace("Access", "Refresh");
        let cookies = format!("{name}={}", jar.refresh());
        world.send(post("refresh/").header("cookie", &cookies)).await.refused(401, "refresh_invalid");
    }
    assert_eq!(cookie(&world, &format!("{ACCESS}={}", jar.access())).await.status, 200);
}

async fn a_value_counts_to_the_last_character(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let token = jar.access();
    for value in [
        &format!("\"{token}\""),
        &format!("'{token}'"),
        &format!("{token}="),
        &format!("{token},x"),
        &format!("{token} x"),
        &format!(" {token}"),
        &format!("%20{token}"),
        &token.replace('.', "%2E"),
        &token.replace('.', " ."),
        &format!("Bearer {token}"),
        &format!("{token}\t{token}"),
        "\"\"",
        "null",
        "undefined",
        "deleted",
    ] {
        cookie(&world, &format!("__Host-access_token={value}")).await.refused(401, "token_not_valid");
    }
    // White space around a pair is none of the value's.
    for cookies in [
        format!("__Host-access_token={token} "),
        format!("  \t{ACCESS}={token}\t;"),
        format!(";__Host-access_token={token};;"),
    ] {
        assert_eq!(cookie(&world, &cookies).await.status, 200, "{cookies:?}");
    }
}

async fn a_flood_of_cookies_is_refused_cheaply(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let huge = "A".repeat(30_000);
    for value in [huge.clone(), format!("{}.{}.{}", &huge[..9000], &huge[..9000], &huge[..43]), ".".repeat(30_000)] {
        cookie(&world, &format!("__Host-access_token={value}")).await.refused(401, "token_not_valid");
        let refresh = post("refresh/").header("cookie", &format!("__Host-refresh_token={value}"));
        world.send(refresh).await.refused(401, "refresh_invalid");
    }
    let flood = "__Host-access_token=x;".repeat(1400);
    let answer = cookie(&world, &flood).await;
    answer.refused(401, "token_not_valid");
    assert!(answer.set_cookies().is_empty());
    // A good one beside a few leftovers counts; behind a flood it does not.
    let (few, many) = ("__Host-access_token=x; ".repeat(7), "__Host-access_token=x; ".repeat(8));
    assert_eq!(cookie(&world, &format!("{few}__Host-access_token={}", jar.access())).await.status, 200);
    cookie(&world, &format!("{many}__Host-access_token={}", jar.access())).await.refused(401, "token_not_valid");
}

async fn one_kind_of_token_never_stands_in_for_the_other(ground: Ground) {
    let world = ground.world_with(|config| config.bearer = true).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let swapped = format!("__Host-access_token={}; __Host-refresh_token={}", jar.refresh(), jar.access());
    cookie(&world, &swapped).await.refused(401, "token_not_valid");
    world.send(post("refresh/").header("cookie", &swapped)).await.refused(401, "refresh_invalid");
    world.send(post("logout/").header("cookie", &swapped)).await.refused(401, "not_authenticated");
    let bearer = |token: &str| format!("Bearer {token}");
    let as_bearer = |call: Call| call.header("authorization", &bearer(jar.refresh()));
    world.send(as_bearer(get("me/"))).await.refused(401, "token_not_valid");
    world.send(as_bearer(post("refresh/"))).await.refused(401, "refresh_invalid");
    // Neither is read from a body or query.
    let body = json!({ "refresh_token": jar.refresh(), "refresh": jar.refresh() });
    world.send(post("refresh/").json(body)).await.refused(401, "refresh_invalid");
    world.send(get(&format!("me/?__Host-access_token={}", jar.access()))).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&jar).await.status, 200);
}

/// Sessions that an application made, with tokens that do not travel in cookies.
async fn tokens_come_the_way_of_their_session_alone(ground: Ground) {
    let world = ground.world_with(|config| config.bearer = true).await;
    world.account("ada@example.org").await;
    let (client, password) = (Client::default(), Password::new(PASSWORD).unwrap());
    for channel in [Channel::Mixed, Channel::Token] {
        let request = LoginRequest::new(Identifier::parse("ada@example.org"), &password).channel(channel);
        let outcome = world.auth.system().request(&client).login(request).await.unwrap();
        let tokens = outcome.logged_in().unwrap().session;
        let (access, refresh) = (tokens.access.token.expose(), tokens.refresh.token.expose());
        let in_header = |path| get(path).header("authorization", &format!("Bearer {access}"));
        assert_eq!(world.send(in_header("me/")).await.status, 200, "{channel:?}");
        assert_eq!(world.app(in_header("/whoami")).await.status, 200, "{channel:?}");
        world.me(&Jar::of(ACCESS, access)).await.refused(401, "token_not_valid");
        let own_route = world.app(get("/whoami").jar(&Jar::of(ACCESS, access))).await;
        assert_eq!(own_route.status, 401, "{channel:?}");
        world.advance(Duration::from_secs(60));
        let refreshed = world.send(post("refresh/").jar(&Jar::of(REFRESH, refresh))).await;
        if channel == Channel::Token {
            refreshed.refused(401, "refresh_invalid");
        } else {
            assert_eq!(refreshed.status, 200);
            let jar = refreshed.jar();
            assert!(!jar.has_access(), "the access token is no cookie");
            assert_ne!(jar.refresh(), refresh);
        }
    }
}

async fn a_refusal_takes_no_cookie_away(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let first = world.session("ada@example.org").await;
    world.advance(Duration::from_secs(60));
    let second = world.refresh(&first).await.jar();
    world.advance(Duration::from_secs(61));
    let reused = world.refresh(&first).await;
    let ended = world.refresh(&second).await;
    let garbage = world.send(post("refresh/").jar(&Jar::of(REFRESH, "x"))).await;
    let none = world.send(post("refresh/")).await;
    let me = world.me(&second).await;
    let login =
        world.send(post("login/").json(json!({ "email": "ada@example.org", "password": "x" })).jar(&second)).await;
    for answer in [reused, ended, garbage, none, me, login] {
        assert_eq!((answer.status.as_u16(), answer.set_cookies()), (401, vec![]));
    }
}

async fn logout_ends_the_session_of_every_cookie(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for name in [ACCESS, REFRESH] {
        let (gone, one, two) = (
            world.session("ada@example.org").await,
            world.session("ada@example.org").await,
            world.session("ada@example.org").await,
        );
        let logout = async |tokens: [&str; 3]| {
            let cookies = tokens.map(|token| format!("{name}={token}")).join("; ");
            world.send(post("logout/").header("cookie", &cookies)).await
        };
        assert_eq!(logout(["x", &gone.cookies[name], "y"]).await.status, 200);
        world.me(&gone).await.refused(401, "not_authenticated");
        world.events.take();
        // A leftover of an ended session, a good one, and one that a sibling of our domain put there.
        assert_eq!(logout([&gone.cookies[name], &one.cookies[name], &two.cookies[name]]).await.status, 200);
        let told = world.events.take();
        assert!(
            matches!(told[..], [Event::TokensAmbiguous { .. }, Event::LoggedOut { .. }, Event::LoggedOut { .. }]),
            "{told:?}"
        );
        for jar in [&one, &two] {
            world.me(jar).await.refused(401, "not_authenticated");
            world.refresh(jar).await.refused(401, "refresh_invalid");
        }
    }
}

async fn custom_names_are_the_only_ones(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.cookies.access_name = Some("__Host-a".into());
            config.cookies.refresh_name = Some("__Secure-r".into());
            config.cookies.device_name = Some("__Secure-d".into());
        })
        .await;
    world.account("ada@example.org").await;
    let answer = world.log_in("ada@example.org", PASSWORD).await;
    let jar = answer.jar();
    assert_eq!(jar.cookies.keys().collect::<Vec<_>>(), ["__Host-a", "__Secure-d", "__Secure-r"]);
    let host = &answer.set_cookies()[0];
    assert!(host.contains("; Path=/;") && host.ends_with("; Secure") && !host.contains("Domain"), "{host}");
    assert_eq!(world.me(&jar).await.status, 200);
    assert_eq!(world.refresh(&jar).await.status, 200);
    let (access, refresh) = (&jar.cookies["__Host-a"], &jar.cookies["__Secure-r"]);
    for name in ["access_token", ACCESS, "__host-a", "a"] {
        world.me(&Jar::of(name, access)).await.refused(401, "not_authenticated");
    }
    world.refresh(&Jar::of(REFRESH, refresh)).await.refused(401, "refresh_invalid");
    let answer = world.send(post("logout/").jar(&jar)).await;
    assert_eq!(cleared(&answer), [("__Host-a".into(), "/".into()), ("__Secure-r".into(), "/".into())]);
}

async fn cookies_that_cross_sites_are_cleared_across_sites(ground: Ground) {
    let world = ground.world_with(|config| config.cookies.same_site = SameSite::None).await;
    world.account("ada@example.org").await;
    let answer = world.log_in("ada@example.org", PASSWORD).await;
    assert!(answer.set_cookies().iter().all(|cookie| cookie.ends_with("; SameSite=None; Secure")), "{answer:?}");
    let logout = || post("logout/").jar(&answer.jar()).header("origin", "https://app.example.org");
    // A cookie without SameSite is Lax, and browsers take none of that kind from an answer to another site.
    for status in [200, 401] {
        let answer = world.send(logout()).await;
        assert_eq!(answer.status, status);
        let cookies = answer.set_cookies();
        assert!(
            cookies.len() == 2 && cookies.iter().all(|cookie| cookie.ends_with("; SameSite=None; Secure")),
            "{cookies:?}"
        );
    }
}

/// The setting that `build` refuses.
fn refused(configure: impl FnOnce(&mut Config)) -> Option<&'static str> {
    let mut config = crate::world::config();
    configure(&mut config);
    let store = MemoryStore::new(Arc::new(ManualClock::new()));
    let builder = Auth::builder(config).store(store).mailer(RecordingMailer::default());
    builder.hasher(InsecurePlainHasher::default()).without_workers().build().err().map(|invalid| invalid.setting)
}

#[test]
fn contradictory_cookie_settings_are_refused_by_name() {
    type Configure = fn(&mut Config);
    let accepted: [Configure; 7] = [
        |_| {},
        |config| config.cookies.access_name = Some("__Host-a".into()),
        |config| config.cookies.refresh_name = Some("__Host-r".into()),
        |config| config.cookies.refresh_name = Some("__Secure-r".into()),
        |config| config.cookies.device_name = Some("__Http-d".into()),
        |config| config.cookies.same_site = SameSite::None,
        |config| {
            config.profile = Profile::Django;
            config.cookies.access_name = Some("__Host-Http-a".into());
        },
    ];
    for configure in accepted {
        assert_eq!(refused(configure), None);
    }
    let taken: [(Configure, &str); 3] = [
        (|config| config.cookies.refresh_name = Some(ACCESS.into()), "cookies.refresh_name"),
        (|config| config.cookies.access_name = Some(REFRESH.into()), "cookies.refresh_name"),
        (|config| config.cookies.access_name = Some(DEVICE.into()), "cookies.device_name"),
    ];
    for (configure, setting) in taken {
        assert_eq!(refused(configure), Some(setting));
    }
    let without_secure: [(Configure, &str); 6] = [
        (|config| config.cookies.access_name = Some("__Host-a".into()), "cookies.access_name"),
        (|config| config.cookies.access_name = Some("__SECURE-a".into()), "cookies.access_name"),
        (|config| config.cookies.refresh_name = Some("__Secure-r".into()), "cookies.refresh_name"),
        (|config| config.cookies.refresh_name = Some("__Http-r".into()), "cookies.refresh_name"),
        (|config| config.cookies.device_name = Some("__host-http-d".into()), "cookies.device_name"),
        (|config| config.cookies.same_site = SameSite::None, "cookies.same_site"),
    ];
    for (configure, setting) in without_secure {
        let insecure = |config: &mut Config| {
            config.cookies.secure = false;
            configure(config);
        };
        assert_eq!(refused(insecure), Some(setting));
    }
    // A script may set a cookie that a script may read, and these prefixes say that none can.
    for name in ["__Http-r", "__HTTP-r", "__Host-Http-r", "__hOST-hTTP-r"] {
        let readable = |config: &mut Config| {
            config.cookies.http_only = false;
            config.cookies.refresh_name = Some(name.into());
        };
        assert_eq!(refused(readable), Some("cookies.refresh_name"), "{name}");
    }
    // The profile `django` sends these two below the public path alone.
    for name in ["__Host-n", "__hOST-n", "__Host-Http-n"] {
        let django = |config: &mut Config| config.profile = Profile::Django;
        let refresh = |config: &mut Config| config.cookies.refresh_name = Some(name.into());
        let device = |config: &mut Config| config.cookies.device_name = Some(name.into());
        assert_eq!(refused(|c| (django(c), refresh(c)).1), Some("cookies.refresh_name"), "{name}");
        assert_eq!(refused(|c| (django(c), device(c)).1), Some("cookies.device_name"), "{name}");
    }
    for name in ["", "a b", "a;b", "a=b", "a,b", "a\"b", "\u{e9}", "a\n", "a\0", &"x".repeat(65)] {
        let named = || Some(name.to_owned());
        assert_eq!(refused(|c| c.cookies.access_name = named()), Some("cookies.access_name"), "{name:?}");
        assert_eq!(refused(|c| c.cookies.refresh_name = named()), Some("cookies.refresh_name"), "{name:?}");
        assert_eq!(refused(|c| c.cookies.device_name = named()), Some("cookies.device_name"), "{name:?}");
    }
}
