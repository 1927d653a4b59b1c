//! Every setting is read, from code and from the environment, and what cannot be is refused by its name.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth_system::account::SignUpRequest;
use auth_system::auth_core::memory::MemoryStore;
use auth_system::auth_core::policy::{AttributeRule, InvalidSetting, PasswordPolicy, Policy};
use auth_system::auth_core::testing::{InsecurePlainHasher, ManualClock, RecordingMailer};
use auth_system::auth_core::token::RootSecret;
use auth_system::config::{CookieConfig, SameSite};
use auth_system::mail::ConsoleTransport;
use auth_system::port::{AttemptKey, AttemptStore as _, Clock as _, MailOutbox, UserKey, UserStore as _};
use auth_system::types::{Personal, TenantId};
use auth_system::{Auth, AuthBuilder, Client, Config, Email, Limit};

use crate::world::SECRET;

const MINUTE: Duration = Duration::from_secs(60);
const FRONTEND: &str = "https://app.example.org";

/// A configuration from these variables, besides the two that are required.
fn from(variables: &[(&str, &str)]) -> Result<Config, InvalidSetting> {
    let required = [("AUTH_SECRET", SECRET), ("AUTH_FRONTEND_URL", FRONTEND)];
    let all = [variables, &required].concat();
    Config::from_lookup(|asked| all.iter().find(|(name, _)| *name == asked).map(|(_, text)| (*text).to_owned()))
}

/// Every field with its value. A new one does not compile until it is named here, and then fails a test below until a
/// variable sets it or it is among those of code alone.
fn fields(config: Config) -> Vec<(&'static str, String)> {
    fn field(name: &'static str, value: &dyn Debug) -> (&'static str, String) {
        (name, format!("{value:?}"))
    }
    macro_rules! all {
        ($($name:ident)*) => { vec![$(field(stringify!($name), &$name)),*] };
    }
    #[rustfmt::skip]
    let Config {
        secret: _, accepted_secrets, data_keys, pepper, argon2, hash_threads, hash_queue, profile, public_path, frontend_url,
        product, mail_from, allowed_origins, trusted_proxies, cookies, throttles, body_timeout, bearer, openapi, issuer, audience, superuser: _, policy,
    } = config;
    let CookieConfig { access_name, refresh_name, device_name, secure, http_only, same_site } = cookies;
    #[rustfmt::skip]
    let Policy {
        access_lifetime, idle_lifetime, session_lifetime, refresh_window, refresh_retry, revocation_lag, verify_link_lifetime,
        reset_link_lifetime, change_email_link_lifetime, not_me_link_lifetime, disputes, unverified_lifetime, deactivated_lifetime, sudo_max_age, require_second_factor, second_factor_attempts, totp_skew, pending_lifetime, totp_setup_lifetime,
        totp_issuer, backup_codes, password, usernames, reveal_taken_emails, timed_limits, login_attempts, device_attempts,
        device_lifetime, mails_per_recipient, max_consecutive_failures, attributes, mail_attempts,
    } = policy;
    let PasswordPolicy { min_chars, max_chars, refuse_numeric, service_names } = password;
    let mut fields = all!(
        accepted_secrets data_keys pepper hash_threads hash_queue profile public_path frontend_url product mail_from
        allowed_origins trusted_proxies access_name refresh_name device_name secure http_only same_site body_timeout bearer openapi issuer audience
        access_lifetime idle_lifetime session_lifetime refresh_window refresh_retry revocation_lag verify_link_lifetime
        reset_link_lifetime change_email_link_lifetime not_me_link_lifetime disputes unverified_lifetime deactivated_lifetime sudo_max_age require_second_factor second_factor_attempts totp_skew pending_lifetime totp_setup_lifetime
        totp_issuer backup_codes min_chars max_chars
        refuse_numeric service_names usernames
        reveal_taken_emails timed_limits login_attempts device_attempts device_lifetime mails_per_recipient max_consecutive_failures attributes mail_attempts
    );
    for (name, per_minute) in THROTTLES {
        // Where nothing is set, the default of the endpoint counts: `limits::every_limit_has_its_default`.
        let limit = throttles.get(name).unwrap_or(Some(Limit::new(per_minute, Duration::from_secs(60))));
        fields.push((name, limit.map_or("off".to_owned(), |limit| format!("{limit:?}"))));
    }
    fields.push(field("memory_kib", &argon2.memory_kib()));
    fields.push(field("iterations", &argon2.iterations()));
    fields.push(field("parallelism", &argon2.parallelism()));
    fields
}

