//! Databases of an earlier build open in this one and go on: `tests/fixtures` has them, and the programs that made them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::port::{Clock as _, MailPurpose};
use auth_system::auth_core::testing::{ManualClock, RecordingMailer, SentMail, root_secret};
use auth_system::auth_core::token::RootSecret;
use auth_system::store::{PostgresStore, SqliteStore};
use auth_system::{Auth, Config};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};
use tempfile::TempDir;

use crate::door::Door;
use crate::place::Store;
use crate::scenarios;
use crate::schema::Schema;
use crate::totp::totp;
use crate::world::{Answer, Call, Ground, Jar, Link, REFRESH, get, post};

scenarios![@kept
    owners_log_in_and_their_sessions_go_on,
    a_second_factor_is_asked_for_and_passed_by_code_and_by_backup_code,
    a_login_that_waited_for_its_second_factor_is_finished,
    an_authenticator_that_was_being_set_up_is_enrolled,
    a_session_for_enrolment_alone_stays_one,
    waiting_mails_are_sent_and_dead_ones_stay_dead,
    a_link_that_was_mailed_before_is_answered_and_breaks_nothing,
    addresses_of_other_scripts_are_found_by_every_spelling,
    a_peppered_database_opens_with_its_keys,
];

/// A system on a database of an earlier build.
struct Upgraded {
    auth: Auth,
    clock: ManualClock,
    mailer: RecordingMailer,
    door: Door,
    /// The facts about the database, told by the program that made it.
    facts: Value,
    dead_mails: Arc<dyn auth_system::auth_core::port::DeadMails>,
    _folder: TempDir,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/f9c78e8")
}

fn secret(text: &Value) -> RootSecret {
    root_secret(text.as_str().unwrap())
}

impl Upgraded {
    async fn open(ground: Ground, name: &str) -> Self {
        let facts: Value = serde_json::from_slice(&std::fs::read(folder().join("fixture.json")).unwrap()).unwrap();
        let database = if ground.store == Store::Sqlite { "sqlite" } else { "postgres" };
        let facts = facts[name][database].clone();
        let clock = ManualClock::new();
        let taken_at = u64::try_from(facts["taken_at"].as_i64().unwrap() - clock.now().seconds()).unwrap();
        clock.advance(Duration::from_secs(taken_at + 30));
        let mut config = Config::new(secret(&facts["secret"]), "https://app.example.org");
        config.policy.timed_limits = false;
        if facts["data_key"].is_string() {
            config.data_keys = vec![secret(&facts["data_key"])];
            config.pepper = true;
        }
        let mailer = RecordingMailer::default();
        let builder = Auth::builder(config).mailer(mailer.clone()).clock(clock.clone()).without_workers();
        let temporary = tempfile::tempdir().unwrap();
        let shared = Arc::new(clock.clone());
        let (builder, dead_mails): (_, Arc<dyn auth_system::auth_core::port::DeadMails>) = match ground.store {
            Store::Sqlite => {
                let file = temporary.path().join("auth.db");
                std::fs::copy(folder().join(format!("{name}.sqlite")), &file).unwrap();
                let store =
                    SqliteStore::open_with_clock(&format!("sqlite://{}", file.display()), shared).await.unwrap();
                (builder.store(store.clone()), Arc::new(store))
            }
            _ => {
                let schema = Schema::create().await;
                let dump = std::fs::read_to_string(folder().join(format!("{name}.postgres.sql"))).unwrap();
                let mut connection = PgConnection::connect(&schema.url()).await.unwrap();
                raw_sql(AssertSqlSafe(dump)).execute(&mut connection).await.unwrap();
                let store = PostgresStore::open_with_clock(&schema.url(), shared).await.unwrap();
                (builder.store(store.clone()), Arc::new(store))
            }
        };
        let auth = builder.build().unwrap();
        auth.check_data_keys().await.unwrap();
        let door = Door::of(ground.driver, &auth);
        Self { auth, clock, mailer, door, facts, dead_mails, _folder: temporary }
    }

