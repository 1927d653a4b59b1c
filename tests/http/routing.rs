//! Which path and method reach what: one spelling of each path, one method per row, headers of bounded size.

use http::{HeaderValue, Method};
use serde_json::json;

use crate::conventions::{ROWS, allow};
use crate::door::Driver;
use crate::scenarios;
use crate::world::{Answer, Ground, PASSWORD, call, get, post};

scenarios![
    a_path_has_one_spelling,
    paths_outside_the_mount_are_not_ours,
    every_other_method_is_refused_and_the_right_one_named,
    a_method_in_a_header_or_query_does_not_count,
    headers_of_more_than_32_kibibytes_are_refused,
    where_a_request_is_wrong_twice_the_first_check_answers,
    another_mount_point_moves_everything,
];

#[track_caller]
fn not_found(answer: &Answer) {
    answer.refused(404, "not_found");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("allow"), "");
}

async fn a_path_has_one_spelling(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    world.events.take();
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    for path in [
        "",
        "/",
        "//",
        "/login//",
        "//login/",
        "//login",
        "/LOGIN/",
        "/Login",
        "/logi",
        "/login1",
        "/login/x",
        "/login/login/",
        "/%6Cogin/",
        "/log%69n",
        "/login%2F",
        "/login%2f",
        "/login%00",
        "/login%20",
        "/login%0a",
        "/./login/",
        "/../auth/login/",
        "/x/../login/",
        "/login/.",
        "/login/..",
        "/login;x=1",
        "/login/;x",
        "/login\\",
        "/login.json",
        "/signup/login/",
        "/*",
        "/{*rest}",
        "/:rest",
        "/me/../login/",
        "/%2e%2e/auth/login",
        "/\u{1f511}",
    ] {
        let path = format!("/api/auth{path}");
        let no_uri_of_actix = ground.driver == Driver::Actix && path.parse::<actix_web::http::Uri>().is_err();
        if path.parse::<http::Uri>().is_err() || no_uri_of_actix {
            continue;
        }
        not_found(&world.send(post(&path).json(body.clone()).jar(&jar)).await);
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE, Method::CONNECT] {
            let head = method == Method::HEAD;
            let answer = world.send(call(method, &path)).await;
            assert_eq!((answer.status.as_u16(), answer.body.is_empty()), (404, head), "{path}");
        }
    }
    assert_eq!(world.events.take(), []);
    for path in ["login/", "login", "login?", "login/?x", "login#x"] {
        assert_eq!(world.send(post(path).json(body.clone())).await.status, 200, "{path}");
    }
}

async fn paths_outside_the_mount_are_not_ours(ground: Ground) {
    let world = ground.world().await;
    let paths = [
        "/",
        "/api",
        "/api/",
        "/api/authx",
        "/api/authx/login/",
        "/api/auth%2Flogin/",
        "/api%2Fauth/login/",
        "/%61pi/auth/login/",
        "/API/auth/login/",
        "//api/auth/login/",
        "/api//auth/login/",
        "/api/./auth/login/",
        "/x/../api/auth/login/",
        "/v1/api/auth/login/",
        "/login/",
        "*",
        "http://api/auth/login/",
    ];
    for path in paths {
        let mut call = post("/");
        call.path = path.into();
        let answer = world.send(call).await;
        if ground.driver == Driver::Bare {
            not_found(&answer);
        } else {
            // The application's own 404: it has no body of ours.
            assert_eq!((answer.status.as_u16(), answer.body.len()), (404, 0), "{path}");
        }
    }
    // A proxy's absolute form names the same path.
    let mut me = get("/");
    me.path = "http://app.example.org/api/auth/me/".into();
    world.send(me).await.refused(401, "not_authenticated");
}

