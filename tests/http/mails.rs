//! What a client sends reaches one recipient, no header and no markup of a mail, and no request says where links lead.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_system::Auth;
use auth_system::auth_core::port::MailError;
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock};
use auth_system::mail::{RenderedMail, Transport};
use auth_system::store::MemoryStore;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{Answer, Call, Jar, Link, PASSWORD, call, config, get, post};

/// Keeps mails as they would go out.
#[derive(Clone, Default)]
struct Postbox(Arc<Mutex<Vec<Sent>>>);

#[derive(Clone, Debug)]
struct Sent {
    to: String,
    subject: String,
    text: String,
    html: String,
}

#[async_trait]
impl Transport for Postbox {
    async fn deliver(&self, mail: &RenderedMail) -> Result<(), MailError> {
        let [subject, text, html] = [&mail.subject, &mail.text, &mail.html].map(Clone::clone);
        self.0.lock().unwrap().push(Sent { to: mail.to.to_string(), subject, text, html });
        Ok(())
    }
}

struct Office {
    auth: Auth,
    post: Postbox,
    /// Sent with every request.
    headers: Vec<(&'static str, &'static str)>,
}

impl Office {
    fn new(headers: Vec<(&'static str, &'static str)>) -> Self {
        let (clock, post) = (ManualClock::new(), Postbox::default());
        let mut config = config();
        config.policy.usernames = true;
        let auth = Auth::builder(config).store(MemoryStore::new(Arc::new(clock.clone()))).mail(post.clone());
        let auth = auth.clock(clock).hasher(InsecurePlainHasher::default()).without_workers().build().unwrap();
        Self { auth, post, headers }
    }

    async fn send(&self, call: Call) -> Answer {
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let mut request = Request::builder().method(call.method).uri(call.path).body(Full::new(call.body)).unwrap();
        *request.headers_mut() = call.headers;
        let response = self.auth.respond(request, call.peer).await;
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.into_body().into_bytes().unwrap(),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(post(path).json(body)).await
    }

    async fn mails(&self) -> Vec<Sent> {
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        std::mem::take(&mut *self.post.0.lock().unwrap())
    }

    /// The one mail with a link to this page.
    async fn link(&self, page: &str) -> Link {
        let base = format!("https://app.example.org/{page}?uid=");
        let mails = self.mails().await;
        let link = mails.iter().find_map(|mail| mail.text.split_whitespace().find_map(|word| word.strip_prefix(&base)));
        let (uid, token) = link.unwrap_or_else(|| panic!("no {page} in {mails:?}")).split_once("&token=").unwrap();
        let others = mails.iter().flat_map(|mail| [&mail.text, &mail.html, &mail.subject]);
        assert!(others.clone().all(|part| !part.contains("evil")), "{mails:?}");
        let urls = others.flat_map(|part| part.split("http").skip(1)).filter(|url| url.starts_with([':', 's']));
        let urls = urls.map(|url| url.replace("&#x2f;", "/"));
        assert!(urls.into_iter().all(|url| url.starts_with("s://app.example.org")), "{mails:?}");
        Link { uid: uid.into(), token: token.into() }
    }

