//! What the README promises of the example: a page, and the whole life of an account.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use auth_system::auth_core::port::Clock as _;
use auth_system::system::SystemClock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::on_each_server;
use crate::server::{Example, PASSWORD, eventually, link, mode};

on_each_server![
    an_account_lives_over_a_real_socket_and_nothing_of_it_is_logged,
    the_page_and_its_assets_let_nothing_foreign_in,
    the_page_of_the_endpoints_shows_each_and_needs_no_script,
    without_a_file_accounts_live_in_memory_and_mails_on_the_console,
    cross_site_pages_cannot_log_anybody_in_or_out,
    a_mebibyte_of_cookies_is_refused_and_the_server_lives_on,
    the_end_sends_what_waits_and_waits_for_no_slow_client,
];

fn an_account_lives_over_a_real_socket_and_nothing_of_it_is_logged(example: Example) {
    let site = example.site().with("RUST_LOG", "trace");
    let server = site.start();
    let expected = [
        format!("Open      http://{}", site.address),
        "Database  sqlite://auth.db".to_owned(),
        "Key       auth.key".to_owned(),
        "Mails     dir:mails".to_owned(),
        "Ctrl-C ends the server.".to_owned(),
    ];
    assert_eq!(server.greeting, expected);
    let key = fs::read_to_string(site.path("auth.key")).unwrap();
    assert_eq!((key.len(), mode(&site.path("auth.key")), mode(&site.path("auth.db"))), (64, 0o600, 0o600));

    assert_eq!(site.sign_up("ada@example.org").status, 201);
    assert_eq!(site.log_in("ada@example.org").status, 401);
    let mail = site.mail("ada@example.org");
    assert!(mail.contains("From: AuthSystem <no-reply@localhost>\r\n"), "{mail}");
    let (page, query) = (link(&mail), link(&mail).split_once('?').unwrap().1.to_owned());
    assert!(page.starts_with(&format!("http://{}/verify-account?uid=", site.address)), "{page}");
    let path = page.split_once(&site.address.to_string()).unwrap().1;
    assert!(site.call("GET", path).send().header("content-type").starts_with("text/html"), "the page that verifies");
    let verify = format!("/api/auth/verify-account/?{query}");
    assert_eq!(site.call("HEAD", &verify).send().status, 204);
    assert_eq!(site.call("GET", &verify).send().status, 200);

    let login = site.log_in("ada@example.org");
    assert_eq!(login.status, 200, "{login:?}");
    let jar = login.jar();
    assert!(!login.header("set-cookie").contains("Secure"), "browsers drop such cookies over plain http");
    let hello = site.call("GET", "/api/hello").jar(&jar).send();
    assert!(hello.json()["message"].as_str().unwrap().starts_with("Hello, user "), "{hello:?}");
    assert_eq!(site.call("GET", "/api/hello").send().status, 401);
    let refreshed = site.call("POST", "/api/auth/refresh/").jar(&jar).send();
    assert_eq!(refreshed.status, 200);
    let newer = refreshed.jar();
    assert_eq!(site.call("GET", "/api/auth/me/").jar(&newer).send().json()["email"], "ada@example.org");
    assert_eq!(site.call("POST", "/api/auth/logout/").jar(&newer).send().status, 200);
    assert_eq!(site.call("GET", "/api/hello").jar(&newer).send().status, 401);

    let log = server.log();
    assert!(log.contains("LoggedIn") && log.contains("DEBUG"), "the log is a log");
    let tokens = [&login.jar(), &newer].map(|jar| jar.values().cloned().collect::<Vec<_>>()).concat();
    let secrets = tokens.iter().map(|token| token.rsplit('.').next().unwrap());
    for secret in secrets.chain([PASSWORD, &key, query.split_once("token=").unwrap().1, "$argon2"]) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    assert!(server.end().success());

    // What was made once is used again.
    let server = site.start();
    assert_eq!(fs::read_to_string(site.path("auth.key")).unwrap(), key);
    assert_eq!(site.call("GET", "/api/hello").jar(&newer).send().status, 401, "the logout is remembered");
    let jar = site.log_in("ada@example.org").jar();
    assert!(server.end().success());
    let server = site.start();
    assert_eq!(site.call("GET", "/api/hello").jar(&jar).send().status, 200, "so is the session");
    assert!(server.end().success());
}