/// The limits by address and their defaults, in calls a minute.
const THROTTLES: [(&str, u32); 11] = [
    ("signup", 5),
    ("login", 10),
    ("refresh", 60),
    ("password_reset", 5),
    ("resend_verification", 5),
    ("confirm", 20),
    ("change_password", 10),
    ("change_email", 5),
    ("reauthenticate", 10),
    ("two_factor", 10),
    ("verify_2fa", 10),
];

/// A variable, a text for it, the field that it sets, what that becomes, and a text that is refused. Where any text goes,
/// `build` has the last word.
#[rustfmt::skip]
const VARIABLES: &[(&str, &str, &str, &str, &str)] = &[
    ("AUTH_SECRET_ACCEPTED",              SECRET,                "accepted_secrets",    "[RootSecret(…)]",                  "short"),
    ("AUTH_DATA_KEYS",                    SECRET,                "data_keys",           "[RootSecret(…)]",                  "c2hvcnQ="),
    ("AUTH_PEPPER",                       "on",                  "pepper",              "true",                             "2"),
    ("AUTH_ARGON2_MEMORY_KIB",            "65536",               "memory_kib",          "65536",                            "64"),
    ("AUTH_ARGON2_ITERATIONS",            "3",                   "iterations",          "3",                                "1"),
    ("AUTH_ARGON2_PARALLELISM",           "4",                   "parallelism",         "4",                                "17"),
    ("AUTH_HASH_THREADS",                 "3",                   "hash_threads",        "Some(3)",                          "-1"),
    ("AUTH_HASH_QUEUE",                   "7",                   "hash_queue",          "7",                                "many"),
    ("AUTH_PROFILE",                      "django",              "profile",             "Django",                           "Django"),
    ("AUTH_PUBLIC_PATH",                  "/account",            "public_path",         "\"/account\"",                     ""),
    ("AUTH_FRONTEND_URL",                 "https://www.example", "frontend_url",        "\"https://www.example\"",          ""),
    ("AUTH_PRODUCT",                      "Example",             "product",             "\"Example\"",                      ""),
    ("AUTH_MAIL_FROM",                    "me@example.org",      "mail_from",           "\"me@example.org\"",               ""),
    ("AUTH_ALLOWED_ORIGINS",              "https://a, https://b","allowed_origins",     "[\"https://a\", \"https://b\"]",   ""),
    ("AUTH_TRUSTED_PROXIES",              "10.0.0.0/8, ::1",     "trusted_proxies",     "[10.0.0.0/8, ::1/128]",            "10.0.0.0/33"),
    ("AUTH_ACCESS_COOKIE_NAME",           "a",                   "access_name",         "Some(\"a\")",                      ""),
    ("AUTH_REFRESH_COOKIE_NAME",          "r",                   "refresh_name",        "Some(\"r\")",                      ""),
    ("AUTH_DEVICE_COOKIE_NAME",           "d",                   "device_name",         "Some(\"d\")",                      ""),
    ("AUTH_COOKIE_SECURE",                "false",               "secure",              "false",                            "maybe"),
    ("AUTH_COOKIE_HTTPONLY",              "No",                  "http_only",           "false",                            "nope"),
    ("AUTH_COOKIE_SAMESITE",              "strict",              "same_site",           "Strict",                           "laxly"),
    ("AUTH_BODY_TIMEOUT",                 "30",                  "body_timeout",        "30s",                              "10s"),
    ("AUTH_BEARER",                       "1",                   "bearer",              "true",                             "10"),
    ("AUTH_OPENAPI",                      "on",                  "openapi",             "true",                             "json"),
    ("AUTH_ISSUER",                       "iss",                 "issuer",              "\"iss\"",                          ""),
    ("AUTH_AUDIENCE",                     "aud",                 "audience",            "\"aud\"",                          ""),
    ("AUTH_THROTTLE_SIGNUP",              "1/s",                 "signup",              "Limit { count: 1, window: 1s }",   "1"),
    ("AUTH_THROTTLE_LOGIN",               "2/30s",               "login",               "Limit { count: 2, window: 30s }",  "1/0x"),
    ("AUTH_THROTTLE_REFRESH",             "3/min",               "refresh",             "Limit { count: 3, window: 60s }",  "1/year"),
    ("AUTH_THROTTLE_PASSWORD_RESET",      "4/2min",              "password_reset",      "Limit { count: 4, window: 120s }", "/min"),
    ("AUTH_THROTTLE_RESEND_VERIFICATION", "5/hour",              "resend_verification", "Limit { count: 5, window: 3600s }","-1/min"),
    ("AUTH_THROTTLE_CONFIRM",             "6/day",               "confirm",             "Limit { count: 6, window: 86400s }","1/"),
    ("AUTH_THROTTLE_CHANGE_PASSWORD",     "7/min",               "change_password",     "Limit { count: 7, window: 60s }",  "7"),
    ("AUTH_THROTTLE_CHANGE_EMAIL",        "8/min",               "change_email",        "Limit { count: 8, window: 60s }",  "8"),
    ("AUTH_THROTTLE_REAUTHENTICATE",      "9/min",               "reauthenticate",      "Limit { count: 9, window: 60s }",  "9"),
    ("AUTH_THROTTLE_TWO_FACTOR",          "10/s",                "two_factor",          "Limit { count: 10, window: 1s }",  "ten"),
    ("AUTH_THROTTLE_VERIFY_2FA",          "11/s",                "verify_2fa",          "Limit { count: 11, window: 1s }",  "11"),
    ("AUTH_THROTTLE",                     "off",                 "timed_limits",        "false",                            "10/min"),
    ("AUTH_LOGIN_ATTEMPTS",               "7/h",                 "login_attempts",      "Limit { count: 7, window: 3600s }","7"),
    ("AUTH_DEVICE_ATTEMPTS",              "8/d",                 "device_attempts",     "Limit { count: 8, window: 86400s }","x/d"),
    ("AUTH_DEVICE_LIFETIME",              "86400",               "device_lifetime",     "86400s",                           "180d"),
    ("AUTH_MAILS_PER_RECIPIENT",          "9/h",                 "mails_per_recipient", "Limit { count: 9, window: 3600s }","9"),
    ("AUTH_MAX_CONSECUTIVE_FAILURES",     "50",                  "max_consecutive_failures", "50",                          "5/min"),
    ("AUTH_ACCESS_LIFETIME",              "60",                  "access_lifetime",     "60s",                              "15m"),
    ("AUTH_IDLE_LIFETIME",                "3600",                "idle_lifetime",       "3600s",                            "-1"),
    ("AUTH_SESSION_LIFETIME",             "7200",                "session_lifetime",    "7200s",                            "inf"),
    ("AUTH_REFRESH_WINDOW",               "0",                   "refresh_window",      "0ns",                              "NaN"),
    ("AUTH_REFRESH_RETRY",                "120",                 "refresh_retry",       "Some(120s)",                       "-1"),
    ("AUTH_REVOCATION_LAG",               "0.25",                "revocation_lag",      "250ms",                            "0,25"),
    ("AUTH_VERIFY_LINK_LIFETIME",         "600",                 "verify_link_lifetime","600s",                             "1e300"),
    ("AUTH_RESET_LINK_LIFETIME",          "601",                 "reset_link_lifetime", "601s",                             "soon"),
    ("AUTH_CHANGE_EMAIL_LINK_LIFETIME",   "602",                 "change_email_link_lifetime", "602s",                      "1h"),
    ("AUTH_NOT_ME_LINK_LIFETIME",         "603",                 "not_me_link_lifetime","603s",                             "3d"),
    ("AUTH_DISPUTES",                     "operator",            "disputes",            "Operator",                         "Wait"),
    ("AUTH_UNVERIFIED_LIFETIME",          "864000",              "unverified_lifetime", "864000s",                          "30d"),
    ("AUTH_DEACTIVATED_LIFETIME",         "864001",              "deactivated_lifetime","864001s",                          "a month"),
    ("AUTH_SUDO_MAX_AGE",                 "604",                 "sudo_max_age",        "604s",                             "never"),
    ("AUTH_REQUIRE_SECOND_FACTOR",        "on",                  "require_second_factor", "true",                           "for some"),
    ("AUTH_SECOND_FACTOR_ATTEMPTS",       "9/h",                 "second_factor_attempts", "Limit { count: 9, window: 3600s }","9"),
    ("AUTH_TOTP_SKEW",                    "2",                   "totp_skew",           "2",                                "-1"),
    ("AUTH_TOTP_ISSUER",                  "Example",             "totp_issuer",         "\"Example\"",                      ""),
    ("AUTH_TOTP_SETUP_LIFETIME",          "605",                 "totp_setup_lifetime", "605s",                             "10m"),
    ("AUTH_PENDING_LIFETIME",             "606",                 "pending_lifetime",    "606s",                             "5m"),
    ("AUTH_BACKUP_CODES",                 "12",                  "backup_codes",        "12",                               "ten"),
    ("AUTH_PASSWORD_MIN_LENGTH",          "12",                  "min_chars",           "12",                               "-12"),
    ("AUTH_PASSWORD_MAX_LENGTH",          "128",                 "max_chars",           "128",                              "1.5"),
    ("AUTH_USERNAMES",                    "yes",                 "usernames",           "true",                             "y"),
    ("AUTH_MAIL_ATTEMPTS",                "3",                   "mail_attempts",       "3",                                "99999999999"),
];

