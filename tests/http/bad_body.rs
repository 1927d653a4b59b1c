//! Bodies that are broken, of another type, too long or cut off: refused before any field is looked at.

use auth_system::auth_core::port::MailPurpose;
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde_json::json;

use crate::scenarios;
use crate::world::{Call, Ground, PASSWORD, World, call, post};

scenarios![
    broken_json_is_refused_on_every_endpoint,
    json_of_another_type_is_named,
    an_empty_body_has_no_fields,
    types_that_are_not_read_are_named_back,
    parameters_and_case_of_a_known_type_do_not_matter,
    a_body_ends_at_64_kibibytes,
    a_claimed_length_is_not_believed,
    a_body_that_ends_early_changes_nothing,
    endpoints_without_fields_ignore_every_body,
];

const READERS: [&str; 13] = [
    "signup/",
    "resend-verification/",
    "login/",
    "password-reset/",
    "password-reset-confirm/",
    "not-me/",
    "verify-account/",
    "change-email-confirm/",
    "me/",
    "reauthenticate/",
    "change-email/",
    "change-password/",
    "deactivate-account/",
];
const LIMIT: usize = 64 * 1024;

/// A request that succeeds with this body.
#[derive(Clone)]
struct Reader {
    call: Call,
    body: String,
}

impl Reader {
    fn send(&self, content_type: &str, body: impl Into<Bytes>) -> Call {
        self.call.clone().body(content_type, body)
    }
}

/// One for each of [`READERS`], in sessions of their own.
async fn good_ones(world: &World) -> Vec<Reader> {
    world.account("ada@example.org").await;
    world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
    let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
    world.account("not-me@example.org").await;
    let jar = world.session("not-me@example.org").await;
    world.change_password(&jar, PASSWORD, PASSWORD).await;
    let notice = world.link("not-me@example.org", MailPurpose::PasswordChanged).await;
    world.account("moving@example.org").await;
    let change = world.change_email_link(&world.session("moving@example.org").await, "target@example.org").await;
    let body = json!({
        "email": "waiting@example.org", "password": PASSWORD, "username": "waiting", "confirm_password": PASSWORD,
    });
    world.send(post("signup/").json(body)).await;
    let verify = world.link("waiting@example.org", MailPurpose::VerifyEmail).await;
    let address = json!({ "email": "ada@example.org" });
    let bodies = [
        json!({ "email": "new@example.org", "password": PASSWORD, "username": "new", "confirm_password": PASSWORD }),
        address.clone(),
        json!({ "email": "ada@example.org", "password": PASSWORD }),
        address,
        json!({ "uid": link.uid, "token": link.token, "password": PASSWORD, "confirm_password": PASSWORD }),
        json!({ "uid": notice.uid, "token": notice.token }),
        json!({ "uid": verify.uid, "token": verify.token }),
        json!({ "uid": change.uid, "token": change.token, "password": PASSWORD }),
        json!({ "first_name": "Ada" }),
        json!({ "password": PASSWORD }),
        json!({ "new_email": "moved@example.org" }),
        json!({ "old_password": PASSWORD, "new_password": PASSWORD, "confirm_password": PASSWORD }),
        json!({ "password": PASSWORD, "confirm_deactivation": true }),
    ];
    let mut readers = Vec::new();
    for (number, (path, body)) in READERS.into_iter().zip(bodies).enumerate() {
        let mut call = call(if path == "me/" { Method::PATCH } else { Method::POST }, path);
        if number > 7 {
            let email = path.replace('/', "@example.org");
            world.account(&email).await;
            call = call.jar(&world.session(&email).await);
        }
        readers.push(Reader { call, body: body.to_string() });
    }
    world.events.take();
    readers
}

async fn nothing_happened(world: &World) {
    assert_eq!(world.mails().await, []);
    assert_eq!(world.events.take(), []);
}

async fn all_good_ones_still_work(world: &World, readers: Vec<Reader>) {
    for reader in readers {
        let answer = world.send(reader.send("application/json", reader.body.clone())).await;
        assert!(answer.status.is_success(), "{} {answer:?}", reader.call.path);
    }
}

