//! Fields that are missing, no texts, blank, too long, repeated: each is told by its name, and nothing happens.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use auth_system::auth_core::port::UserKey;
use auth_system::auth_core::types::{Email as Address, TenantId};
use http::Method;
use serde_json::{Value, json};

use crate::scenarios;
use crate::world::{Answer, Authenticator, Call, Ground, Jar, Link, PASSWORD, World, call, post};

scenarios![
    each_wrong_field_is_told_and_no_other,
    django_tells_each_wrong_field_in_its_own_words,
    a_form_is_judged_like_json,
    a_field_that_comes_twice_is_refused_whatever_it_holds,
    what_is_no_link_is_told_apart_from_a_wrong_one,
    what_a_query_says_is_no_field_of_a_body,
    white_space_and_case_around_an_address_do_not_matter,
    what_is_no_link_takes_nothing_back_and_moves_nobody,
    a_guess_at_a_password_is_counted_and_a_broken_one_is_not,
];

/// What a field is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Email,
    Username,
    Password,
    NewPassword,
    Confirmation,
    Attribute,
    /// A password that may be left out.
    MaybePassword,
    /// An attribute that `null` takes away.
    Nullable,
    /// `true`.
    Flag,
    /// At least six characters and at most so many, or a number.
    Code(usize),
    Uuid,
}

use Kind::{
    Attribute, Code, Confirmation, Email, Flag, MaybePassword, NewPassword, Nullable, Password, Username, Uuid,
};

/// Every body that is read, without the two parts of links.
const FORMS: [(&str, &[(&str, Kind)]); 16] = [
    (
        "signup/",
        &[
            ("email", Email),
            ("password", NewPassword),
            ("confirm_password", Confirmation),
            ("username", Username),
            ("first_name", Attribute),
            ("last_name", Attribute),
        ],
    ),
    ("resend-verification/", &[("email", Email)]),
    ("login/", &[("email", Email), ("password", Password)]),
    ("password-reset/", &[("email", Email)]),
    ("password-reset-confirm/", &[("password", NewPassword), ("confirm_password", Confirmation)]),
    ("me/", &[("first_name", Nullable), ("last_name", Nullable)]),
    ("reauthenticate/", &[("password", Password)]),
    ("change-email/", &[("new_email", Email), ("password", MaybePassword)]),
    (
        "change-password/",
        &[("old_password", Password), ("new_password", NewPassword), ("confirm_password", Confirmation)],
    ),
    ("deactivate-account/", &[("password", Password), ("confirm_deactivation", Flag)]),
    ("2fa/setup/", &[("password", MaybePassword)]),
    ("2fa/enable/", &[("code", Code(6))]),
    ("2fa/disable/", &[("password", Password), ("code", Code(6))]),
    ("2fa/replace/", &[("code", Code(6)), ("current_code", Code(6))]),
    ("2fa/verify-login/", &[("session_token", Uuid), ("code", Code(8))]),
    ("2fa/backup-codes/", &[("password", Password)]),
];

