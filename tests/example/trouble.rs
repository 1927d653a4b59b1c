//! A disk that is full, and a process that is killed: what was acknowledged is there, the rest can be repeated.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, prlimit};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use crate::server::{Server, Site, link};

/// One column of all rows of a table.
async fn column(site: &Site, sql: &'static str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(site.path("auth.db")).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn an_acknowledged_sign_up_survives_the_death_of_the_process() {
    let site = Site::new();
    for round in 0..10 {
        let server = site.start();
        let email = format!("user{round}@example.org");
        assert_eq!(site.sign_up(&email).status, 201);
        server.kill();
        assert!(column(&site, "SELECT email FROM auth_users").await.contains(&email), "round {round}");
        let waiting = column(&site, "SELECT address FROM auth_mail_outbox").await;
        let sent = site.mails().iter().any(|mail| mail.contains(&format!("To: {email}\r\n")));
        assert!(sent || waiting.contains(&email), "round {round}: its mail is neither sent nor queued");
    }
    let server = site.start();
    // What nobody was about to send goes out at once; the rest when its lease has ended.
    let leased = column(&site, "SELECT address FROM auth_mail_outbox WHERE state = 'leased'").await;
    for round in 0..10 {
        let email = format!("user{round}@example.org");
        if leased.contains(&email) {
            // Who is in a hurry asks again.
            let again = serde_json::json!({ "email": email });
            assert_eq!(site.call("POST", "/api/auth/resend-verification/").json(&again).send().status, 200);
        }
        let link = link(&site.mail(&email));
        let verify = format!("/api/auth/verify-account/?{}", link.split_once('?').unwrap().1);
        assert_eq!(site.call("GET", &verify).send().status, 200);
        assert_eq!(site.log_in(&email).status, 200);
    }
    assert!(server.end().success());
    assert_eq!(column(&site, "SELECT email FROM auth_users").await.len(), 10);
}

#[tokio::test]
async fn a_full_disk_is_503_and_nothing_is_there_by_half() {
    let site = Site::new();
    // A write past the limit of a file's size shall fail as it does on a full disk, not end the process.
    let original = site.command();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\""]).arg(original.get_program());
    command.current_dir(site.folder.path()).env_clear().stdin(Stdio::null());
    command.envs(original.get_envs().filter_map(|(name, text)| Some((name, text?))));
    let server = Server::of(command, &site);
    assert_eq!(site.sign_up("ada@example.org").status, 201);
    site.mail("ada@example.org");
    let limit = |bytes| {
        prlimit(Some(server.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    };
    limit(Some(fs::metadata(site.path("auth.db-wal")).unwrap().len()));
    let logged = server.log().len();
    let full = site.sign_up("bob@example.org");
    assert_eq!((full.status, full.json()["code"].as_str()), (503, Some("unavailable")), "{full:?}");
    assert_eq!(full.header("retry-after"), "1");
    assert_eq!(column(&site, "SELECT email FROM auth_users").await, ["ada@example.org"]);
    let log = server.log().split_off(logged);
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("disk I/O error")), "{log}");
    // What needs no writing goes on.
    assert_eq!(site.call("GET", "/").send().status, 200);
    assert_eq!(site.call("GET", "/api/auth/me/").send().status, 401);

    limit(None);
    assert_eq!(site.sign_up("bob@example.org").status, 201);
    site.mail("bob@example.org");
    let users: BTreeSet<_> = column(&site, "SELECT email FROM auth_users").await.into_iter().collect();
    assert_eq!(users, BTreeSet::from(["ada@example.org".to_owned(), "bob@example.org".to_owned()]));
    assert!(server.end().success());
}