/// No variable sets these.
const CODE_ALONE: [&str; 4] = ["attributes", "refuse_numeric", "reveal_taken_emails", "service_names"];

#[test]
fn each_variable_sets_its_own_field_and_no_other() {
    let defaults = fields(from(&[]).unwrap());
    for (variable, text, field, shown, _) in VARIABLES {
        let changed: Vec<_> = fields(from(&[(variable, text)]).unwrap())
            .into_iter()
            .zip(&defaults)
            .filter_map(|(now, before)| (now != *before).then_some(now))
            .collect();
        assert_eq!(changed, [(*field, (*shown).to_owned())], "{variable}");
    }
    let set: BTreeSet<_> = VARIABLES.iter().map(|row| row.2).chain(CODE_ALONE).collect();
    assert_eq!(set, defaults.iter().map(|(field, _)| *field).collect());
}

#[test]
fn a_text_that_cannot_be_is_refused_by_the_name_of_its_variable() {
    for (variable, .., bad) in VARIABLES.iter().filter(|row| !row.4.is_empty()) {
        let error = from(&[(variable, bad)]).unwrap_err();
        assert_eq!(error.setting, *variable, "{error}");
    }
}

#[test]
fn blanks_count_as_unset_and_are_cut_off() {
    let required = |variable| if variable == "AUTH_FRONTEND_URL" { FRONTEND } else { " " };
    let unset: Vec<_> = VARIABLES.iter().map(|row| (row.0, required(row.0))).collect();
    assert_eq!(fields(from(&unset).unwrap()), fields(from(&[]).unwrap()));
    assert_eq!(from(&[("AUTH_ISSUER", " iss\n")]).unwrap().issuer, "iss");
    for required in ["AUTH_SECRET", "AUTH_FRONTEND_URL"] {
        let error =
            Config::from_lookup(|name| Some(if name == required { " " } else { SECRET }.to_owned())).unwrap_err();
        assert_eq!(error.setting, required);
        assert!(error.problem.starts_with("is not set: "), "{error}");
    }
}