/// Values that are wrong in any field of a kind, with the code for each. `None`: the field is left out.
fn wrong(kind: Kind, django: bool) -> Vec<(Option<Value>, &'static str)> {
    if kind == Flag {
        let values = [json!(null), json!(""), json!("True"), json!("a\0"), json!(false), json!(1), json!([true])];
        let values = values.into_iter().map(|value| (Some(value), "not_confirmed"));
        return values.chain([(None, "required")]).collect();
    }
    let mut wrong = vec![(Some(json!("a\0@example.org")), "null_character")];
    if kind != Nullable {
        wrong.push((Some(Value::Null), "null"));
    }
    for no_text in [json!(7), json!(-1.5), json!(true), json!([]), json!(["ada@example.org"]), json!({ "$ne": "" })] {
        // A whole number is the code that it has lost the leading zeros of.
        if !(matches!(kind, Code(_)) && no_text.is_u64()) {
            let number = matches!(kind, Code(_)) && no_text.is_number();
            wrong.push((Some(no_text), if number { "malformed_code" } else { "not_a_string" }));
        }
    }
    let optional = matches!(kind, Attribute | Nullable);
    if !optional && kind != MaybePassword && (kind != Confirmation || django) {
        wrong.push((None, "required"));
    }
    if !optional {
        wrong.push((Some(json!("")), "blank"));
    }
    let texts: &[(&str, &str)] = match kind {
        Email => &[
            ("  ", "blank"),
            ("\t\r\n\u{a0}", "blank"),
            ("ada", "invalid_email"),
            ("ada\u{7}@example.org", "invalid_email"),
            ("ada@example.org\r\nBcc: eve@example.org", "invalid_email"),
            ("ada@example.org, eve@example.org", "invalid_email"),
            ("\u{202e}ada@example.org", "invalid_email"),
        ],
        Username => &[(" ", "blank"), ("a\u{7}b", "invalid_username"), ("ada@example.org", "invalid_username")],
        NewPassword if django => &[("83749261", "password_entirely_numeric")],
        NewPassword => &[
            ("       ", "password_too_short"),
            ("\u{7}", "password_too_short"),
            ("12345678", "password_too_common"),
            ("Password", "password_too_common"),
            ("AUTHSYSTEM-1", "password_too_similar"),
        ],
        Code(6) => {
            &[("12345", "too_short"), ("1234567", "too_long"), (" 12345 ", "too_short"), ("abcdef", "malformed_code")]
        }
        Code(_) => &[("12345", "too_short"), ("A-B-C-D-E-F-G-H-IJ", "too_long"), ("ABCD2340", "malformed_code")],
        Uuid => &[
            (" ", "invalid_uuid"),
            ("7d444840-9dc0-41d1-b245-5ffdce74fad", "invalid_uuid"),
            ("{7d444840-9dc0-41d1-b245-5ffdce74fad2}", "invalid_uuid"),
            ("urn:uuid:7d444840-9dc0-41d1-b245-5ffdce74fad2", "invalid_uuid"),
            (" 7d444840-9dc0-41d1-b245-5ffdce74fad2", "invalid_uuid"),
            ("7d4448409dc041d1b2455ffdce74fad\u{1d7da}", "invalid_uuid"),
        ],
        _ => &[],
    };
    wrong.extend(texts.iter().map(|(text, code)| (Some(json!(text)), *code)));
    let long = match kind {
        Email => format!("ada@{}example.org", "sub.".repeat(61)),
        Username | Attribute | Nullable => "x".repeat(151),
        Password | MaybePassword => "x".repeat(1025),
        NewPassword => "x".repeat(257),
        Code(most) => "1".repeat(most + 1),
        Confirmation | Flag | Uuid => return wrong,
    };
    wrong.push((Some(json!(long)), "too_long"));
    wrong.push((Some(json!("\u{1d54f}".repeat(2_000))), "too_long"));
    wrong
}

/// What the Django profile says for a code.
fn words(code: &str, kind: Kind) -> String {
    let limit = match kind {
        Email => 254,
        Username | Attribute | Nullable => 150,
        Password | MaybePassword => 1024,
        NewPassword | Confirmation | Flag | Uuid => 256,
        Code(most) => most,
    };
    match code {
        "required" => "This field is required.".into(),
        "null" => "This field may not be null.".into(),
        "not_confirmed" => "This has to be confirmed.".into(),
        "blank" => "This field may not be blank.".into(),
        "not_a_string" => "Not a valid string.".into(),
        "malformed_code" => {
            "Enter the six digits that your authenticator shows, or a backup code of eight letters and digits.".into()
        }
        "null_character" => "Null characters are not allowed.".into(),
        "invalid_email" => "Enter a valid email address.".into(),
        "invalid_username" => "Enter a valid username: unaccented letters a to z, digits and _ . + - only.".into(),
        "too_long" => format!("Ensure this field has no more than {limit} characters."),
        "too_short" => "Ensure this field has at least 6 characters.".into(),
        "invalid_uuid" => "Must be a valid UUID.".into(),
        "password_too_short" => "This password is too short. It must contain at least 8 characters.".into(),
        "password_entirely_numeric" => "This password is entirely numeric.".into(),
        other => panic!("{other}"),
    }
}