    async fn session(&self, email: &str) -> Jar {
        let answer = self.post("login/", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.jar()
    }

    async fn account(&self, email: &str, username: &str) -> Jar {
        let body = json!({ "email": email, "password": PASSWORD, "username": username });
        assert_eq!(self.post("signup/", body).await.status, 201);
        let link = self.link("verify-account").await;
        assert_eq!(self.send(link.verify()).await.status, 200);
        self.session(email).await
    }
}

#[tokio::test]
async fn all_five_links_lead_where_the_settings_say() {
    let hostile = [
        vec![("host", "evil.example")],
        vec![("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "http")],
        vec![("forwarded", "host=evil.example;proto=http"), ("x-original-host", "evil.example")],
        vec![("x-forwarded-prefix", "/evil"), ("x-original-url", "/evil"), ("x-rewrite-url", "/evil")],
        vec![
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
            ("referer", "https://evil.example/"),
        ],
    ];
    for headers in hostile {
        let office = Office::new(headers);
        let jar = office.account("ada@example.org", "ada").await;
        office.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        let reset = office.link("password-reset-confirm").await;
        assert_eq!(office.send(reset.set_password(PASSWORD)).await.status, 200);
        office.link("not-me").await;
        assert_eq!(office.send(get("me/").jar(&jar)).await.status, 401);
        let jar = office.session("ada@example.org").await;
        office.send(post("change-email/").jar(&jar).json(json!({ "new_email": "new@example.org" }))).await;
        let change = office.link("verify-email-change").await;
        assert_eq!(office.send(change.change_email(&jar)).await.status, 200);
        office.link("not-me").await;
        // As a proxy would write it.
        let absolute = post("password-reset/").json(json!({ "email": "new@example.org" }));
        let absolute = Call { path: format!("http://evil.example{}", absolute.path), ..absolute };
        assert_eq!(office.send(absolute).await.status, 200);
        office.link("password-reset-confirm").await;
    }
}

/// Texts that would be a header, a second recipient or markup if they got where they do not belong.
const HOSTILE: [&str; 15] = [
    "ada@example.org\r\nBcc: eve@example.net",
    "ada@example.org\nBcc: eve@example.net",
    "ada\r\n@example.org",
    "ada@example.org%0d%0aBcc:eve@example.net",
    "ada@example.org,eve@example.net",
    "ada@example.org;eve@example.net",
    "ada@example.org eve@example.net",
    "Ada <ada@example.org>",
    "<ada@example.org>",
    "\"<script>alert(1)</script>\"@example.org",
    "<script>@example.org",
    "ada@example.org<script>",
    "\"ada\" eve@example.net",
    "ada\u{2028}@example.org",
    "a&lt;b@example.org",
];

#[tokio::test]
async fn nothing_hostile_in_an_address_reaches_a_mail() {
    let office = Office::new(vec![]);
    let jar = office.account("owner@example.org", "owner").await;
    for (number, email) in HOSTILE.into_iter().enumerate() {
        let requests = [
            ("signup/", json!({ "email": email, "password": PASSWORD, "username": format!("u{number}") })),
            ("password-reset/", json!({ "email": email })),
            ("resend-verification/", json!({ "email": email })),
            ("change-email/", json!({ "new_email": email, "password": PASSWORD })),
        ];
        for (path, body) in requests {
            let answer = office.send(post(path).jar(&jar).json(body)).await;
            answer.refused(400, "invalid_fields");
        }
        assert!(office.mails().await.is_empty(), "{email:?}");
    }
    // What an address may hold is text wherever it is shown, and still one recipient.
    for (number, email) in ["o'hara&co@example.org", "{{product}}@example.org"].into_iter().enumerate() {
        let body = json!({ "email": email, "password": PASSWORD, "username": format!("v{number}") });
        assert_eq!(office.post("signup/", body).await.status, 201);
        office.send(post("change-email/").jar(&jar).json(json!({ "new_email": format!("new{email}") }))).await;
        let mails = office.mails().await;
        assert_eq!(mails.len(), 2, "{mails:?}");
        for (mail, to) in mails.iter().zip([email.to_owned(), format!("new{email}")]) {
            assert_eq!(mail.to, to);
            assert!(!mail.html.contains(email), "not escaped: {}", mail.html);
            assert!(!mail.text.contains("AuthSystem@"), "an address is no template: {}", mail.text);
        }
    }
}

#[tokio::test]
async fn nothing_hostile_in_a_name_reaches_a_mail() {
    let names = ["<script>alert(1)</script>", "Ada\r\nBcc: eve@example.net", "\"Ada\" <eve@example.net>", "{{ link }}"];
    for (number, name) in names.into_iter().enumerate() {
        let office = Office::new(vec![]);
        let username = json!({ "email": "x@example.org", "password": PASSWORD, "username": name });
        office.post("signup/", username).await.refused(400, "invalid_fields");
        let body = json!({
            "email": "ada@example.org", "password": PASSWORD, "username": "ada", "first_name": name, "last_name": name,
        });
        assert_eq!(office.post("signup/", body).await.status, 201);
        let mut mails = office.mails().await;
        let link = mails[0].text.split_once("?uid=").unwrap().1.split_whitespace().next().unwrap().to_owned();
        assert_eq!(office.send(get(&format!("verify-account/?uid={link}"))).await.status, 200);
        let jar = office.session("ada@example.org").await;
        let named = call(Method::PATCH, "me/").jar(&jar).json(json!({ "first_name": name }));
        assert_eq!(
            office.send(named).await.json()["attributes"]["first_name"],
            name,
            "kept as it came, number {number}"
        );
        office.post("password-reset/", json!({ "email": "ada@example.org" })).await;
        mails.extend(office.mails().await);
        office.send(post("change-email/").jar(&jar).json(json!({ "new_email": "new@example.org" }))).await;
        mails.extend(office.mails().await);
        let change = json!({ "old_password": PASSWORD, "new_password": "another password" });
        office.send(post("change-password/").jar(&jar).json(change)).await;
        mails.extend(office.mails().await);
        assert_eq!(mails.len(), 4, "{mails:?}");
        for mail in mails {
            for part in [&mail.to, &mail.subject, &mail.text, &mail.html] {
                assert!(!["<script>alert", "eve@", "Bcc"].iter().any(|bad| part.contains(bad)), "{part}");
            }
            assert!(
                !mail.subject.contains(['\r', '\n']) && ["ada@example.org", "new@example.org"].contains(&&*mail.to)
            );
        }
    }
}
