//! Cookies as browsers, siblings on the same domain and attackers send them.

use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::port::Event;
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::config::SameSite;
use auth_system::{Auth, Config};
use http::HeaderValue;

use crate::scenarios;
use crate::world::{Answer, Call, Ground, Jar, PASSWORD, World, get, post};

scenarios![
    of_two_cookies_the_only_good_one_counts,
    two_good_cookies_of_two_sessions_are_refused_and_taken_away,
    two_bad_cookies_are_taken_away_on_every_path,
    several_cookie_headers_are_one,
    other_cookies_do_not_matter_whatever_they_hold,
    only_the_exact_name_counts,
    a_value_counts_to_the_last_character,
    a_flood_of_cookies_is_refused_cheaply,
    one_kind_of_token_never_stands_in_for_the_other,
    a_refusal_takes_no_cookie_away,
    logout_ends_the_session_of_every_cookie,
    custom_names_are_the_only_ones,
    cookies_that_cross_sites_are_cleared_across_sites,
];

const DISTINCT: [&str; 3] = ["ada@example.org", "bob@example.org", "eve@example.org"];

async fn cookie(world: &World, cookies: &str) -> Answer {
    world.send(get("me/").header("cookie", cookies)).await
}

/// The names and paths that an answer takes cookies away from.
fn taken_away(answer: &Answer) -> Vec<(String, String)> {
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

fn everywhere(name: &str, paths: &[&str]) -> Vec<(String, String)> {
    paths.iter().map(|path| (name.to_owned(), (*path).to_owned())).collect()
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
        for cookies in
            [format!("access_token={bad}; access_token={good}"), format!("access_token={good}; access_token={bad}")]
        {
            let answer = cookie(&world, &cookies).await;
            assert_eq!(answer.status, 200, "{cookies}");
            assert!(answer.set_cookies().is_empty());
        }
    }
    for bad in ["", "x", jar.access()] {
        let cookies = format!("refresh_token={bad}; refresh_token={}", jar.refresh());
        assert_eq!(world.send(post("refresh/").header("cookie", &cookies)).await.status, 200);
    }
}

fn good_with_one_bit_off(token: &str) -> String {
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    format!("{}{last}", &token[..token.len() - 1])
}

async fn two_good_cookies_of_two_sessions_are_refused_and_taken_away(ground: Ground) {
    let world = ground.world().await;
    for email in DISTINCT {
        world.account(email).await;
    }
    let (ada, bob) = (world.session("ada@example.org").await, world.session("bob@example.org").await);
    let both = |name: &str| format!("{name}={}; {name}={}", ada.cookies[name], bob.cookies[name]);
    let answer = cookie(&world, &both("access_token")).await;
    answer.refused(401, "token_not_valid");
    let above = ["/", "/api", "/api/", "/api/auth", "/api/auth/", "/api/auth/me", "/api/auth/me/"];
    assert_eq!(taken_away(&answer), everywhere("access_token", &above));
    let answer = world.send(post("refresh").header("cookie", &both("refresh_token"))).await;
    answer.refused(401, "refresh_invalid");
    let above = ["/", "/api", "/api/", "/api/auth", "/api/auth/", "/api/auth/refresh"];
    assert_eq!(taken_away(&answer), everywhere("refresh_token", &above));
    // Neither session was ended: it was not their owner's fault.
    for jar in [&ada, &bob] {
        assert_eq!(world.me(jar).await.status, 200);
        assert_eq!(world.refresh(jar).await.status, 200);
    }
    // The very same good cookie twice is ambiguous, too: browsers never send that of their own.
    let twice = format!("access_token={0}; access_token={0}", ada.access());
    cookie(&world, &twice).await.refused(401, "token_not_valid");
}

async fn two_bad_cookies_are_taken_away_on_every_path(ground: Ground) {
    let world = ground.world().await;
    let both = "access_token=x; access_token=y; refresh_token=; refresh_token=z";
    for call in [get("me/"), post("refresh/"), post("logout/")] {
        let path = call.path.clone();
        let answer = world.send(call.header("cookie", both)).await;
        assert_eq!(answer.status, 401);
        let taken = taken_away(&answer);
        for name in ["access_token", "refresh_token"] {
            for above in ["/", "/api", "/api/", "/api/auth", "/api/auth/", path.trim_end_matches('/'), &path] {
                assert!(taken.contains(&(name.into(), above.into())), "{name} {above} {taken:?}");
            }
        }
    }
    // Only a 401 takes them away: the endpoint may not have looked at them.
    let answer = world.send(get("verify-account/").header("cookie", both)).await;
    assert_eq!((answer.status.as_u16(), taken_away(&answer)), (400, vec![]));
}