/// A request whose body succeeds, in a session of its own where it needs one.
async fn good(world: &World, path: &str) -> (Call, Value) {
    let (method, email) = (if path == "me/" { Method::PATCH } else { Method::POST }, path.replace('/', "@example.org"));
    let call = call(method, path);
    if path.starts_with("2fa/") {
        return good_second_factor(world, call, path).await;
    }
    if !["me/", "reauthenticate/", "change-email/", "change-password/", "deactivate-account/"].contains(&path) {
        return (call, good_body(world, path).await);
    }
    world.account(&email).await;
    (call.jar(&world.session(&email).await), good_body(world, path).await)
}

/// With an account of its own, which has a second factor where one is needed.
async fn good_second_factor(world: &World, call: Call, path: &str) -> (Call, Value) {
    let email = format!("{}@example.org", path.replace('/', "-"));
    if matches!(path, "2fa/setup/" | "2fa/enable/") {
        world.account(&email).await;
        let jar = world.session(&email).await;
        if path == "2fa/setup/" {
            return (call.jar(&jar), json!({ "password": PASSWORD }));
        }
        let code = Authenticator::set_up(world, &jar).await.code(world);
        return (call.jar(&jar), json!({ "code": code }));
    }
    let (jar, authenticator) = Authenticator::enrolled(world, &email).await;
    world.advance(Duration::from_secs(30));
    match path {
        "2fa/verify-login/" => {
            let token = world.log_in(&email, PASSWORD).await.json()["session_token"].clone();
            (call, json!({ "session_token": token, "code": authenticator.code(world) }))
        }
        "2fa/replace/" => {
            let answer = world.send(post("2fa/setup/").jar(&jar).json(json!({ "replace": true }))).await;
            let secret = answer.json()["secret"].as_str().unwrap().to_owned();
            let new = Authenticator { secret, backup_codes: Vec::new() };
            let body = json!({ "code": new.code(world), "current_code": authenticator.code(world) });
            (call.jar(&jar), body)
        }
        "2fa/disable/" => (call.jar(&jar), json!({ "password": PASSWORD, "code": authenticator.code(world) })),
        _ => (call.jar(&jar), json!({ "password": PASSWORD })),
    }
}

async fn good_body(world: &World, path: &str) -> Value {
    match path {
        "me/" => json!({ "first_name": "Ada", "last_name": "L" }),
        "reauthenticate/" => json!({ "password": PASSWORD }),
        "change-email/" => json!({ "new_email": "moved@example.org", "password": PASSWORD }),
        "change-password/" => json!({
            "old_password": PASSWORD, "new_password": "a new password", "confirm_password": "a new password",
        }),
        "deactivate-account/" => json!({ "password": PASSWORD, "confirm_deactivation": "true" }),
        "signup/" => json!({
            "email": "new@example.org", "password": PASSWORD, "confirm_password": PASSWORD,
            "username": "new", "first_name": "New", "last_name": "",
        }),
        "login/" => json!({ "email": "ada@example.org", "password": PASSWORD }),
        "password-reset-confirm/" => {
            world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
            let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
            json!({ "uid": link.uid, "token": link.token, "password": "a new password", "confirm_password": "a new password" })
        }
        _ => json!({ "email": "ada@example.org" }),
    }
}

/// The good body with one field replaced. A confirmation follows its password where that is a text.
fn spoilt(good: &Value, field: &str, value: Option<&Value>) -> Value {
    let mut body = good.clone();
    let fields = body.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.into(), value.clone()),
        None => fields.remove(field),
    };
    if let ("password" | "new_password", Some(Value::String(text))) = (field, value)
        && good["confirm_password"].is_string()
        && !text.is_empty()
        && !text.contains('\0')
    {
        fields.insert("confirm_password".into(), text.as_str().into());
    }
    body
}

async fn nothing_happened(world: &World) {
    assert_eq!(world.mails().await, []);
    assert_eq!(world.events.take(), []);
}