/// The table of the README, and with it the defaults that the fields' own documentation names.
#[test]
fn the_readme_tells_every_variable_and_its_default() {
    let readme = include_str!("../../README.md");
    let quoted = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    let rows = readme.lines().filter(|line| line.starts_with("| `AUTH_"));
    let rows: Vec<_> =
        rows.map(|row| row.split('|').collect::<Vec<_>>()).map(|row| (quoted(row[1]), quoted(row[3]))).collect();
    let told: Vec<_> = rows.iter().flat_map(|(names, _)| names).collect();
    for (variable, ..) in VARIABLES {
        assert!(told.contains(&variable), "{variable} is not in the README");
    }
    let mut defaults = 0;
    for (names, values) in rows {
        // One value may stand for several variables; a row without any has a default in words.
        for (index, name) in names.iter().enumerate().filter(|_| !values.is_empty()) {
            let value = values.get(index).unwrap_or(&values[0]);
            let config = from(&[(name, value)]).unwrap();
            let told = fields(config).into_iter().filter(|(field, _)| *field != "hash_threads");
            let usual = fields(from(&[]).unwrap()).into_iter().filter(|(field, _)| *field != "hash_threads");
            assert!(told.eq(usual), "{name} is not {value} by default");
            defaults += 1;
        }
    }
    assert!(defaults >= 40, "{defaults}");
}

