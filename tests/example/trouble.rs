//! A disk that is full: what was acknowledged is there, the rest can be repeated.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::on_each_server;
use crate::server::{Example, Server};

on_each_server![a_full_disk_is_503_and_nothing_is_there_by_half,];

#[tokio::main(flavor = "current_thread")]
async fn a_full_disk_is_503_and_nothing_is_there_by_half(example: Example) {
    let site = example.site();
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
    assert_eq!(site.column("SELECT email FROM auth_users").await, ["ada@example.org"]);
    let log = server.log().split_off(logged);
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("disk I/O error")), "{log}");
    // What needs no writing goes on.
    assert_eq!(site.call("GET", "/").send().status, 200);
    assert_eq!(site.call("GET", "/api/auth/me/").send().status, 401);

    limit(None);
    assert_eq!(site.sign_up("bob@example.org").status, 201);
    site.mail("bob@example.org");
    let users: BTreeSet<_> = site.column("SELECT email FROM auth_users").await.into_iter().collect();
    assert_eq!(users, BTreeSet::from(["ada@example.org".to_owned(), "bob@example.org".to_owned()]));
    assert!(server.end().success());
}