/// Spoils every field of every form in every way, then sends what is good.
async fn each_wrong_field(world: &World, django: bool, check: impl Fn(&Answer, &str, Kind, &str)) {
    world.account("ada@example.org").await;
    for (path, fields) in FORMS {
        let (call, good) = good(world, path).await;
        nothing_left(world).await;
        for (field, kind) in fields.iter().filter(|(field, _)| django || *field != "username") {
            for (value, code) in wrong(*kind, django) {
                let answer = world.send(call.clone().json(spoilt(&good, field, value.as_ref()))).await;
                assert_eq!(answer.status, 400, "{path} {field} {value:?}");
                check(&answer, field, *kind, code);
            }
        }
        nothing_happened(world).await;
        assert!(world.send(call.json(good)).await.status.is_success(), "{path}");
    }
}

async fn nothing_left(world: &World) {
    world.mails().await;
    world.events.take();
}

async fn each_wrong_field_is_told_and_no_other(ground: Ground) {
    let world = ground.world().await;
    each_wrong_field(&world, false, |answer, field, _, code| {
        answer.refused(400, "invalid_fields");
        let errors = answer.json()["errors"].clone();
        let named: Vec<_> = errors.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((named, answer.field(field)), (vec![field], vec![code.to_owned()]));
        assert!(errors[field][0]["detail"].is_string());
    })
    .await;
}

async fn django_tells_each_wrong_field_in_its_own_words(ground: Ground) {
    let world = ground.django().await;
    each_wrong_field(&world, true, |answer, field, kind, code| {
        let mut expected = json!({ "code": "invalid_fields" });
        expected[field] = json!([words(code, kind)]);
        assert_eq!(answer.json(), expected);
    })
    .await;
}

fn form(body: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in body.as_object().unwrap() {
        form.append_pair(name, value.as_str().unwrap());
    }
    form.finish()
}

fn send_form(call: &Call, body: String) -> Call {
    call.clone().body("application/x-www-form-urlencoded", body)
}

async fn a_form_is_judged_like_json(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for (path, fields) in FORMS {
        let (call, good) = good(&world, path).await;
        nothing_left(&world).await;
        for (field, kind) in fields.iter().filter(|(field, kind)| *field != "username" && *kind != Flag) {
            for (value, code) in wrong(*kind, false) {
                let value = value.filter(|value| value.is_string());
                if value.is_none() && code != "required" {
                    continue;
                }
                let answer = world.send(send_form(&call, form(&spoilt(&good, field, value.as_ref())))).await;
                assert_eq!(answer.refused(400, "invalid_fields").field(field), [code], "{path} {value:?}");
            }
            let rest = form(&spoilt(&good, field, None));
            for no_text in ["%FF%FE%FDxxxxxxxxx", "p%E4ssword%E4", "%ED%A0%80xxxxxxxx", "%C0%80xxxxxxxx"] {
                let answer = world.send(send_form(&call, format!("{rest}&{field}={no_text}"))).await;
                assert_eq!(answer.refused(400, "invalid_fields").field(field), ["not_a_string"], "{path} {no_text}");
            }
        }
        nothing_happened(&world).await;
        assert!(world.send(send_form(&call, form(&good))).await.status.is_success(), "{path}");
    }
}