async fn broken_json_is_refused_on_every_endpoint(ground: Ground) {
    for (django, world) in [(false, ground.world().await), (true, ground.django().await)] {
        let good = good_ones(&world).await;
        for reader in &good {
            let (path, good) = (&reader.call.path, &reader.body);
            let open = &good[..good.len() - 1];
            let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let deep =
                |open: &str, close: &str, inner: &str| format!("{}{inner}{}", open.repeat(6000), close.repeat(6000));
            let mut broken: Vec<Vec<u8>> =
                (1..good.len()).step_by(7).map(|end| good.as_bytes()[..end].to_vec()).collect();
            broken.extend([
                utf16,
                b"\xef\xbb\xbf{}".to_vec(),
                b"{\"email\":\"\xff\"}".to_vec(),
                b"\xff\xfe\x00".to_vec(),
            ]);
            broken.extend(
                [
                    &format!("{good}{good}"),
                    &format!("{good}]"),
                    &format!("{good}\0"),
                    &format!("{open},}}"),
                    &format!("{open},\"x\":\"\\ud800\"}}"),
                    &format!("{open},\"x\":\"\\udc00\\ud800\"}}"),
                    &format!("{open},\"\\ud800\":1}}"),
                    &format!("{open},\"x\":\"\n\"}}"),
                    &format!("{open},\"x\":\"\\x41\"}}"),
                    &format!("{open},\"x\":01}}"),
                    &format!("{open},\"x\":1e999}}"),
                    &format!("{open},\"x\":NaN}}"),
                    &format!("{open},\"x\":Infinity}}"),
                    &format!("{open},x:1}}"),
                    &format!("{open},7:1}}"),
                    &format!("{open}/**/}}"),
                    &format!("{open},\"x\":{}}}", deep("[", "]", "")),
                    &format!("{open},\"x\":{}}}", deep("{\"x\":", "}", "1")),
                    &deep("[", "", ""),
                    &deep("{\"x\":", "}", "1"),
                    "email=ada%40example.org",
                    "'x'",
                    " ",
                    "\0",
                    "nul",
                    "--",
                ]
                .map(|text| text.as_bytes().to_vec()),
            );
            for body in broken {
                let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
                let answer = world.send(reader.send("application/json", body)).await;
                answer.refused(400, "malformed_json");
                let body = answer.json();
                let detail = body["detail"].as_str().unwrap();
                assert!(detail.starts_with("JSON parse error - line "), "{path} {shown} {detail}");
                assert_eq!(django, body == json!({ "detail": detail, "code": "malformed_json" }));
            }
            let brackets = reader.send("application/json", "[".repeat(100_000));
            world.send(brackets).await.refused(413, "body_too_large");
        }
        nothing_happened(&world).await;
        all_good_ones_still_work(&world, good).await;
    }
}

async fn json_of_another_type_is_named(ground: Ground) {
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let cases = [
        ("[]", "an array", "list"),
        (r#"[{"email":"ada@example.org"}]"#, "an array", "list"),
        (&deep, "an array", "list"),
        ("\"x\"", "a string", "str"),
        ("\"\"", "a string", "str"),
        ("7", "a number", "int"),
        ("-7", "a number", "int"),
        ("18446744073709551616", "a number", "float"),
        ("1.5", "a number", "float"),
        ("true", "a boolean", "bool"),
        ("false", "a boolean", "bool"),
        (" null ", "null", "NoneType"),
    ];
    for (django, world) in [(false, ground.world().await), (true, ground.django().await)] {
        let good = good_ones(&world).await;
        for reader in &good {
            for (body, kind, in_python) in cases {
                let answer = world.send(reader.send("application/json", body.to_owned())).await;
                answer.refused(400, "not_an_object");
                if django {
                    let detail = format!("Invalid data. Expected a dictionary, but got {in_python}.");
                    let expected = json!({ "non_field_errors": [detail], "code": "not_an_object" });
                    assert_eq!(answer.json(), expected);
                } else {
                    let detail = format!("The body must be a JSON object, not {kind}.");
                    assert_eq!(answer.json()["detail"], detail);
                }
            }
        }
        nothing_happened(&world).await;
        all_good_ones_still_work(&world, good).await;
    }
}

async fn an_empty_body_has_no_fields(ground: Ground) {
    let world = ground.world().await;
    let good = good_ones(&world).await;
    // Nothing to change is a good request for a change of the profile.
    for (path, reader) in READERS.into_iter().zip(&good).filter(|(path, _)| *path != "me/") {
        let links = ["password-reset-confirm/", "not-me/", "verify-account/", "change-email-confirm/"];
        let code = if links.contains(&path) { "link_incomplete" } else { "invalid_fields" };
        for empty in [
            reader.call.clone(),
            reader.send("application/json", ""),
            reader.send("application/json", "{}"),
            reader.send("application/x-www-form-urlencoded", ""),
            reader.send("application/x-www-form-urlencoded", "&&=&=x&%00"),
        ] {
            world.send(empty).await.refused(400, code);
        }
    }
    nothing_happened(&world).await;
    all_good_ones_still_work(&world, good).await;
}

async fn types_that_are_not_read_are_named_back(ground: Ground) {
    let boundary = "multipart/form-data; boundary=x";
    let types = [
        "text/plain",
        "text/plain;charset=UTF-8",
        boundary,
        "application/octet-stream",
        "application/problem+json",
        "application/jsonx",
        "application/json, text/plain",
        "application /json",
        "json",
        "*/*",
        "",
        ";",
    ];
    for (django, world) in [(false, ground.world().await), (true, ground.django().await)] {
        let good = good_ones(&world).await;
        for reader in &good {
            let body = &reader.body;
            for name in types {
                let answer = world.send(reader.send(name, body.clone())).await;
                answer.refused(415, "unsupported_media_type");
                let detail = format!("Unsupported media type \"{name}\" in request.");
                assert_eq!(answer.json()["detail"], detail);
                assert_eq!(django, answer.json() == json!({ "detail": detail, "code": "unsupported_media_type" }));
            }
            let mut unnamed = reader.call.clone();
            unnamed.body = body.clone().into();
            let answer = world.send(unnamed.clone()).await;
            answer.refused(415, "unsupported_media_type");
            assert_eq!(answer.json()["detail"], "Unsupported media type \"\" in request.");
            let no_text = HeaderValue::from_bytes(b"application/json;\xff").unwrap();
            unnamed.headers.insert("content-type", no_text);
            world.send(unnamed).await.refused(415, "unsupported_media_type");
            let long = format!("text/{}", "x".repeat(9000));
            let answer = world.send(reader.send(&long, body.clone())).await;
            assert!(answer.refused(415, "unsupported_media_type").body.len() < 400, "the answer does not grow with it");
        }
        nothing_happened(&world).await;
        all_good_ones_still_work(&world, good).await;
    }
}

async fn parameters_and_case_of_a_known_type_do_not_matter(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD }).to_string();
    for name in
        ["APPLICATION/JSON", "application/json;", "application/json ; charset=\"utf-8\"; x=y", " application/json"]
    {
        assert_eq!(world.send(post("login/").body(name, body.clone())).await.status, 200, "{name}");
    }
    // Bodies are UTF-8 whatever a client calls them.
    assert_eq!(world.send(post("login/").body("application/json; charset=utf-16", body)).await.status, 200);
    let form = format!("email=ada@example.org&password={}", PASSWORD.replace(' ', "%20"));
    for name in ["application/x-www-form-urlencoded;charset=ISO-8859-1", "Application/X-WWW-Form-Urlencoded"] {
        assert_eq!(world.send(post("login/").body(name, form.clone())).await.status, 200, "{name}");
    }
}