async fn several_cookie_headers_are_one(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let access = format!("access_token={}", jar.access());
    let spread = get("me/").header("cookie", "a=b").header("cookie", &access).header("cookie", "c=d");
    assert_eq!(world.send(spread).await.status, 200);
    let bad = get("me/").header("cookie", "access_token=x").header("cookie", &access);
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
            let cookies = format!("{before}; access_token={} ;{after}", jar.access());
            call.headers.insert("cookie", HeaderValue::from_bytes(cookies.as_bytes()).unwrap());
            assert_eq!(world.send(call).await.status, 200, "{other:?}");
        }
        let mut refresh = post("refresh/");
        let cookies = format!("{other}; refresh_token={}", jar.refresh());
        refresh.headers.insert("cookie", HeaderValue::from_bytes(cookies.as_bytes()).unwrap());
        assert_eq!(world.send(refresh).await.status, 200, "{other:?}");
    }
    // Bytes that are no text, in our own name: a bad token, not none.
    for bytes in [&b"access_token=\xff\xfe"[..], b"access_token=\xc3"] {
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
        "Access_Token",
        "ACCESS_TOKEN",
        "access_token ",
        "xaccess_token",
        "access_tokenx",
        "access%5Ftoken",
        "access_toke%6E",
        "__Host-access_token",
        "\"access_token\"",
        "access-token",
        "$access_token",
        "x access_token",
        "x,access_token",
        "=access_token",
        "access_token[]",
        "access_token.0",
    ] {
        let answer = cookie(&world, &format!("{name}={}", jar.access())).await;
        answer.refused(401, "not_authenticated");
        let name = name.replace("access", "refresh").replace("Access", "Refresh").replace("ACCESS", "REFRESH");
        let cookies = format!("{name}={}", jar.refresh());
        world.send(post("refresh/").header("cookie", &cookies)).await.refused(401, "refresh_invalid");
    }
    assert_eq!(cookie(&world, &format!("access_token={}", jar.access())).await.status, 200);
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
        cookie(&world, &format!("access_token={value}")).await.refused(401, "token_not_valid");
    }
    // White space around a pair is none of the value's.
    for cookies in
        [format!("access_token={token} "), format!("  \taccess_token={token}\t;"), format!(";access_token={token};;")]
    {
        assert_eq!(cookie(&world, &cookies).await.status, 200, "{cookies:?}");
    }
}

async fn a_flood_of_cookies_is_refused_cheaply(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let huge = "A".repeat(30_000);
    for value in [huge.clone(), format!("{}.{}.{}", &huge[..9000], &huge[..9000], &huge[..43]), ".".repeat(30_000)] {
        cookie(&world, &format!("access_token={value}")).await.refused(401, "token_not_valid");
        let refresh = post("refresh/").header("cookie", &format!("refresh_token={value}"));
        world.send(refresh).await.refused(401, "refresh_invalid");
    }
    let flood = "access_token=x;".repeat(2000);
    let answer = cookie(&world, &flood).await;
    answer.refused(401, "token_not_valid");
    assert_eq!(answer.set_cookies().len(), 7, "once for each path");
    // A good one beside a few leftovers counts; behind a flood it does not.
    let (few, many) = ("access_token=x; ".repeat(7), "access_token=x; ".repeat(8));
    assert_eq!(cookie(&world, &format!("{few}access_token={}", jar.access())).await.status, 200);
    cookie(&world, &format!("{many}access_token={}", jar.access())).await.refused(401, "token_not_valid");
}

