//! Accounts in a user table of your own: `cargo run --features full --example custom_store`.
//!
//! The table is the application's, with its own kind of ids and its own columns. [`AppUsers`] lends four of its columns to
//! the account system: `id`, `email`, one opaque text for the rest, and the time of the last change. Everything else of
//! the file (sessions, mails, attempts) is kept by the built-in store.

#![allow(clippy::print_stdout, reason = "it tells the person at the terminal what happens")]

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use auth_system::account::{PasswordResetConfirm, SignUpRequest};
use auth_system::login::LoginRequest;
use auth_system::port::{
    ChangePage, Clock, FeedPosition, LoginRecord, Mail, MailError, Mailer, NewUser, Random as _, Since, StoreError,
    Unique, UserChange, UserInsert, UserKey, UserSecurity, UserStore, UserUpdate, dummy_row,
};
use auth_system::store::SqliteStore;
use auth_system::system::{SystemClock, SystemRandom};
use auth_system::types::{Identifier, Personal, TenantId, Timestamp, UserKeys};
use auth_system::{Auth, Channel, Client, Config, Email, Password, RootSecret, User, UserId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, SqlitePool, query};
use tokio::sync::mpsc;

/// The application's table. `plan` and `display_name` are its own business, and stay so.
const APP_SCHEMA: &str = "CREATE TABLE IF NOT EXISTS app_users (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    email           TEXT NOT NULL UNIQUE,
    display_name    TEXT NOT NULL DEFAULT '',
    plan            TEXT NOT NULL DEFAULT 'free',
    auth            TEXT NOT NULL,
    auth_changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS app_users_changed ON app_users (auth_changed_at, id);
CREATE TABLE IF NOT EXISTS app_dummy_writes (id INTEGER PRIMARY KEY, writes INTEGER NOT NULL) STRICT";