async fn a_body_ends_at_64_kibibytes(ground: Ground) {
    let world = ground.world().await;
    let good = good_ones(&world).await;
    let form = format!("email=ada@example.org&password={}&x=", PASSWORD.replace(' ', "+"));
    let padded = |body: &str, length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    for reader in &good {
        for length in [LIMIT + 1, 1024 * 1024] {
            for name in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
                let answer = world.send(reader.send(name, padded(&reader.body, length))).await;
                answer.refused(413, "body_too_large");
            }
        }
    }
    nothing_happened(&world).await;
    let full = |reader: Reader| Reader { body: padded(&reader.body, LIMIT), ..reader };
    all_good_ones_still_work(&world, good.into_iter().map(full).collect()).await;
    let call = |length| post("login/").body("application/x-www-form-urlencoded", padded(&form, length));
    assert_eq!(world.send(call(LIMIT)).await.status, 200);
    world.send(call(LIMIT + 1)).await.refused(413, "body_too_large");
}

async fn a_claimed_length_is_not_believed(ground: Ground) {
    let world = ground.world().await;
    let good = good_ones(&world).await;
    for reader in &good {
        let long = || reader.send("application/json", format!("{}{}", reader.body, " ".repeat(LIMIT)));
        for claim in ["0", "10", "-1", "x", "", "18446744073709551616", "1e9"] {
            world.send(long().header("content-length", claim)).await.refused(413, "body_too_large");
        }
        for claim in ["65537", "18446744073709551615"] {
            let short = reader.send("application/json", reader.body.clone()).header("content-length", claim);
            world.send(short).await.refused(413, "body_too_large");
        }
    }
    nothing_happened(&world).await;
    for claim in ["0", "65536", "x"] {
        let body = json!({ "email": "ada@example.org", "password": PASSWORD });
        let answer = world.send(post("login/").json(body).header("content-length", claim)).await;
        assert_eq!(answer.status, 200, "{claim}");
    }
}

async fn a_body_that_ends_early_changes_nothing(ground: Ground) {
    let world = ground.world().await;
    let good = good_ones(&world).await;
    for reader in &good {
        let body = &reader.body;
        for sent in ["", &body[..9], body] {
            let mut call = reader.send("application/json", "");
            (call.body, call.breaks_off) = (sent.to_owned().into(), true);
            world.send(call).await.refused(400, "body_incomplete");
        }
    }
    nothing_happened(&world).await;
    all_good_ones_still_work(&world, good).await;
}

async fn endpoints_without_fields_ignore_every_body(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let bodies = [("application/json", "{".to_owned()), ("text/plain", "x".repeat(1024 * 1024)), ("", "\0".to_owned())];
    for (name, body) in &bodies {
        for path in ["refresh/", "logout/"] {
            let jar = world.session("ada@example.org").await;
            assert_eq!(world.send(post(path).body(name, body.clone()).jar(&jar)).await.status, 200, "{path} {name}");
        }
    }
}