async fn one_kind_of_token_never_stands_in_for_the_other(ground: Ground) {
    let world = ground.world_with(|config| config.bearer = true).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let swapped = format!("access_token={}; refresh_token={}", jar.refresh(), jar.access());
    cookie(&world, &swapped).await.refused(401, "token_not_valid");
    world.send(post("refresh/").header("cookie", &swapped)).await.refused(401, "refresh_invalid");
    world.send(post("logout/").header("cookie", &swapped)).await.refused(401, "not_authenticated");
    let bearer = |token: &str| format!("Bearer {token}");
    let as_bearer = |call: Call| call.header("authorization", &bearer(jar.refresh()));
    world.send(as_bearer(get("me/"))).await.refused(401, "token_not_valid");
    world.send(as_bearer(post("refresh/"))).await.refused(401, "refresh_invalid");
    // Neither is read from a body or query.
    let body = serde_json::json!({ "refresh_token": jar.refresh(), "refresh": jar.refresh() });
    world.send(post("refresh/").json(body)).await.refused(401, "refresh_invalid");
    world.send(get(&format!("me/?access_token={}", jar.access()))).await.refused(401, "not_authenticated");
    assert_eq!(world.me(&jar).await.status, 200);
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
    let garbage = world.send(post("refresh/").jar(&Jar::of("refresh_token", "x"))).await;
    let none = world.send(post("refresh/")).await;
    let me = world.me(&second).await;
    let login = world
        .send(post("login/").json(serde_json::json!({ "email": "ada@example.org", "password": "x" })).jar(&second))
        .await;
    for answer in [reused, ended, garbage, none, me, login] {
        assert_eq!((answer.status.as_u16(), answer.set_cookies()), (401, vec![]));
    }
}

async fn logout_ends_the_session_of_every_cookie(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for name in ["access_token", "refresh_token"] {
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
        assert!(matches!(world.events.take()[..], [Event::LoggedOut { .. }, Event::LoggedOut { .. }]));
        for jar in [&one, &two] {
            world.me(jar).await.refused(401, "not_authenticated");
            world.refresh(jar).await.refused(401, "refresh_invalid");
        }
    }
}

async fn custom_names_are_the_only_ones(ground: Ground) {
    let world = ground
        .world_with(|config| {
            config.cookies.access_name = "__Host-a".into();
            config.cookies.refresh_name = "__Secure-r".into();
            config.cookies.device_name = "__Secure-d".into();
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
    for name in ["access_token", "__host-a", "a"] {
        world.me(&Jar::of(name, access)).await.refused(401, "not_authenticated");
    }
    world.refresh(&Jar::of("refresh_token", refresh)).await.refused(401, "refresh_invalid");
    let cleared = world.send(post("logout/").jar(&jar)).await;
    assert_eq!(taken_away(&cleared), [("__Host-a".into(), "/".into()), ("__Secure-r".into(), "/api/auth".into())]);
}

async fn cookies_that_cross_sites_are_cleared_across_sites(ground: Ground) {
    let world = ground.world_with(|config| config.cookies.same_site = SameSite::None).await;
    world.account("ada@example.org").await;
    let answer = world.log_in("ada@example.org", PASSWORD).await;
    assert!(answer.set_cookies().iter().all(|cookie| cookie.ends_with("; SameSite=None; Secure")), "{answer:?}");
    let logout = || post("logout/").jar(&answer.jar()).header("origin", "https://app.example.org");
    // A cookie without SameSite is Lax, and browsers take none of that kind from an answer to another site.
    for status in [200, 401] {
        let cleared = world.send(logout()).await;
        assert_eq!(cleared.status, status);
        let cookies = cleared.set_cookies();
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
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|config| config.cookies.access_name = "__Host-a".into()), None);
    assert_eq!(refused(|config| config.cookies.refresh_name = "__Secure-r".into()), None);
    assert_eq!(refused(|config| config.cookies.same_site = SameSite::None), None);
    for name in ["__Host-r", "__hOST-r", "access_token"] {
        assert_eq!(refused(|config| config.cookies.refresh_name = name.into()), Some("cookies.refresh_name"));
    }
    type Configure = fn(&mut Config);
    let without_secure: [(Configure, &str); 4] = [
        (|config| config.cookies.access_name = "__Host-a".into(), "cookies.access_name"),
        (|config| config.cookies.access_name = "__SECURE-a".into(), "cookies.access_name"),
        (|config| config.cookies.refresh_name = "__Secure-r".into(), "cookies.refresh_name"),
        (|config| config.cookies.same_site = SameSite::None, "cookies.same_site"),
    ];
    for (configure, setting) in without_secure {
        let insecure = |config: &mut Config| {
            config.cookies.secure = false;
            configure(config);
        };
        assert_eq!(refused(insecure), Some(setting));
    }
    for name in ["", "a b", "a;b", "a=b", "a,b", "a\"b", "\u{e9}", "a\n", "a\0", &"x".repeat(65)] {
        assert_eq!(refused(|config| config.cookies.access_name = name.into()), Some("cookies.access_name"), "{name:?}");
        assert_eq!(
            refused(|config| config.cookies.refresh_name = name.into()),
            Some("cookies.refresh_name"),
            "{name:?}"
        );
    }
}