async fn a_field_that_comes_twice_is_refused_whatever_it_holds(ground: Ground) {
    let refused = |answer: &Answer, field: &str| match field {
        // In the Django profile a field of that name keeps its errors.
        "code" => assert_eq!((answer.status.as_u16(), answer.jar()), (400, Jar::default())),
        _ => {
            answer.refused(400, "invalid_fields");
        }
    };
    for world in [ground.world().await, ground.django().await] {
        world.account("ada@example.org").await;
        for (path, fields) in FORMS {
            let (call, good) = good(&world, path).await;
            nothing_left(&world).await;
            let django = world.auth.system().policy().usernames;
            for (field, _) in fields.iter().filter(|(field, _)| django || *field != "username") {
                let json = good.to_string();
                let inner = json.strip_prefix('{').unwrap();
                let same = &good[field];
                for other in [same.to_string(), "\"eve@example.org\"".into(), "null".into(), "[]".into()] {
                    for body in [
                        format!("{{\"{field}\":{other},{inner}"),
                        format!("{},\"{field}\":{other}}}", &json[..json.len() - 1]),
                    ] {
                        let answer = world.send(call.clone().body("application/json", body)).await;
                        refused(&answer, field);
                        let expected = if django { answer.json()[field].clone() } else { json!(answer.field(field)) };
                        let words = if django { "This field was given more than once." } else { "repeated" };
                        assert_eq!(expected, json!([words]), "{path}");
                    }
                }
                let twice = format!("{}&{field}=x", form(&good));
                let answer = world.send(send_form(&call, twice)).await;
                refused(&answer, field);
            }
            // The escaped spelling of a name is the same name.
            let (field, _) = fields[0];
            let escaped =
                format!("{{\"\\u{:04x}{}\":\"x\",{}", field.as_bytes()[0], &field[1..], &good.to_string()[1..]);
            refused(&world.send(call.clone().body("application/json", escaped)).await, field);
            nothing_happened(&world).await;
            assert!(world.send(call.json(good)).await.status.is_success(), "{path}");
        }
    }
}

async fn what_is_no_link_is_told_apart_from_a_wrong_one(ground: Ground) {
    let world = ground.django().await;
    world.account("ada@example.org").await;
    let good = good_body(&world, "password-reset-confirm/").await;
    nothing_left(&world).await;
    let confirm = async |body: String| world.send(post("password-reset-confirm/").body("application/json", body)).await;
    let missing = json!({ "error": "Missing uid or token.", "code": "link_incomplete" });
    let wrong = json!({ "error": "Invalid or expired token.", "code": "link_invalid" });
    for field in ["uid", "token"] {
        let no_texts = [json!(""), json!(null), json!(7), json!(0), json!(true), json!([]), json!({}), json!(["x"])];
        for value in no_texts.iter().map(Some).chain([None]) {
            assert_eq!(confirm(spoilt(&good, field, value).to_string()).await.json(), missing, "{field} {value:?}");
        }
        let twice = good.to_string().replacen('{', &format!("{{\"{field}\":{},", good[field]), 1);
        assert_eq!(confirm(twice).await.json(), missing, "{field} twice");
        let real = good[field].as_str().unwrap();
        for text in
            [" ", "\0", "\u{7}", "\u{fffd}", "'--", &"x".repeat(50_000), &format!(" {real}"), &format!("{real}\n")]
        {
            let answer = confirm(spoilt(&good, field, Some(&json!(text))).to_string()).await;
            assert_eq!(answer.json(), wrong, "{field} {text:?}");
        }
    }
    nothing_happened(&world).await;
    assert_eq!(confirm(good.to_string()).await.status, 200);
}