/// The application's users, as the account system sees them. One tenant, no usernames.
#[derive(Clone)]
pub(crate) struct AppUsers {
    pool: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl AppUsers {
    pub(crate) fn new(pool: SqlitePool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// The row of an id, if the text is one of this table's ids as it writes them.
    async fn row(&self, tenant: &TenantId, id: &UserId) -> Result<Option<SqliteRow>, StoreError> {
        let Some(id) = row_id(tenant, id) else { return Ok(None) };
        query("SELECT id, email, auth, auth_changed_at FROM app_users WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)
    }

    /// Turns the account into what `decide` makes of it. If somebody else wrote since it was read, `decide` is asked again
    /// about what is there now. Names our columns only, so no write of the application is ever lost.
    async fn swap(
        &self,
        tenant: &TenantId,
        id: &UserId,
        decide: impl Fn(&User, Timestamp) -> Option<User> + Send + Sync,
    ) -> Result<Swap, StoreError> {
        loop {
            let Some(row) = self.row(tenant, id).await? else { return Ok(Swap::Refused) };
            let Some(next) = decide(&read(&row)?, self.clock.now()) else { return Ok(Swap::Refused) };
            let statement =
                "UPDATE app_users SET email = $3, auth = $4, auth_changed_at = $5 WHERE id = $1 AND auth = $2";
            let written = query(statement)
                .bind(row.try_get::<i64, _>("id").map_err(store_error)?)
                .bind(row.try_get::<String, _>("auth").map_err(store_error)?)
                .bind(next.email.as_str())
                .bind(next.to_opaque())
                .bind(next.changed_at.micros())
                .execute(&self.pool)
                .await;
            match written {
                Ok(done) if done.rows_affected() == 1 => return Ok(Swap::Done(next)),
                Ok(_) => {}
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(Swap::EmailTaken),
                Err(error) => return Err(store_error(error)),
            }
        }
    }
}

enum Swap {
    Done(User),
    /// Nothing was written: no such account, or not as it is now.
    Refused,
    EmailTaken,
}

#[async_trait]
impl UserStore for AppUsers {
    async fn insert(&self, user: &NewUser) -> Result<UserInsert, StoreError> {
        if user.tenant != TenantId::default() || user.username.is_some() {
            return Err(StoreError::corrupt("this table has one tenant and no usernames"));
        }
        let mut user = user.clone().into_user(self.clock.now());
        let statement = "INSERT INTO app_users (email, auth, auth_changed_at) VALUES ($1, $2, $3) \
            ON CONFLICT (email) DO NOTHING RETURNING id";
        let inserted = query(statement)
            .bind(user.email.as_str())
            .bind(user.to_opaque())
            .bind(user.changed_at.micros())
            .fetch_optional(&self.pool)
            .await
            .map_err(store_error)?;
        let Some(row) = inserted else { return Ok(UserInsert::Conflict(Unique::Email)) };
        user.id = user_id(row.try_get("id").map_err(store_error)?)?;
        Ok(UserInsert::Created(user))
    }

    async fn find(&self, tenant: &TenantId, key: UserKey<'_>) -> Result<Option<User>, StoreError> {
        let row = match key {
            UserKey::Id(id) => self.row(tenant, id).await?,
            UserKey::Email(email) if *tenant == TenantId::default() => {
                query("SELECT id, email, auth, auth_changed_at FROM app_users WHERE email = $1")
                    .bind(email.as_str())
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(store_error)?
            }
            _ => None,
        };
        row.as_ref().map(read).transpose()
    }

    async fn update_if(&self, current: &User, change: &UserChange) -> Result<UserUpdate, StoreError> {
        let decide = |stored: &User, now| {
            let unchanged = stored.revision == current.revision;
            unchanged.then(|| change.apply(stored, now))
        };
        Ok(match self.swap(&current.tenant, &current.id, decide).await? {
            Swap::Done(user) => UserUpdate::Done(user),
            Swap::Refused => UserUpdate::Stale,
            Swap::EmailTaken => UserUpdate::Conflict(Unique::Email),
        })
    }

    async fn remove_if(&self, current: &User) -> Result<bool, StoreError> {
        let Some(row) = self.row(&current.tenant, &current.id).await? else { return Ok(false) };
        if read(&row)?.revision != current.revision {
            return Ok(false);
        }
        // Compares the whole row that was read, so one of two concurrent calls removes it.
        let statement = "DELETE FROM app_users WHERE id = $1 AND auth = $2";
        let removed = query(statement)
            .bind(row.try_get::<i64, _>("id").map_err(store_error)?)
            .bind(row.try_get::<String, _>("auth").map_err(store_error)?)
            .execute(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn count_failure(&self, tenant: &TenantId, id: &UserId, below: u32) -> Result<bool, StoreError> {
        let decide = |stored: &User, _| {
            let consecutive_failures = stored.consecutive_failures + 1;
            (consecutive_failures <= below).then(|| User { consecutive_failures, ..stored.clone() })
        };
        Ok(matches!(self.swap(tenant, id, decide).await?, Swap::Done(_)))
    }

    /// In the same file, or it would not take the same time.
    async fn dummy_write(&self, row: &str) -> Result<(), StoreError> {
        let statement = "INSERT INTO app_dummy_writes (id, writes) VALUES ($1, 1) \
            ON CONFLICT (id) DO UPDATE SET writes = writes + 1";
        query(statement).bind(dummy_row(row)).execute(&self.pool).await.map(drop).map_err(store_error)
    }

    async fn record_login(&self, tenant: &TenantId, id: &UserId, login: &LoginRecord) -> Result<(), StoreError> {
        self.swap(tenant, id, |stored, _| Some(login.apply(stored))).await.map(drop)
    }

    async fn changes(&self, since: &Since, limit: usize) -> Result<ChangePage<UserSecurity>, StoreError> {
        let (from, after) = since.start(self.clock.now());
        let after: i64 = after.map_or(Ok(i64::MIN), |id| id.parse().map_err(StoreError::corrupt))?;
        let statement = "SELECT id, email, auth, auth_changed_at FROM app_users \
            WHERE (auth_changed_at, id) > ($1, $2) ORDER BY auth_changed_at, id LIMIT $3";
        let rows = query(statement)
            .bind(from.micros())
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)?;
        Ok(ChangePage::read(rows.iter(), limit, |row| {
            let id = user_id(row.try_get("id").map_err(store_error)?)?;
            let changed_at = Timestamp::from_micros(row.try_get("auth_changed_at").map_err(store_error)?);
            let user = read(row).map(|user| UserSecurity::from(&user));
            let user = UserSecurity::of_row(TenantId::default(), id, user);
            Ok((user, FeedPosition { changed_at, id: id.to_string() }))
        }))
    }
}

fn read(row: &SqliteRow) -> Result<User, StoreError> {
    let email: &str = row.try_get("email").map_err(store_error)?;
    let keys = UserKeys {
        tenant: TenantId::default(),
        id: user_id(row.try_get("id").map_err(store_error)?)?,
        email: Email::stored(email, None).ok_or_else(|| StoreError::corrupt("a row without an address"))?,
        changed_at: Timestamp::from_micros(row.try_get("auth_changed_at").map_err(store_error)?),
    };
    User::from_opaque(keys, row.try_get("auth").map_err(store_error)?).map_err(StoreError::corrupt)
}

fn user_id(id: i64) -> Result<UserId, StoreError> {
    UserId::parse(&id.to_string()).map_err(StoreError::corrupt)
}

/// Clients name ids in links: what this table would not write (`007`, `+7`, `ada`) is nobody.
fn row_id(tenant: &TenantId, id: &UserId) -> Option<i64> {
    let number: i64 = id.as_str().parse().ok()?;
    (*tenant == TenantId::default() && number.to_string() == id.as_str()).then_some(number)
}

/// Down, or wrong: a request may be tried again only in the first case.
fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(_) | sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            StoreError::unavailable(error)
        }
        _ => StoreError::corrupt(error),
    }
}

/// The application's own connections, as it has them anyway. Statements wait for a lock as long as the account system does.
pub(crate) async fn open(url: &str) -> Result<SqlitePool, sqlx::Error> {
    let options: SqliteConnectOptions = url.parse()?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(std::time::Duration::from_secs(3));
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    sqlx::raw_sql(APP_SCHEMA).execute(&pool).await?;
    Ok(pool)
}

/// Hands the mailed links to the one who plays the user below.
struct Mailbox(mpsc::UnboundedSender<(UserId, String)>);

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        println!("   mail to {}: {}", mail.to, mail.purpose.as_str());
        if let Some(link) = &mail.link {
            self.0
                .send((link.user, link.token.expose().to_owned()))
                .map_err(|_| MailError::Transient("nobody reads mails".into()))?;
        }
        Ok(())
    }
}

