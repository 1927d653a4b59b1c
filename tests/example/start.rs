//! A server that cannot start says why in one line, by the name of the variable, and says nothing secret.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use rustix::process::getuid;

use crate::on_each_server;
use crate::server::{Example, Site};

on_each_server![
    each_bad_variable_is_told_in_one_line,
    a_port_that_is_taken_is_named,
    a_key_file_that_is_no_key_is_named_and_left_alone,
    a_file_that_is_no_database_is_named_and_left_alone,
    a_folder_that_cannot_be_written_is_named,
    a_database_that_cannot_be_written_is_named_and_left_alone,
];

/// Nobody, on every Unix that matters.
const NOBODY: u32 = 65534;

#[track_caller]
fn refused(site: &Site, (code, stderr): (Option<i32>, String), expected: &str) {
    assert_eq!(code, Some(1), "{stderr}");
    let last = stderr.trim_end().lines().next_back().unwrap_or("");
    assert!(last.starts_with(expected), "`{expected}` is not how this begins: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("hunter2") && !last.contains("Error"), "{stderr}");
    assert!(!site.path("mails/x.eml").exists());
}

fn each_bad_variable_is_told_in_one_line(example: Example) {
    for (variable, text, line) in [
        ("AUTH_BIND", "localhost", "AUTH_BIND must be an address with a port, such as 127.0.0.1:3000: "),
        (
            "AUTH_SECRET",
            "hunter2",
            "AUTH_SECRET: is neither hexadecimal nor base64; make one with `openssl rand -hex 32`",
        ),
        (
            "AUTH_SECRET_ACCEPTED",
            "68756e74657232",
            "AUTH_SECRET_ACCEPTED: has 7 bytes where at least 32 are due; make one",
        ),
        (
            "AUTH_DATABASE_URL",
            "mysql://u:hunter2@h/db",
            "AUTH_DATABASE_URL must be `sqlite://FILE`, `postgres://...` or `memory:`",
        ),
        ("AUTH_DATABASE_URL", "sqlite://", "AUTH_DATABASE_URL"),
        ("AUTH_REDIS_URL", "http://u:hunter2@h/", "redis.url: "),
        ("AUTH_REDIS_PREFIX", "x:", "AUTH_REDIS_PREFIX: AUTH_REDIS_URL does not say where Redis is"),
        ("AUTH_MAIL", "pigeon", "AUTH_MAIL: neither `console`, `dir:PATH`, `smtp://...` nor `smtps://...`"),
        ("AUTH_MAIL", "smtps://u:hunter2@", "AUTH_MAIL: the mail server's address: "),
        ("AUTH_MAIL", "dir:/dev/null/x", "AUTH_MAIL: cannot make /dev/null/x: "),
        ("AUTH_MAIL_FROM", "nobody", "mail_from: "),
        ("AUTH_FRONTEND_URL", "https://u:hunter2@x", "frontend_url: must have a host and no user"),
        ("AUTH_FRONTEND_URL", "app.example.org", "frontend_url: `app.example.org` "),
        ("AUTH_COOKIE_SECURE", "maybe", "AUTH_COOKIE_SECURE: `maybe` is neither true nor false"),
        ("AUTH_COOKIE_SAMESITE", "none", "cookies.same_site: browsers take `None` only with `cookies.secure`"),
        ("AUTH_ACCESS_LIFETIME", "0", "access_lifetime: 0ns is not between 11s and 3600s"),
        ("AUTH_ARGON2_MEMORY_KIB", "64", "AUTH_ARGON2_MEMORY_KIB: 64 KiB is weak whatever the iterations: "),
        ("AUTH_THROTTLE_LOGIN", "often", "AUTH_THROTTLE_LOGIN: `often` is not a limit such as `10/min`"),
    ] {
        let site = example.site().with(variable, text);
        let (code, stderr) = site.fail(site.command());
        assert_eq!(stderr.lines().count(), 1, "{variable}: {stderr}");
        refused(&site, (code, stderr), line);
    }
}

fn a_port_that_is_taken_is_named(example: Example) {
    let site = example.site().with("AUTH_DATABASE_URL", "memory:");
    let _taken = TcpListener::bind(site.address).unwrap();
    let expected = format!("AUTH_BIND {}: Address already in use", site.address);
    refused(&site, site.fail(site.command()), &expected);
}

fn a_key_file_that_is_no_key_is_named_and_left_alone(example: Example) {
    for (content, problem) in
        [("", "has 0 bytes where at least 32 are due"), ("hunter2!", "is neither hexadecimal nor base64")]
    {
        let site = example.site();
        fs::write(site.path("auth.key"), content).unwrap();
        refused(&site, site.fail(site.command()), &format!("the key file auth.key {problem}"));
        assert_eq!(fs::read_to_string(site.path("auth.key")).unwrap(), content);
        assert!(!site.path("auth.db").exists());
    }
}

fn a_file_that_is_no_database_is_named_and_left_alone(example: Example) {
    let site = example.site();
    let content = "my diary\n".repeat(1000);
    fs::write(site.path("auth.db"), &content).unwrap();
    refused(&site, site.fail(site.command()), "AUTH_DATABASE_URL sqlite://auth.db: the store holds what cannot be: ");
    assert_eq!(fs::read_to_string(site.path("auth.db")).unwrap(), content);
}

/// Starts a server for which permissions count. `None`, and a reason on stderr, where that cannot be had.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn as_nobody(site: &Site) -> Option<(Option<i32>, String)> {
    let mut command = site.command();
    if getuid().is_root() {
        // The folder of the build may be closed to others; a copy is not.
        let copy = site.path("server");
        fs::copy(command.get_program(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let variables: Vec<_> =
            command.get_envs().map(|(name, text)| (name.to_owned(), text.map(OsStr::to_owned))).collect();
        command = std::process::Command::new(copy);
        command.current_dir(site.folder.path()).env_clear().uid(NOBODY).gid(NOBODY);
        command.envs(variables.into_iter().filter_map(|(name, text)| Some((name, text?))));
    }
    match command.output() {
        Ok(output) => Some((output.status.code(), String::from_utf8(output.stderr).unwrap())),
        Err(error) => {
            // Beside the servers of the full run nothing may be left out.
            assert!(std::env::var_os("AUTH_TEST_POSTGRES").is_none(), "as another user: {error}");
            eprintln!("skipped: a server cannot be started as another user: {error}");
            None
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn give_away(path: &Path) {
    if getuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

const SECRET: &str = concat!("c41f7ab8092e5d63f8b4107e9a2cd53f", "6e04b1d79c8f23a05b7ee1468d3092fc");

fn a_folder_that_cannot_be_written_is_named(example: Example) {
    let site = example.site().with("AUTH_SECRET", SECRET).with("AUTH_MAIL", "console");
    give_away(site.folder.path());
    let folder = site.path("closed");
    fs::create_dir(&folder).unwrap();
    give_away(&folder);
    set_mode(&folder, 0o555);
    let site = site.with("AUTH_DATABASE_URL", &format!("sqlite://{}", folder.join("auth.db").display()));
    if let Some(failed) = as_nobody(&site) {
        assert!(failed.1.contains("Permission denied"), "{}", failed.1);
        refused(&site, failed, "AUTH_DATABASE_URL sqlite://");
    }
    // Without a secret it is the key that cannot be made.
    let site = example.site().with("AUTH_DATABASE_URL", &format!("sqlite://{}", folder.join("auth.db").display()));
    give_away(site.folder.path());
    if let Some(failed) = as_nobody(&site) {
        refused(&site, failed, &format!("the key file {}: Permission denied", folder.join("auth.key").display()));
    }
    set_mode(&folder, 0o755);
}

fn a_database_that_cannot_be_written_is_named_and_left_alone(example: Example) {
    let site = example.site().with("AUTH_SECRET", SECRET).with("AUTH_MAIL", "console");
    let server = site.start();
    assert_eq!(site.sign_up("ada@example.org").status, 201);
    assert!(server.end().success());
    let _ = (fs::remove_file(site.path("auth.db-wal")), fs::remove_file(site.path("auth.db-shm")));
    give_away(site.folder.path());
    give_away(&site.path("auth.db"));
    set_mode(&site.path("auth.db"), 0o444);
    let before = fs::read(site.path("auth.db")).unwrap();
    if let Some(failed) = as_nobody(&site) {
        refused(&site, failed, "AUTH_DATABASE_URL sqlite://auth.db: the store does not answer: ");
    }
    assert_eq!(fs::read(site.path("auth.db")).unwrap(), before);
}