async fn what_a_query_says_is_no_field_of_a_body(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let query = format!("login/?email=ada@example.org&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(world.send(post(&query)).await.refused(400, "invalid_fields").field("email"), ["required"]);
    let query = "login/?email=eve@example.org&password=x&email=7";
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(world.send(post(query).json(body)).await.status, 200);
}

async fn white_space_and_case_around_an_address_do_not_matter(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    for email in ["\t ADA@example.org\r\n", "\u{2003}ada@EXAMPLE.org\u{a0}"] {
        assert_eq!(world.log_in(email, PASSWORD).await.status, 200, "{email:?}");
        world.send(post("password-reset/").json(json!({ "email": email }))).await;
        assert_eq!(world.mails().await[0].to, "ada@example.org");
    }
}

async fn what_is_no_link_takes_nothing_back_and_moves_nobody(ground: Ground) {
    let world = ground.world().await;
    world.account("ada@example.org").await;
    let jar = world.session("ada@example.org").await;
    let jar = world.change_password(&jar, PASSWORD, PASSWORD).await.jar();
    let notice = world.link("ada@example.org", MailPurpose::PasswordChanged).await;
    let change = world.change_email_link(&jar, "new@example.org").await;
    nothing_left(&world).await;
    let good = json!({ "uid": notice.uid, "token": notice.token });
    let not_me = async |body: String| world.send(post("not-me/").body("application/json", body)).await;
    let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    for field in ["uid", "token"] {
        for value in [json!(""), json!(null), json!(7), json!(true), json!([good[field]]), json!({ "$ne": "" })] {
            not_me(spoilt(&good, field, Some(&value)).to_string()).await.refused(400, "link_incomplete");
        }
        not_me(spoilt(&good, field, None).to_string()).await.refused(400, "link_incomplete");
        let twice = good.to_string().replacen('{', &format!("{{\"{field}\":{},", good[field]), 1);
        not_me(twice).await.refused(400, "link_incomplete");
        let real = good[field].as_str().unwrap();
        let padded = [format!(" {real}"), format!("{real}\n"), format!("{real}="), real[..real.len() - 1].to_owned()];
        for text in padded.iter().map(String::as_str).chain([" ", "\0", "\u{fffd}", "'--", &"x".repeat(50_000)]) {
            not_me(spoilt(&good, field, Some(&json!(text))).to_string()).await.refused(400, "link_invalid");
            let Link { uid, token } = &change;
            let (uid, token) = if field == "uid" { (text, token.as_str()) } else { (uid.as_str(), text) };
            if text.len() < 1000 {
                let confirm = format!("change-email-confirm/?uid={}&token={}", escape(uid), escape(token));
                world.send(call(Method::GET, &confirm)).await.refused(400, "link_invalid");
            }
        }
        let path = change.change_email(&jar).path;
        for broken in [format!("{path}&{field}=x"), path.replace(&format!("{field}="), "x=")] {
            world.send(call(Method::GET, &broken)).await.refused(400, "link_incomplete");
        }
    }
    nothing_happened(&world).await;
    assert_eq!(world.me(&jar).await.status, 200);
    assert_eq!(world.send(change.change_email(&jar)).await.status, 200);
    assert_eq!(world.send(notice.not_me()).await.status, 200);
}

async fn a_guess_at_a_password_is_counted_and_a_broken_one_is_not(ground: Ground) {
    let guesses = |password: Value| {
        [
            ("reauthenticate/", json!({ "password": password })),
            ("deactivate-account/", json!({ "password": password, "confirm_deactivation": true })),
            ("change-email/", json!({ "new_email": "new@example.org", "password": password })),
            (
                "change-password/",
                json!({ "old_password": password, "new_password": "a new password", "confirm_password": "a new password" }),
            ),
        ]
    };
    for (number, (path, _)) in guesses(json!("")).into_iter().enumerate() {
        let world = ground.world_with(|config| config.policy.timed_limits = true).await;
        world.account("ada@example.org").await;
        let jar = world.session("ada@example.org").await;
        let failures = async || {
            let email = Address::parse("ada@example.org").unwrap();
            let user = world.auth.system().ports().users.find(&TenantId::default(), UserKey::Email(&email)).await;
            user.unwrap().unwrap().consecutive_failures
        };
        // From many places, or their own limits would come first.
        let send = async |peer: u8, password: Value| {
            let mut guess = post(path).jar(&jar).json(guesses(password)[number].1.clone());
            guess.peer = Some([198, 51, 100, peer].into());
            world.send(guess).await
        };
        let broken =
            [json!(null), json!(7), json!([PASSWORD]), json!({ "password": PASSWORD }), json!(""), json!("a\0b")];
        for (peer, password) in (0..).zip(broken.into_iter().cycle().take(20)) {
            send(peer, password).await.refused(400, "invalid_fields");
        }
        assert_eq!(failures().await, 0);
        for guess in 0..10 {
            send(100 + guess, json!("a wrong password")).await.refused(400, "wrong_password");
        }
        assert_eq!(failures().await, 10);
        send(200, json!(PASSWORD)).await.refused(429, "throttled");
        assert_eq!(world.log_in("ada@example.org", PASSWORD).await.status, 200, "the login has a budget of its own");
    }
}