    async fn send(&self, call: Call) -> Answer {
        self.door.send(call).await
    }

    async fn log_in(&self, email: &str) -> Answer {
        let body = json!({ "email": email, "password": self.facts["password"] });
        self.send(post("login/").json(body)).await
    }

    /// The cookies after a refresh: the tokens of an earlier build may lack what this one asks for.
    async fn resume(&self, tokens: &Value) -> Jar {
        let token = tokens["refresh_token"].as_str().unwrap();
        let answer = self.send(post("refresh/").jar(&Jar::of(REFRESH, token))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.jar()
    }

    async fn me(&self, jar: &Jar) -> Answer {
        self.send(get("me/").jar(jar)).await
    }

    /// A code that was not used yet.
    fn next_code(&self, secret: &Value) -> String {
        self.clock.advance(Duration::from_secs(30));
        totp(secret.as_str().unwrap(), self.clock.now().seconds())
    }

    async fn second_step(&self, token: &Value, code: &str) -> Answer {
        self.send(post("2fa/verify-login/").json(json!({ "session_token": token, "code": code }))).await
    }

    async fn mails(&self) -> Vec<SentMail> {
        while !self.auth.system().deliver_mail().await.unwrap().is_idle() {}
        self.mailer.take()
    }
}

async fn owners_log_in_and_their_sessions_go_on(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    for email in ["ada@example.org", "Ada@Example.org", "ivy@example.org", "gus@example.org", "straße@example.org"] {
        let answer = old.log_in(email).await;
        assert_eq!(answer.status, 200, "{email}: {answer:?}");
        assert_eq!(old.me(&answer.jar()).await.status, 200);
    }
    for session in ["fresh", "refreshed"] {
        let jar = old.resume(&old.facts["ada"][session]).await;
        let me = old.me(&jar).await;
        assert_eq!((me.status.as_u16(), &me.json()["email"]), (200, &json!("ada@example.org")));
        assert_eq!(me.json()["attributes"]["first_name"], json!("ada"));
        let answer = old.send(post("logout/").jar(&jar)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(old.me(&jar).await.status, 401);
    }
    // Shut, and never verified.
    for email in ["dag@example.org", "cem@example.org"] {
        assert_eq!(old.log_in(email).await.status, 401, "{email}");
    }
}

async fn a_second_factor_is_asked_for_and_passed_by_code_and_by_backup_code(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let bea = &old.facts["bea"];
    let begin = || async { old.log_in("bea@example.org").await.json()["session_token"].clone() };
    let answer = old.second_step(&begin().await, &old.next_code(&bea["totp"])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.me(&answer.jar()).await.status, 200);
    let token = begin().await;
    assert_eq!(old.second_step(&token, bea["used_code"].as_str().unwrap()).await.status, 400);
    let answer = old.second_step(&token, bea["codes"][0].as_str().unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["backup_codes_remaining"], json!(8));
    assert_eq!(old.me(&old.resume(&bea["session"]).await).await.status, 200);
}

async fn a_login_that_waited_for_its_second_factor_is_finished(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let bea = &old.facts["bea"];
    let answer = old.second_step(&bea["pending"], &old.next_code(&bea["totp"])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.me(&answer.jar()).await.status, 200);
}

async fn an_authenticator_that_was_being_set_up_is_enrolled(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let fay = &old.facts["fay"];
    let jar = old.resume(&fay["session"]).await;
    let answer = old.send(post("2fa/enable/").jar(&jar).json(json!({ "code": old.next_code(&fay["totp"]) }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let login = old.log_in("fay@example.org").await;
    let answer = old.second_step(&login.json()["session_token"], &old.next_code(&fay["totp"])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn a_session_for_enrolment_alone_stays_one(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let jar = old.resume(&old.facts["han"]).await;
    old.me(&jar).await.refused(403, "second_factor_required");
    let setup = old.send(post("2fa/setup/").jar(&jar).json(json!({}))).await;
    let code = old.next_code(&setup.json()["secret"]);
    let answer = old.send(post("2fa/enable/").jar(&jar).json(json!({ "code": code }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.me(&answer.jar()).await.status, 200);
}

async fn waiting_mails_are_sent_and_dead_ones_stay_dead(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let dead = old.dead_mails.dead_mails(10).await.unwrap();
    let dead: Vec<_> = dead.iter().map(|mail| (mail.intent.to.as_str(), mail.intent.purpose)).collect();
    assert_eq!(dead, [("ivy@example.org", MailPurpose::ResetPassword)]);
    let mails = old.mails().await;
    let find = |to: &str, purpose| mails.iter().find(|mail| mail.to == to && mail.purpose == purpose);
    let verify = find("cem@example.org", MailPurpose::VerifyEmail).expect("a mail that verifies");
    let answer = old.send(Link::of(verify).verify()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.log_in("cem@example.org").await.status, 200);
    let reset = find("ada@example.org", MailPurpose::ResetPassword).expect("a mail that resets");
    let answer = old.send(Link::of(reset).set_password("another horse battery")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.log_in("ada@example.org").await.status, 401);
}

async fn a_link_that_was_mailed_before_is_answered_and_breaks_nothing(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    let gus = &old.facts["gus"];
    let jar = old.resume(&gus["session"]).await;
    let text = |name: &str| gus["link"][name].as_str().unwrap().to_owned();
    let link = Link { uid: text("uid"), token: text("token") };
    let status = old.send(link.change_email(&jar)).await.status.as_u16();
    assert!([200, 400].contains(&status), "{status}");
    let (now, before) = match status {
        200 => ("gustav@example.org", "gus@example.org"),
        _ => ("gus@example.org", "gustav@example.org"),
    };
    assert_eq!(old.log_in(now).await.status, 200);
    assert_eq!(old.log_in(before).await.status, 401);
}

async fn addresses_of_other_scripts_are_found_by_every_spelling(ground: Ground) {
    let old = Upgraded::open(ground, "accounts").await;
    for spelling in ["straße@example.org", "STRASSE@example.org", "Straße@Example.org"] {
        let answer = old.log_in(spelling).await;
        assert_eq!(answer.status, 200, "{spelling}: {answer:?}");
        assert_eq!(old.me(&answer.jar()).await.json()["email"], json!("straße@example.org"), "as it was");
    }
    assert_eq!(old.me(&old.resume(&old.facts["strasse"]).await).await.status, 200);
    // Two accounts of one key: the older one has it, and the other one is there for an operator.
    let mut owners = std::collections::BTreeSet::new();
    for spelling in ["σοφός@example.org", "ΣΟΦΌΣ@example.org"] {
        let jar = old.log_in(spelling).await.jar();
        let me = old.me(&jar).await.json();
        assert_eq!(me["email"], json!("σοφόσ@example.org"));
        owners.insert(me["id"].to_string());
    }
    assert_eq!(owners.len(), 1);
    let users = old.auth.admin().list(None, None, 100).await.unwrap();
    assert!(users.iter().any(|user| user.email.as_str() == "σοφός@example.org"), "none was lost");
}

async fn a_peppered_database_opens_with_its_keys(ground: Ground) {
    let old = Upgraded::open(ground, "peppered").await;
    assert_eq!(old.log_in("ada@example.org").await.status, 200);
    let bea = &old.facts["bea"];
    let login = old.log_in("bea@example.org").await;
    let answer = old.second_step(&login.json()["session_token"], &old.next_code(&bea["totp"])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let login = old.log_in("bea@example.org").await;
    let answer = old.second_step(&login.json()["session_token"], bea["codes"][3].as_str().unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(old.me(&old.resume(&bea["session"]).await).await.status, 200);
}
