//! A user table of django-auth-system moves here, and everybody logs in with the password they have.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails fails its test")]

use std::path::Path;

use auth_system::auth_core::account::{ImportedUser, UserImport};
use auth_system::auth_core::port::{MailPurpose, UserKey};
use auth_system::auth_core::testing::RecordingMailer;
use auth_system::auth_core::token::RootSecret;
use auth_system::auth_core::types::{Attributes, Email, TenantId, Timestamp, User, UserId, UserStatus, Username};
use auth_system::hash::Argon2Params;
use auth_system::store::SqliteStore;
use auth_system::{Auth, Config, import};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Row as _, query};

/// `auth_user` as Django makes it, with hashes that Django 5.2 made at its own cost, save the second, whose 1,000,000
/// iterations take too long without optimisation.
const OLD_TABLE: &str = "
CREATE TABLE auth_user (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT, password varchar(128) NOT NULL, last_login datetime NULL,
    is_superuser bool NOT NULL DEFAULT 0, username varchar(150) NOT NULL UNIQUE, last_name varchar(150) NOT NULL DEFAULT '',
    email varchar(254) NOT NULL, is_staff bool NOT NULL DEFAULT 0, is_active bool NOT NULL, date_joined datetime NOT NULL,
    first_name varchar(150) NOT NULL
);
INSERT INTO auth_user (id, email, username, first_name, is_active, date_joined, last_login, password) VALUES
(3, 'sha256@Example.org', 'sha256', 'Ada', 1, '2019-05-01 10:00:00', '2026-01-01 00:00:00',
    'pbkdf2_sha256$1000000$TGWtgu8lpVAgFSiOrqROOd$UKCH1sKAprNPqj7zaNTBegFAgoCMU48aHHhQbZOoIuM='),
(4, 'sha1@example.org', 'sha1', '', 1, '2019-05-02 10:00:00', NULL, 'pbkdf2_sha1$1000$sel1$vJNr+FaCdlysSjlDtWwuaUNIvoI='),
(5, 'argon2@example.org', 'argon2', '', 1, '2019-05-03 10:00:00', NULL,
    'argon2$argon2id$v=19$m=102400,t=2,p=8$b3M2TGVBMFdXTzVpVGJKZmlvRklIYg$e8UmCHtanzewk2E6PLgPG4lAxkjpURmli0SbWM9ebto'),
(6, 'bcrypt_sha256@example.org', 'bcrypt_sha256', '', 1, '2019-05-04 10:00:00', NULL,
    'bcrypt_sha256$$2b$12$iIyHFtfSWd7NAdEzryEI2egDw5c083Ad7TpFQ.wlIpodHPZWhF9V.'),
(7, 'bcrypt@example.org', 'bcrypt', '', 1, '2019-05-05 10:00:00', NULL,
    'bcrypt$$2b$12$tbuDKw0l8jQbKghcovUGg.0KK0a9vmXzos.dwoklYWwI7qXZ1so2G'),
(8, 'scrypt@example.org', 'scrypt', '', 1, '2019-05-06 10:00:00', NULL,
    'scrypt$16384$FrlszeaHDbT3NjIHrSfydy$8$5$RKkpVfu6iLBg7LQgcp10OsaflYa0Wj/ZhxET83eyipRwPhU1D0/aTBsLDIdyxWfnK1OIa476+fGy4TmTkpLtBw=='),
(9, 'nopassword@example.org', 'nopassword', '', 1, '2019-05-07 10:00:00', NULL, '!cHEVQI1UDR4TJsDXZmfq2AtEjNtQTgWJ3jsUrwHv'),
(10, 'waiting@example.org', 'waiting', '', 0, '2019-05-08 10:00:00', NULL,
    'bcrypt$$2b$12$tbuDKw0l8jQbKghcovUGg.0KK0a9vmXzos.dwoklYWwI7qXZ1so2G'),
(11, 'shut@example.org', 'shut', '', 0, '2019-05-09 10:00:00', '2020-01-01 00:00:00',
    'bcrypt$$2b$12$tbuDKw0l8jQbKghcovUGg.0KK0a9vmXzos.dwoklYWwI7qXZ1so2G');
";
const PASSWORD: &str = "an old password of Django's";
const WITH_PASSWORD: [&str; 6] = ["sha256", "sha1", "argon2", "bcrypt_sha256", "bcrypt", "scrypt"];

/// The old table's rows, by id.
async fn old_users(file: &Path) -> Vec<ImportedUser> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let old = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(OLD_TABLE).execute(&old).await.unwrap();
    let select = "SELECT id, email, username, password, is_active, first_name, unixepoch(date_joined) AS joined, \
        unixepoch(last_login) AS last_login FROM auth_user ORDER BY id";
    let rows = query(select).fetch_all(&old).await.unwrap();
    old.close().await;
    let imported = |row: &sqlx::sqlite::SqliteRow| {
        let active: bool = row.get("is_active");
        let last_login: Option<i64> = row.get("last_login");
        let joined = Timestamp::from_seconds(row.get("joined"));
        ImportedUser {
            tenant: TenantId::default(),
            id: Some(UserId::parse(&row.get::<i64, _>("id").to_string()).unwrap()),
            email: Email::parse(row.get("email")).unwrap(),
            username: Username::parse(row.get("username")).ok(),
            email_verified_at: active.then_some(joined),
            status: if !active && last_login.is_some() { UserStatus::Disabled } else { UserStatus::Active },
            password_hash: import::password(row.get("password")).unwrap(),
            attributes: Attributes::from_iter([("first_name".to_owned(), row.get::<String, _>("first_name").into())]),
            created_at: joined,
            last_login_at: last_login.map(Timestamp::from_seconds),
        }
    };
    rows.iter().map(imported).collect()
}