fn builder(config: Config) -> AuthBuilder {
    let store = MemoryStore::new(std::sync::Arc::new(ManualClock::new()));
    Auth::builder(config).store(store).mailer(RecordingMailer::default()).without_workers()
}

#[test]
fn build_refuses_what_cannot_be_by_the_name_of_its_field() {
    type Spoil = fn(&mut Config);
    let cases: &[(&str, Spoil)] = &[
        ("hash.threads", |c| c.hash_threads = Some(0)),
        ("hash.threads", |c| c.hash_threads = Some(65)),
        ("hash.queue", |c| c.hash_queue = 0),
        ("public_path", |c| c.public_path = "api/auth".into()),
        ("public_path", |c| c.public_path = "/api/auth/".into()),
        ("public_path", |c| c.public_path = "/".into()),
        ("public_path", |c| c.public_path = "/a/../b".into()),
        ("public_path", |c| c.public_path = "/{a}".into()),
        ("frontend_url", |c| c.frontend_url = "app.example.org".into()),
        ("frontend_url", |c| c.frontend_url = "ftp://app.example.org".into()),
        ("frontend_url", |c| c.frontend_url = "https://app.example.org/".into()),
        ("frontend_url", |c| c.frontend_url = "https://app.example.org?a=b".into()),
        ("product", |c| c.product = String::new()),
        ("product", |c| c.product = "a\r\nb".into()),
        ("product", |c| c.product = "x".repeat(101)),
        ("mail_from", |c| c.mail_from = "nobody".into()),
        ("mail_from", |c| c.mail_from = "a@example.org, b@example.org".into()),
        ("allowed_origins", |c| c.allowed_origins = vec!["*".into()]),
        ("allowed_origins", |c| c.allowed_origins = vec!["https://a.example/path".into()]),
        ("trusted_proxies", |c| c.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()]),
        ("trusted_proxies", |c| c.trusted_proxies = vec!["::/0".parse().unwrap()]),
        ("trusted_proxies", |c| {
            c.trusted_proxies = ["0.0.0.0/1", "128.0.0.0/1"].map(|net| net.parse().unwrap()).into()
        }),
        ("trusted_proxies", |c| c.trusted_proxies = ["8000::/1", "::/1"].map(|net| net.parse().unwrap()).into()),
        ("body_timeout", |c| c.body_timeout = Duration::from_millis(999)),
        ("body_timeout", |c| c.body_timeout = Duration::from_millis(300_001)),
        ("cookies.access_name", |c| c.cookies.access_name = Some("a b".into())),
        ("cookies.refresh_name", |c| c.cookies.refresh_name = Some(String::new())),
        ("cookies.refresh_name", |c| c.cookies.refresh_name = Some("__Host-access_token".into())),
        ("cookies.device_name", |c| c.cookies.device_name = Some("__Host-access_token".into())),
        ("cookies.access_name", |c| {
            c.cookies.access_name = Some("__Secure-a".into());
            c.cookies.secure = false;
        }),
        ("cookies.same_site", |c| {
            c.cookies.same_site = SameSite::None;
            c.cookies.secure = false;
        }),
        ("throttles", |c| _ = c.throttles.set("login", Limit::new(0, Duration::from_secs(60)))),
        ("throttles", |c| _ = c.throttles.set("confirm", Limit::new(1, Duration::ZERO))),
        ("throttles", |c| _ = c.throttles.set("sign_up", Limit::new(1, Duration::from_secs(60)))),
        ("throttles", |c| _ = c.throttles.off("nothing")),
        ("issuer", |c| c.issuer = String::new()),
        ("audience", |c| c.audience = "\"".into()),
        ("access_lifetime", |c| c.policy.access_lifetime = c.policy.refresh_window),
        ("refresh_retry", |c| c.policy.refresh_retry = Some(Duration::from_secs(301))),
        ("idle_lifetime", |c| c.policy.idle_lifetime = Duration::from_secs(60)),
        ("session_lifetime", |c| c.policy.session_lifetime = Duration::from_secs(3600)),
        ("revocation_lag", |c| c.policy.revocation_lag = Duration::ZERO),
        ("attributes", |c| c.policy.attributes = vec![AttributeRule::new("password", 10)]),
        ("password.min_chars", |c| c.policy.password.min_chars = 7),
        ("data_keys", |c| c.accepted_secrets = vec![c.secret.clone()]),
        ("hash.pepper", |c| {
            c.pepper = true;
            c.data_keys = vec![c.secret.clone(), c.secret.clone()];
        }),
    ];
    for (setting, spoil) in cases {
        let mut config = from(&[]).unwrap();
        spoil(&mut config);
        let error = builder(config).build().unwrap_err();
        assert_eq!(error.setting, *setting, "{error}");
    }
    builder(from(&[]).unwrap()).build().unwrap();
    let peppered = builder(from(&[("AUTH_PEPPER", "on")]).unwrap());
    assert_eq!(peppered.hasher(InsecurePlainHasher::default()).build().unwrap_err().setting, "pepper");
}