fn the_page_and_its_assets_let_nothing_foreign_in(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:");
    let server = site.start();
    let policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    for (path, content_type, inside) in [
        ("/", "text/html; charset=utf-8", "<title>"),
        ("/verify-account?uid=x&token=y", "text/html; charset=utf-8", "/assets/app.js"),
        ("/verify-email-change?uid=x&token=y", "text/html; charset=utf-8", "/assets/app.js"),
        ("/password-reset-confirm", "text/html; charset=utf-8", "/assets/style.css"),
        ("/not-me", "text/html; charset=utf-8", "/assets/app.js"),
        ("/assets/app.js", "text/javascript; charset=utf-8", "'./two_factor.js'"),
        ("/assets/api.js", "text/javascript; charset=utf-8", "fetch("),
        ("/assets/forms.js", "text/javascript; charset=utf-8", "export function form("),
        ("/assets/login.js", "text/javascript; charset=utf-8", "auth/login/"),
        ("/assets/mail_links.js", "text/javascript; charset=utf-8", "auth/verify-account/"),
        ("/assets/not_me.js", "text/javascript; charset=utf-8", "auth/not-me/"),
        ("/assets/profile.js", "text/javascript; charset=utf-8", "auth/me/"),
        ("/assets/session.js", "text/javascript; charset=utf-8", "auth/reauthenticate/"),
        ("/assets/signup.js", "text/javascript; charset=utf-8", "auth/signup/"),
        ("/assets/two_factor.js", "text/javascript; charset=utf-8", "auth/2fa/setup/"),
        ("/assets/view.js", "text/javascript; charset=utf-8", "textContent"),
        ("/assets/style.css", "text/css; charset=utf-8", "{"),
    ] {
        let answer = site.call("GET", path).send();
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{path}");
        assert_eq!(answer.header("content-security-policy"), policy, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.body.contains(inside), "{path}");
        let inline = ["<script>", "<style", " style=", " onclick=", "javascript:", "innerHTML"];
        assert!(inline.iter().all(|mark| !answer.body.contains(mark)), "{path}: the policy would forbid it");
    }
    assert_eq!(site.call("GET", "/favicon.ico").send().status, 204);
    assert_eq!(site.call("GET", "/nothing").send().status, 404);
    assert!(server.end().success());
}

fn the_page_of_the_endpoints_shows_each_and_needs_no_script(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:").with("AUTH_OPENAPI", "on");
    let server = site.start();
    let document = site.call("GET", "/api/auth/openapi.json").send().json();
    let page = site.call("GET", "/docs").send();
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    // The templates escape even slashes.
    let html = page.body.replace("&#x2f;", "/");
    assert!(html.contains("<a href=\"/api/auth/openapi.json\">"), "{html}");
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(!html.contains("<script") && !html.contains("src=") && !html.contains(" style="), "nothing from elsewhere");
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = format!("style-src 'sha256-{}'", STANDARD.encode(Sha256::digest(style)));
    let policy = page.header("content-security-policy");
    assert!(policy.contains(&hash), "examples/common/docs.rs must say {hash}");
    assert!(policy.starts_with("default-src 'none'; "));
    assert!(server.end().success());

    let closed = example.site().with("AUTH_DATABASE_URL", "memory:");
    let server = closed.start();
    assert_eq!(closed.call("GET", "/docs").send().status, 404);
    assert!(server.end().success());
}

fn without_a_file_accounts_live_in_memory_and_mails_on_the_console(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:").with("AUTH_MAIL", "console");
    let server = site.start();
    assert_eq!(server.greeting[1..4], ["Database  memory:", "Key       auth.key", "Mails     console"]);
    assert_eq!(site.sign_up("ada@example.org").status, 201);
    let printed =
        eventually("the mail", || Some(server.printed.lock().unwrap().clone()).filter(|all| all.contains("http")));
    assert!(printed.contains("--- To: ada@example.org\n"), "{printed}");
    let query = link(&printed).split_once('?').unwrap().1.to_owned();
    assert_eq!(site.call("GET", &format!("/api/auth/verify-account/?{query}")).send().status, 200);
    assert_eq!(site.log_in("ada@example.org").status, 200);
    assert!(!site.path("auth.db").exists());
    assert!(server.end().success());
}

fn cross_site_pages_cannot_log_anybody_in_or_out(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:");
    let server = site.start();
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    for path in ["/api/auth/login/", "/api/auth/logout/", "/api/auth/signup/"] {
        let foreign = site.call("POST", path).json(&login).header("Origin", "https://evil.example").send();
        assert_eq!((foreign.status, foreign.json()["code"].as_str()), (403, Some("cross_origin")), "{path}");
        let own = format!("http://{}", site.address);
        assert_ne!(site.call("POST", path).json(&login).header("Origin", &own).send().status, 403, "{path}");
    }
    assert!(server.end().success());
}

fn a_mebibyte_of_cookies_is_refused_and_the_server_lives_on(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:");
    let server = site.start();
    let cookies = format!("access_token={}", "x".repeat(1 << 20));
    for path in ["/api/auth/me/", "/api/auth/refresh/", "/api/hello", "/"] {
        let answer = site.call("GET", path).header("Cookie", &cookies).try_send();
        assert!(answer.is_none_or(|answer| answer.status == 431), "{path}");
        assert_eq!(site.call("GET", "/").send().status, 200);
    }
    let many = "access_token=x; ".repeat(2000);
    assert_eq!(site.call("GET", "/api/hello").header("Cookie", &many).send().status, 401);
    assert!(server.end().success());
}

fn the_end_sends_what_waits_and_waits_for_no_slow_client(example: Example) {
    let site = example.site();
    let server = site.start();
    // Never ends its request.
    let mut slow = TcpStream::connect(site.address).unwrap();
    slow.write_all(b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    for number in 0..5 {
        assert_eq!(site.sign_up(&format!("user{number}@example.org")).status, 201);
    }
    let start = SystemClock.monotonic();
    assert_eq!(server.end().code(), Some(0));
    assert!(SystemClock.monotonic() - start < Duration::from_secs(9));
    let mut mails = site.mails();
    assert_eq!(mails.len(), 5);
    mails.sort();
    mails.dedup();
    assert_eq!(mails.len(), 5);
    // None of them goes out a second time.
    let server = site.start();
    assert_eq!(site.sign_up("last@example.org").status, 201);
    site.mail("last@example.org");
    assert_eq!(site.mails().len(), 6);
    assert!(server.end().success());
}