struct World {
    auth: Auth,
    mailer: RecordingMailer,
    dir: tempfile::TempDir,
}

impl World {
    /// The new system with all old accounts.
    async fn moved() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secret =
            RootSecret::parse(concat!("c41f7ab8092e5d63f8b4107e9a2cd53f", "6e04b1d79c8f23a05b7ee1468d3092fc")).unwrap();
        let mut config = Config::new(secret, "https://app.example.org");
        config.argon2 = Argon2Params::insecure_for_tests();
        config.policy.usernames = true;
        config.policy.timed_limits = false;
        let mailer = RecordingMailer::default();
        let store = SqliteStore::open(&format!("sqlite://{}", dir.path().join("auth.db").display())).await.unwrap();
        let builder = Auth::builder(config).store(store).mailer(mailer.clone());
        let world = Self { auth: builder.without_workers().build().unwrap(), mailer, dir };
        for user in old_users(&world.dir.path().join("old.db")).await {
            let import = world.auth.system().import_user(&user).await.unwrap();
            assert!(matches!(import, UserImport::Created(id) if Some(id) == user.id), "{import:?}");
        }
        world
    }

    async fn log_in(&self, identifier: (&str, &str), password: &str) -> StatusCode {
        let body = json!({ identifier.0: identifier.1, "password": password }).to_string();
        let request = Request::post("/api/auth/login/").header("content-type", "application/json");
        self.auth.respond(request.body(Full::new(bytes::Bytes::from(body))).unwrap(), None).await.status()
    }

    async fn log_in_by_email(&self, name: &str, password: &str) -> StatusCode {
        self.log_in(("email", &format!("{name}@example.org")), password).await
    }

    async fn user(&self, name: &str) -> User {
        let email = Email::parse(&format!("{name}@example.org")).unwrap();
        let found = self.auth.system().ports().users.find(&TenantId::default(), UserKey::Email(&email)).await;
        found.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_logs_in_with_the_old_password_and_leaves_a_hash_of_ours() {
    let world = World::moved().await;
    for name in WITH_PASSWORD {
        let before = world.user(name).await;
        let old = before.password_hash.clone().unwrap();
        assert_eq!(world.log_in_by_email(name, "another password").await, 401, "{name}");
        assert_eq!(world.user(name).await.password_hash.as_ref(), Some(&old), "a wrong password renews nothing");
        assert_eq!(world.log_in_by_email(name, PASSWORD).await, 200, "{name}");
        let after = world.user(name).await;
        let new = after.password_hash.clone().unwrap();
        assert!(new.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{name}");
        assert_eq!((after.revision, after.token_version), (before.revision, before.token_version));
        // From now on the new hash counts, and stays.
        assert_eq!(world.log_in(("username", name), PASSWORD).await, 200, "{name}");
        assert_eq!(world.log_in_by_email(name, "another password").await, 401, "{name}");
        assert_eq!(world.user(name).await.password_hash, Some(new), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_not_log_in_there_cannot_log_in_here() {
    let world = World::moved().await;
    for name in ["nopassword", "waiting", "shut"] {
        for password in [PASSWORD, "", "!", "!cHEVQI1UDR4TJsDXZmfq2AtEjNtQTgWJ3jsUrwHv"] {
            let status = world.log_in_by_email(name, password).await;
            assert_eq!(status, if password.is_empty() { 400 } else { 401 }, "{name} {password}");
        }
    }
    // The one whose mailbox was never proven gets the mail that proves it; the one that was shut gets none.
    while !world.auth.system().deliver_mail().await.unwrap().is_idle() {}
    let mails: Vec<_> = world.mailer.take().into_iter().map(|mail| (mail.to, mail.purpose)).collect();
    assert_eq!(mails, [("waiting@example.org".to_owned(), MailPurpose::VerifyEmail)]);
    assert_eq!(world.user("nopassword").await.password_hash, None);
    let shut = world.user("shut").await;
    assert_eq!((shut.status, shut.is_verified(), shut.password_hash.is_some()), (UserStatus::Disabled, false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_table_knew_is_kept_and_a_second_run_changes_nothing() {
    let world = World::moved().await;
    let ada = world.user("sha256").await;
    assert_eq!((ada.id.as_str(), ada.email.as_str()), ("3", "sha256@example.org"));
    assert_eq!(ada.attributes, Attributes::from_iter([("first_name".to_owned(), Value::from("Ada"))]));
    assert_eq!(ada.created_at, Timestamp::from_seconds(1_556_704_800));
    assert_eq!(ada.email_verified_at, Some(ada.created_at));
    assert_eq!(ada.last_login_at, Some(Timestamp::from_seconds(1_767_225_600)));
    assert_eq!(world.log_in_by_email("bcrypt", PASSWORD).await, 200);
    let mut before = Vec::new();
    for user in old_users(&world.dir.path().join("again.db")).await {
        before.push(world.user(user.email.local_part()).await);
        let import = world.auth.system().import_user(&user).await.unwrap();
        assert!(matches!(import, UserImport::Exists(id) if Some(id) == user.id), "{import:?}");
        assert_eq!(Some(&world.user(user.email.local_part()).await), before.last());
    }
    assert_eq!(before.len(), 9);
}
