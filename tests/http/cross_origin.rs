//! Which pages may send what: the whole decision table, on our endpoints and on the application's own routes.

use auth_system::config::SameSite;
use http::{HeaderValue, Method};
use serde_json::json;

use crate::scenarios;
use crate::world::{ACCESS, Answer, Call, Ground, Jar, PASSWORD, World, call, get, post};

scenarios![
    what_changes_something_is_taken_from_our_own_pages_only,
    reading_is_never_checked_but_never_shown_to_strangers,
    own_routes_are_checked_where_a_cookie_lets_in,
    a_socket_is_opened_by_our_own_pages_only,
    a_preflight_tells_allowed_pages_and_nobody_else,
    a_listed_origin_takes_the_place_of_the_front_ends,
    where_cookies_cross_sites_silence_is_refused,
    a_refused_page_learns_nothing_and_changes_nothing,
];

const OURS: &str = "https://app.example.org";
const EVIL: &str = "https://evil.example";

/// What a browser or another client says of itself, and whether it may change anything.
const SENDERS: [(&[(&str, &str)], bool); 37] = [
    // No browser.
    (&[], true),
    (&[("referer", "https://evil.example/")], true),
    // A browser that tells its site.
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("sec-fetch-site", "same-origin"), ("origin", OURS)], true),
    (&[("sec-fetch-site", "same-origin"), ("origin", "https://api.example.org")], true),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "same-site"), ("origin", OURS)], true),
    (&[("sec-fetch-site", "cross-site"), ("origin", OURS)], true),
    (&[("sec-fetch-site", "same-site"), ("origin", "https://blog.example.org")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", EVIL)], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", "null")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", EVIL), ("referer", "https://app.example.org/")], false),
    (&[("sec-fetch-site", "")], false),
    (&[("sec-fetch-site", "SAME-ORIGIN")], false),
    (&[("sec-fetch-site", "same-origin, none")], false),
    (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
    // A browser that tells its origin only.
    (&[("origin", OURS)], true),
    (&[("origin", EVIL)], false),
    (&[("origin", "null")], false),
    (&[("origin", "")], false),
    (&[("origin", "*")], false),
    (&[("origin", OURS), ("origin", OURS)], false),
    (&[("origin", OURS), ("origin", EVIL)], false),
    (&[("origin", "https://app.example.org, https://evil.example")], false),
    (&[("origin", "https://app.example.org https://evil.example")], false),
    (&[("origin", "https://app.example.org/")], false),
    (&[("origin", "https://app.example.org:443")], false),
    (&[("origin", "https://app.example.org:8443")], false),
    (&[("origin", "http://app.example.org")], false),
    (&[("origin", "https://APP.example.org")], false),
    (&[("origin", "https://app.example.org.")], false),
    (&[("origin", "https://app.example.org.evil.example")], false),
    (&[("origin", "https://evil.example/https://app.example.org")], false),
    (&[("origin", "https://app.example.org@evil.example")], false),
    (&[("origin", "https://evilapp.example.org")], false),
];

fn sent_by(mut call: Call, sender: &[(&'static str, &str)]) -> Call {
    for (name, value) in sender {
        call = call.header(name, value);
    }
    call
}

fn login() -> Call {
    post("login/").json(json!({ "email": "ada@example.org", "password": PASSWORD }))
}

/// What a browser goes by: origin, credentials, what else a page may read, and a preflight's methods, headers and age.
fn cors(answer: &Answer) -> [&str; 6] {
    ["allow-origin", "allow-credentials", "expose-headers", "allow-methods", "allow-headers", "max-age"]
        .map(|name| answer.header(&format!("access-control-{name}")))
}

const NO_CORS: [&str; 6] = [""; 6];
const CORS: [&str; 6] = [OURS, "true", "retry-after", "", "", ""];

async fn what_changes_something_is_taken_from_our_own_pages_only(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for (number, (sender, allowed)) in SENDERS.into_iter().enumerate() {
        let jar = world.session("ada@example.org").await;
        world.events.take();
        let sign_up = json!({ "email": format!("new{number}@example.org"), "password": PASSWORD });
        let calls = [
            (post("signup/").json(sign_up), 201),
            (login(), 200),
            (post("refresh/").jar(&jar), 200),
            (post("password-reset/").json(json!({ "email": "ada@example.org" })), 200),
            (post("logout/").jar(&jar), 200),
        ];
        for (call, success) in calls {
            let answer = world.send(sent_by(call, sender)).await;
            if allowed {
                assert_eq!(answer.status.as_u16(), success, "{sender:?}");
            } else {
                answer.refused(403, "cross_origin");
                assert!(answer.set_cookies().is_empty());
            }
            let page =
                sender.contains(&("origin", OURS)) && sender.iter().filter(|(name, _)| *name == "origin").count() == 1;
            assert_eq!(cors(&answer), if page { CORS } else { NO_CORS }, "{sender:?}");
        }
        let happened = !world.events.take().is_empty();
        assert_eq!((happened, !world.mails().await.is_empty()), (allowed, allowed), "{sender:?}");
        world.events.take();
        assert_eq!(world.me(&jar).await.status == 200, !allowed, "{sender:?}: logged out or not");
    }
}

async fn reading_is_never_checked_but_never_shown_to_strangers(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for (sender, _) in SENDERS {
        for method in [Method::GET, Method::HEAD] {
            let answer = world.send(sent_by(call(method, "me/").jar(&jar), sender)).await;
            assert_eq!((answer.status.as_u16(), answer.header("vary")), (200, "Origin"));
            // Without these a browser keeps the answer from the page.
            let single = sender.iter().filter(|(name, _)| *name == "origin").eq(&[("origin", OURS)]);
            assert_eq!(cors(&answer), if single { CORS } else { NO_CORS }, "{sender:?}");
        }
    }
    // Refusals are shown to our own pages, too: they have to tell their user.
    for call in [login().header("x", &"x".repeat(40_000)), get("nothing/"), get("me/"), post("login/"), get("login/")] {
        let answer = world.send(call.clone().header("origin", OURS)).await;
        assert!(answer.status.is_client_error());
        assert_eq!(cors(&answer), CORS);
        assert_eq!(cors(&world.send(call.header("origin", EVIL)).await), NO_CORS);
    }
}

async fn app(world: &World, method: &Method, path: &str, jar: &Jar, sender: &[(&'static str, &str)]) -> Answer {
    world.app(sent_by(call(method.clone(), path).jar(jar), sender)).await
}

async fn own_routes_are_checked_where_a_cookie_lets_in(ground: Ground) {
    let world = ground.world_with(|config| config.bearer = true).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let unsafe_methods =
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, "BREW".parse().unwrap()];
    for (sender, allowed) in SENDERS {
        for method in &unsafe_methods {
            for path in ["/open", "/whoami", "/maybe", "/required"] {
                let answer = app(&world, method, path, &jar, sender).await;
                if allowed {
                    assert_eq!(answer.status, 200, "{sender:?} {path}");
                } else {
                    answer.refused(403, "cross_origin");
                    assert_eq!(answer.header("cache-control"), "no-store");
                }
                let bearer = call(method.clone(), path).header("authorization", &format!("Bearer {}", jar.access()));
                assert_eq!(world.app(sent_by(bearer, sender)).await.status, 200, "no page can send that by itself");
            }
            for jar in [Jar::default(), Jar::of(ACCESS, "stale"), jar.only("refresh_token")] {
                let statuses = ["/open", "/whoami", "/maybe", "/required"].map(|path| (path, &jar));
                let mut answers = Vec::new();
                for (path, jar) in statuses {
                    answers.push(app(&world, method, path, jar, sender).await.status.as_u16());
                }
                assert_eq!(answers, [200, 401, 200, 401], "nobody is nobody from anywhere");
            }
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(app(&world, &method, "/whoami", &jar, sender).await.status, 200, "{sender:?}");
        }
    }
    // A cookie beside a header is still a cookie.
    let both = post("/whoami").jar(&jar).header("authorization", &format!("Bearer {}", jar.access()));
    world.app(both.header("origin", EVIL)).await.refused(403, "cross_origin");
}

async fn a_socket_is_opened_by_our_own_pages_only(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let socket = |upgrade: &str| get("/whoami").jar(&jar).header("connection", "upgrade").header("upgrade", upgrade);
    for (sender, allowed) in SENDERS {
        for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
            let answer = world.app(sent_by(socket(upgrade), sender)).await;
            if allowed {
                assert_eq!(answer.status, 200, "{sender:?}");
            } else {
                answer.refused(403, "cross_origin");
            }
        }
        assert_eq!(world.app(sent_by(socket("h2c"), sender)).await.status, 200, "that is no socket");
    }
    let without = get("/maybe").header("connection", "upgrade").header("upgrade", "websocket").header("origin", EVIL);
    assert_eq!(world.app(without).await.text(), "nobody");
}

async fn a_preflight_tells_allowed_pages_and_nobody_else(ground: Ground) {
    let world = ground.world().await;
    let preflight = |path: &str, origin: &str| {
        call(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
    };
    for (path, methods) in
        [("login/", "POST, OPTIONS"), ("login", "POST, OPTIONS"), ("me/", "GET, HEAD, PATCH, OPTIONS")]
    {
        let answer = world.send(preflight(path, OURS)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        assert_eq!(cors(&answer), [OURS, "true", "retry-after", methods, "content-type, authorization", "600"]);
        assert_eq!(answer.header("vary"), "Origin");
        for stranger in [EVIL, "null", "*", "", "https://app.example.org/"] {
            let answer = world.send(preflight(path, stranger)).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow"), cors(&answer)), (204, methods, NO_CORS));
            assert_eq!(answer.header("vary"), "Origin");
        }
        assert_eq!(cors(&world.send(call(Method::OPTIONS, path)).await), NO_CORS);
    }
    let nothing = world.send(preflight("nothing/", OURS)).await;
    assert_eq!((nothing.status.as_u16(), cors(&nothing)), (404, CORS));
}

async fn a_listed_origin_takes_the_place_of_the_front_ends(ground: Ground) {
    let listed = ["https://One.example", "http://localhost:5173", "http://[::1]:8080", "https://two.example:443"];
    let spelt = ["https://one.example", "http://localhost:5173", "http://[::1]:8080", "https://two.example"];
    let world = ground.world_with(|config| config.allowed_origins = listed.map(str::to_owned).to_vec()).await;
    world.account("ada@example.org").await;
    for origin in spelt {
        let answer = world.send(login().header("origin", origin).header("sec-fetch-site", "cross-site")).await;
        assert_eq!((answer.status.as_u16(), cors(&answer)[0]), (200, origin));
    }
    for origin in [OURS, "https://One.example", "http://localhost:5174", "http://localhost", "https://localhost:5173"] {
        let answer = world.send(login().header("origin", origin)).await;
        answer.refused(403, "cross_origin");
        assert_eq!(cors(&answer), NO_CORS);
    }
}

async fn where_cookies_cross_sites_silence_is_refused(ground: Ground) {
    let world = ground.world_with(|config| config.cookies.same_site = SameSite::None).await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.events.take();
    for jar in [jar.clone(), jar.only("access_token"), jar.only("refresh_token"), Jar::of(ACCESS, "x")] {
        for call in [login(), post("refresh/"), post("logout/")] {
            world.send(call.jar(&jar)).await.refused(403, "cross_origin");
        }
    }
    for (sender, allowed) in SENDERS.into_iter().filter(|(sender, _)| sender.iter().any(|(name, _)| *name != "referer"))
    {
        let answer = world.send(sent_by(post("refresh/").jar(&jar), sender)).await;
        assert_eq!(answer.status == 200, allowed, "{sender:?}");
        assert_eq!(app(&world, &Method::POST, "/whoami", &jar, sender).await.status == 200, allowed, "{sender:?}");
    }
    app(&world, &Method::POST, "/whoami", &jar, &[]).await.refused(403, "cross_origin");
    world.app(get("/whoami").jar(&jar).header("upgrade", "websocket")).await.refused(403, "cross_origin");
    assert_eq!(app(&world, &Method::POST, "/open", &Jar::default(), &[]).await.status, 200);
    assert_eq!(world.me(&jar).await.status, 200, "reading needs no origin");
    // Without a cookie there is nothing to ride on.
    assert_eq!(world.send(login()).await.status, 200);
}

async fn a_refused_page_learns_nothing_and_changes_nothing(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.events.take();
    let work = world.hasher.work();
    let (right, wrong) = (login(), post("login/").json(json!({ "email": "ada@example.org", "password": "wrong one" })));
    let plain = post("login/").body("text/plain", login().body);
    let form = post("login/").body("application/x-www-form-urlencoded", "email=ada%40example.org&password=x");
    let broken = post("login/").body("application/json", "{");
    let mut answers = Vec::new();
    for call in
        [right, wrong, plain, form, broken, post("refresh/").jar(&jar), post("logout/").jar(&jar), post("logout/")]
    {
        let answer = world.send(call.header("origin", EVIL).header("sec-fetch-site", "cross-site")).await;
        answer.refused(403, "cross_origin");
        answers.push((answer.headers.clone(), answer.body.clone()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!((world.events.take(), world.hasher.work()), (vec![], work));
    let mut no_text = login();
    no_text.headers.insert("origin", HeaderValue::from_bytes(b"https://app.example.org\xff").unwrap());
    world.send(no_text).await.refused(403, "cross_origin");
    let django = ground.django().await;
    let answer = django.send(login().header("origin", EVIL)).await;
    let detail = "Requests from this origin are not allowed.";
    assert_eq!(answer.json(), json!({ "detail": detail, "code": "cross_origin" }));
}
