//! Two hosts of one domain in a real browser's cookie jar: a page on one of them cannot swap the session of the other.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::driver::{Driver, Page};
use super::{ADA, PASSWORD};
use crate::server::{Example, Site, link};

const EVE: &str = "eve@example.org";
const DOMAIN: &str = "site.localhost";

/// A site whose front-end is `app.site.localhost`, with two accounts.
fn site(secure: bool) -> Site {
    let site = Example::Axum.site();
    let frontend = format!("http://app.{DOMAIN}:{}", site.address.port());
    site.with("AUTH_FRONTEND_URL", &frontend).with("AUTH_COOKIE_SECURE", &secure.to_string())
}

fn verified(site: &Site, email: &str) {
    assert_eq!(site.sign_up(email).status, 201);
    let link = link(&site.mail(email));
    let (_, query) = link.split_once('?').unwrap();
    assert_eq!(site.call("GET", &format!("/api/auth/verify-account/?{query}")).send().status, 200);
}

/// Calls an endpoint from the page that is open.
async fn call(page: &Page, method: &str, path: &str, body: &Value) -> (u64, Value) {
    let body = if method == "GET" { String::new() } else { format!(", body: JSON.stringify({body})") };
    let script = format!(
        "return fetch('/api/auth/{path}', {{ method: '{method}', headers: {{ 'content-type': 'application/json' }}{body} }})
            .then(async (answer) => ({{ status: answer.status, body: await answer.json() }}))"
    );
    let answer = page.script(&script).await;
    (answer["status"].as_u64().unwrap(), answer["body"].clone())
}

async fn me(page: &Page) -> (u64, Option<String>) {
    let (status, body) = call(page, "GET", "me/", &json!({})).await;
    (status, body["email"].as_str().map(str::to_owned))
}

/// One cookie that reaches the sibling from the whole domain, and is sent beside the sibling's own.
const ONE: [&str; 1] = ["; Domain=site.localhost; Path=/"];

/// Every way in which a page may try to set a cookie for its sibling.
fn every_way() -> Vec<String> {
    let domains = ["; Domain=site.localhost", "; Domain=app.site.localhost", ""];
    let paths = ["/", "/api", "/api/auth", "/api/auth/me/", "/api/auth/refresh/"];
    let ways = domains.into_iter().flat_map(|domain| paths.map(|path| format!("{domain}; Path={path}")));
    ways.flat_map(|way| [way.clone(), way + "; Secure"]).collect()
}

/// Sets the attacker's tokens from a page of `evil.site.localhost`, under plain names and with the prefix.
async fn toss(page: &Page, site: &Site, tokens: &BTreeMap<String, String>, ways: &[impl AsRef<str>]) {
    page.open(&format!("http://evil.{DOMAIN}:{}/", site.address.port())).await;
    for (name, value) in tokens {
        let plain = name.trim_start_matches("__Host-");
        for name in [plain.to_owned(), format!("__Host-{plain}")] {
            for way in ways {
                let cookie = json!(format!("{name}={value}{}", way.as_ref()));
                page.script(&format!("document.cookie = {cookie}")).await;
            }
        }
    }
}

/// A browser in which Ada is logged in at `app.site.localhost` and Eve's tokens were tossed by its sibling.
async fn tossed(
    driver: &Driver,
    site: &Site,
    name: &str,
    ways: &[impl AsRef<str>],
) -> (Page, BTreeMap<String, String>) {
    for email in [ADA, EVE] {
        verified(site, email);
    }
    let page = Page::new(driver, site, name).await;
    let home = format!("http://app.{DOMAIN}:{}/", site.address.port());
    page.open(&home).await;
    let login = json!({ "email": ADA, "password": PASSWORD });
    assert_eq!(call(&page, "POST", "login/", &login).await.0, 200);
    assert_eq!(me(&page).await, (200, Some(ADA.to_owned())));
    let mut tokens = site.log_in(EVE).jar();
    tokens.retain(|name, _| !name.ends_with("known_device"));
    assert_eq!(tokens.len(), 2);
    toss(&page, site, &tokens, ways).await;
    page.open(&home).await;
    (page, tokens)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn a_sibling_host_cannot_set_a_host_cookie_and_its_others_do_not_count() {
    let site = site(true);
    let server = site.start();
    let driver = Driver::start();
    let (page, tokens) = tossed(&driver, &site, "siblings", &every_way()).await;
    let kept = page.cookies().await;
    for (name, value) in &tokens {
        let plain = name.trim_start_matches("__Host-");
        assert_eq!(*name, format!("__Host-{plain}"));
        let ours: Vec<_> = kept.iter().filter(|(kept, _)| kept == name).collect();
        assert!(ours.len() == 1 && ours[0].1 != *value, "{name}: {kept:?}");
        assert!(kept.contains(&(plain.to_owned(), value.clone())), "the sibling can set {plain}: {kept:?}");
    }
    assert_eq!(me(&page).await, (200, Some(ADA.to_owned())));
    assert_eq!(call(&page, "POST", "refresh/", &json!({})).await.0, 200);
    assert_eq!(me(&page).await, (200, Some(ADA.to_owned())));
    page.close().await;
    assert!(server.end().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver: ./tests/run installs them and runs it"]
async fn plain_cookies_tossed_by_a_sibling_host_never_swap_the_session() {
    let site = site(false);
    let server = site.start();
    let driver = Driver::start();
    let (page, tokens) = tossed(&driver, &site, "siblings-plain", &ONE).await;
    let before = page.cookies().await;
    for _ in 0..2 {
        assert_eq!(me(&page).await, (401, None));
        assert_eq!(call(&page, "POST", "refresh/", &json!({})).await.0, 401);
    }
    // Cleared would be Ada's alone, and Eve's would then count.
    assert_eq!(page.cookies().await, before);
    for (name, value) in &tokens {
        assert!(before.iter().any(|(kept, held)| kept == name && held != value), "{name}: {before:?}");
    }
    // A new login is no way out as long as the sibling's cookies are there, and no way in for Eve.
    let login = json!({ "email": ADA, "password": PASSWORD });
    assert_eq!(call(&page, "POST", "login/", &login).await.0, 200);
    assert_eq!(me(&page).await, (401, None));
    page.close().await;
    assert!(server.end().success());
}