async fn every_other_method_is_refused_and_the_right_one_named(ground: Ground) {
    let brew = |name: &[u8]| Method::from_bytes(name).unwrap();
    let long = vec![b'X'; 5000];
    for (django, world) in [(false, ground.world().await), (true, ground.django().await)] {
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::TRACE,
            Method::CONNECT,
            brew(b"BREW"),
            brew(b"get"),
            brew(b"Post"),
            brew(b"PROPFIND"),
            brew(b"!"),
            brew(&long),
        ];
        for (right, path) in &ROWS {
            let allow = allow(path);
            assert!(allow.contains(right.as_str()));
            for method in methods.iter().filter(|method| !allow.split(", ").any(|allowed| allowed == method.as_str())) {
                let answer = world.send(call(method.clone(), path).json(json!({}))).await;
                assert_eq!(answer.header("allow"), allow);
                if *method == Method::HEAD {
                    assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0));
                    continue;
                }
                answer.refused(405, "method_not_allowed");
                let detail = format!("Method \"{method}\" not allowed.");
                assert_eq!(answer.json()["detail"], detail);
                assert_eq!(django, answer.json() == json!({ "detail": detail, "code": "method_not_allowed" }));
            }
        }
        assert_eq!(world.events.take(), []);
    }
}

async fn a_method_in_a_header_or_query_does_not_count(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let logout = get("logout/?_method=POST").jar(&jar).header(name, "POST");
        world.send(logout).await.refused(405, "method_not_allowed");
        let me = post("me/").jar(&jar).header(name, "GET");
        world.send(me).await.refused(405, "method_not_allowed");
    }
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn headers_of_more_than_32_kibibytes_are_refused(ground: Ground) {
    const LIMIT: usize = 32 * 1024;
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let me = get("me/").jar(&jar);
    let used: usize = me.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let fill = |size: usize| me.clone().header("x-fill", &"x".repeat(size - used - "x-fill".len()));
    assert_eq!(world.send(fill(LIMIT)).await.status, 200);
    world.send(fill(LIMIT + 1)).await.refused(431, "headers_too_large");

    let mut many = me.clone();
    for _ in 0..1000 {
        many.headers.append("x-many", HeaderValue::from_static("a value of about forty bytes, as it were"));
    }
    let megabyte = "__Host-access_token=x; ".repeat(64 * 1024);
    let cookies = [me.clone().header("cookie", &megabyte), me.clone().header("cookie", &"x".repeat(1024 * 1024)), many];
    for huge in cookies {
        for (right, path) in &ROWS {
            for method in [right.clone(), Method::OPTIONS, Method::PUT] {
                let mut sent = call(method, path);
                sent.headers.clone_from(&huge.headers);
                let answer = world.send(sent).await;
                answer.refused(431, "headers_too_large");
                assert!(answer.set_cookies().is_empty());
            }
        }
    }
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn where_a_request_is_wrong_twice_the_first_check_answers(ground: Ground) {
    let world = ground.world().await;
    let foreign = |path: &str| post(path).header("origin", "https://evil.example");
    let huge = "x".repeat(40_000);
    world.send(foreign("nothing/").header("x-huge", &huge)).await.refused(431, "headers_too_large");
    world.send(foreign("nothing/").body("text/plain", "x")).await.refused(404, "not_found");
    world.send(foreign("me/").body("text/plain", "x")).await.refused(405, "method_not_allowed");
    world.send(foreign("login/").body("text/plain", huge.repeat(2))).await.refused(403, "cross_origin");
    world.send(post("login/").body("text/plain", huge.repeat(2))).await.refused(413, "body_too_large");
    world.send(post("login/").body("text/plain", "{")).await.refused(415, "unsupported_media_type");
    world.send(post("login/").body("application/json", "{")).await.refused(400, "malformed_json");
}

async fn another_mount_point_moves_everything(ground: Ground) {
    for mount in ["/a", "/a-b_c.d~e/v1/auth"] {
        let world = ground.world_with(|config| config.public_path = mount.into()).await;
        for (method, path) in &ROWS {
            let path = path.trim_end_matches('/');
            for slash in ["", "/"] {
                let answer = world.send(call(method.clone(), &format!("{mount}/{path}{slash}"))).await;
                assert!([400, 401].contains(&answer.status.as_u16()), "{answer:?}");
            }
            assert_eq!(world.send(call(method.clone(), &format!("/api/auth/{path}/"))).await.status, 404);
        }
        for path in [mount.to_owned(), format!("{mount}/")] {
            not_found(&world.send(get(&path)).await);
        }
    }
}