/// The life of an account, without HTTP. With it, all that differs is `.merge(auth_system::router(auth))`.
pub(crate) async fn life_of_an_account(url: &str) -> Result<(), Box<dyn Error>> {
    let pool = open(url).await?;
    let store = SqliteStore::open(url).await?;
    let (letters, mut mailbox) = mpsc::unbounded_channel();
    // Of this run alone: a server reads its secret from a secret store.
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes)?;
    let secret = RootSecret::from_bytes(&bytes)?;
    let auth = Auth::builder(Config::new(secret, "http://localhost:3000"))
        .users(AppUsers::new(pool.clone(), Arc::new(SystemClock)))
        .stores_beside_users(store)
        .mailer(Mailbox(letters))
        .without_workers()
        .build()?;
    let (system, client) = (auth.system(), Client::default());
    let show = async |what: &str| -> Result<(), sqlx::Error> {
        let row = query("SELECT id, email, display_name, plan FROM app_users").fetch_one(&pool).await?;
        let (id, email): (i64, String) = (row.try_get("id")?, row.try_get("email")?);
        let (name, plan): (String, String) = (row.try_get("display_name")?, row.try_get("plan")?);
        println!("{what}\n   app_users: id={id} email={email} display_name={name:?} plan={plan}");
        assert!(plan != "pro" || name == "Ada Lovelace", "the application's columns are its own");
        Ok(())
    };

    let email = Email::parse("Ada@Example.org")?;
    let password = system.request(&client).new_password("password", "first password", Personal::default())?;
    let request = SignUpRequest::new(email.clone(), password);
    system.request(&client).sign_up(request).await?;
    show("Ada signs up: a row with an id of the table.").await?;

    system.deliver_mail().await?;
    let (user, token) = mailbox.try_recv()?;
    system.request(&client).verify_email(Some(user), &token).await?;
    query("UPDATE app_users SET display_name = 'Ada Lovelace', plan = 'pro' WHERE email = 'ada@example.org'")
        .execute(&pool)
        .await?;
    show("She proves her mailbox, and the application writes its own columns.").await?;

    let login = async |password: &str| {
        let password = Password::new(password).unwrap_or_default();
        let request = LoginRequest::new(Identifier::parse("ada@example.org"), &password).channel(Channel::Header);
        let outcome = system.request(&client).login(request).await?;
        outcome.logged_in().ok_or_else(|| Box::<dyn Error>::from("a second factor that nobody enrolled"))
    };
    let session = login("first password").await?.session;
    show("She logs in.").await?;

    system.request(&client).request_password_reset(&email).await?;
    system.deliver_mail().await?;
    let (user, token) = mailbox.try_recv()?;
    let password = system.request(&client).new_password("password", "second password", Personal::default())?;
    let request = PasswordResetConfirm { user: Some(user), token: &token, password: &password };
    system.request(&client).confirm_password_reset(request).await?;
    show("She resets her password: the application's columns are as they were.").await?;

    let refused = system.authenticate(session.access.token.expose()).await.err().ok_or("the old session lives")?;
    println!("Her old session is over: {refused}.");
    let refused = login("first password").await.err().ok_or("the old password works")?;
    println!("Her old password is, too: {refused}.");
    let session = login("second password").await?.session;
    let live = system.authenticate(session.access.token.expose()).await?;
    println!("With the new one she is user {} again.", live.user());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "custom_store.db".into());
    if std::path::Path::new(&file).exists() {
        return Err(format!("{file} exists: Ada signs up in a new file").into());
    }
    life_of_an_account(&format!("sqlite://{file}")).await?;
    println!("All of it is in {file}.");
    Ok(())
}