#[test]
fn build_names_the_method_that_gives_a_missing_part() {
    let bare = || Auth::builder(from(&[]).unwrap()).without_workers();
    let store = || MemoryStore::new(std::sync::Arc::new(ManualClock::new()));
    let mailed = || bare().mailer(RecordingMailer::default());
    for (builder, part) in [
        (bare().store(store()), "mail"),
        (mailed(), "users"),
        (mailed().users(store()), "sessions"),
        (mailed().users(store()).sessions(store()), "outbox"),
        (mailed().users(store()).sessions(store()).outbox(store()), "attempts"),
        (mailed().users(store()).sessions(store()).outbox(store()).attempts(store()), "credentials"),
        (mailed().stores_beside_users(store()), "users"),
    ] {
        let error = builder.build().unwrap_err();
        let bundle = if part == "mail" { "mailer" } else { "store" };
        let problem = format!("is missing: call `AuthBuilder::{part}` or `AuthBuilder::{bundle}`");
        assert_eq!((error.setting, error.problem), (part, problem));
    }
    // Workers need a runtime, and say so instead of panicking.
    let error = mailed().store(store()).build().map(drop);
    assert_eq!(error, Ok(()));
    let with_workers = Auth::builder(from(&[]).unwrap()).store(store()).mailer(RecordingMailer::default());
    assert_eq!(with_workers.build().unwrap_err().setting, "runtime");
}

/// Every order of these calls makes the same system: a part overrides the narrow bundle, and that one the wide one.
#[test]
fn order_of_the_builders_calls_does_not_matter() {
    type Step<'a> = Box<dyn Fn(AuthBuilder) -> AuthBuilder + 'a>;
    let clock = ManualClock::new();
    let [wide, beside, short, users] = std::array::from_fn(|_| MemoryStore::new(Arc::new(clock.clone())));
    let mailer = RecordingMailer::default();
    let steps: [Step<'_>; 6] = [
        Box::new(|builder| builder.store(wide.clone())),
        Box::new(|builder| builder.stores_beside_users(beside.clone())),
        Box::new(|builder| builder.short_lived(short.clone())),
        Box::new(|builder| builder.users(users.clone())),
        Box::new(|builder| builder.mail(ConsoleTransport)),
        Box::new(|builder| builder.mailer(mailer.clone())),
    ];
    let mut orders = vec![vec![]];
    for step in 0..steps.len() {
        let longer = |order: Vec<usize>| {
            (0..=order.len()).map(move |at| [&order[..at], &[step], &order[at..]].concat()).collect::<Vec<_>>()
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 720);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (number, order) in orders.into_iter().enumerate() {
        let bare = Auth::builder(from(&[]).unwrap()).clock(clock.clone()).hasher(InsecurePlainHasher::default());
        let auth = order.iter().fold(bare.without_workers(), |builder, step| steps[*step](builder)).build().unwrap();
        runtime.block_on(async {
            let (client, tenant) = (Client::default(), TenantId::default());
            let address = format!("user{number}@example.org");
            let password = "correct horse battery";
            let (email, request) = (Email::parse(&address).unwrap(), auth.system().request(&client));
            let password = request.new_password("password", password, Personal::default()).unwrap();
            let sign_up = SignUpRequest::new(email.clone(), password);
            request.sign_up(sign_up).await.unwrap();
            assert!(users.find(&tenant, UserKey::Email(&email)).await.unwrap().is_some(), "{order:?}");
            assert!(MailOutbox::claim(&wide, clock.now(), MINUTE, 1).await.unwrap().is_empty(), "{order:?}");
            assert_eq!(MailOutbox::claim(&beside, clock.now(), Duration::ZERO, 1).await.unwrap().len(), 1, "{order:?}");
            clock.advance(MINUTE);
            assert_eq!(auth.system().deliver_mail().await.unwrap().sent, 1, "{order:?}");
            assert_eq!(mailer.take().len(), 1, "{order:?}");
            let (key, once) = (AttemptKey::new("order", &[address.as_bytes()]), Limit::new(1, MINUTE));
            auth.system().ports().attempts.hit(&key, once).await.unwrap();
            assert!(!short.hit(&key, once).await.unwrap().allowed, "{order:?}");
        });
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_with_what_to_do() {
    let (repeated, periodic) = ("ab".repeat(32), "0123456789abcdef".repeat(4));
    let counting: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    // Of the documentation of earlier versions.
    let printed = "8f1d7a3c5e9b2046d8fa17c35be90246a1c3e5f708192a3b4c5d6e7f80912233";
    let weak = [
        ("correct horse battery", "is neither hexadecimal nor base64"),
        ("8f1d7a3c5e9b2046", "has 8 bytes where at least 32 are due"),
        (&SECRET[2..], "has 31 bytes where at least 32 are due"),
        (&repeated, "repeats so few bytes that it can be guessed"),
        (&periodic, "repeats the same bytes and can be guessed"),
        (&counting, "counts up or down and can be guessed"),
        ("ThisIsMySuperSecretKeyForJwtSigningPleaseChange1", "is made of words and can be guessed"),
        (printed, "is printed in public, or is the hash of a common word"),
    ];
    for (text, problem) in weak {
        for variable in ["AUTH_SECRET", "AUTH_SECRET_ACCEPTED", "AUTH_DATA_KEYS"] {
            let listed = if variable == "AUTH_SECRET" { text.to_owned() } else { format!("{SECRET},{text}") };
            let error = from(&[(variable, &listed)]).unwrap_err();
            assert_eq!(error.to_string(), format!("{variable}: {problem}; make one with `openssl rand -hex 32`"));
            assert!(!format!("{error:?}").contains(&text[..12]));
        }
    }
    assert!(RootSecret::from_bytes(&[7; 64]).is_err());
    let error =
        builder(Config { frontend_url: "https://u:hunter2@x".into(), ..from(&[]).unwrap() }).build().unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// Runs as a process of its own, for an environment of its own.
#[test]
fn from_env_reads_the_environment() {
    const CHILD: &str = "AUTH_TEST_OF_FROM_ENV";
    if std::env::var_os(CHILD).is_some() {
        println!("{:?}", Config::from_env().map(|config| config.issuer));
        return;
    }
    let run = |variables: &[(&str, &std::ffi::OsStr)]| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "settings::from_env_reads_the_environment", "--nocapture"]);
        child.env(CHILD, "1").env("AUTH_SECRET", SECRET).env("AUTH_FRONTEND_URL", FRONTEND);
        let output = child.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[]).contains("Ok(\"auth-system\")"));
    assert!(run(&[("AUTH_ISSUER", "iss".as_ref())]).contains("Ok(\"iss\")"));
    assert!(run(&[("AUTH_BEARER", "maybe".as_ref())]).contains("AUTH_BEARER"));
    #[cfg(unix)]
    {
        let garbled = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
        assert!(run(&[("AUTH_COOKIE_SECURE", garbled)]).contains("\"AUTH_COOKIE_SECURE\", problem: \"is not UTF-8\""));
    }
}

#[test]
fn a_superuser_has_an_address_and_a_password() {
    let both = [("AUTH_SUPERUSER_EMAIL", "root@example.org"), ("AUTH_SUPERUSER_PASSWORD", "a password of its own")];
    let superuser = from(&both).unwrap().superuser.unwrap();
    assert_eq!(superuser.email, "root@example.org");
    assert!(!format!("{superuser:?} {:?}", superuser.password).contains("a password of its own"));
    assert!(from(&[]).unwrap().superuser.is_none());
    for (given, missing) in [(both[0], both[1].0), (both[1], both[0].0)] {
        assert_eq!(from(&[given]).unwrap_err().setting, missing);
    }
}
