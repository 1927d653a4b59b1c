//! A bad day of the mail server, with everything in its place: requests, outbox, worker and SMTP over a socket. Whatever
//! the server does, each mail arrives once; twice where nobody could know that it had; and never not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_system::auth_core::port::Event;
use auth_system::mail::{SmtpTransport, TemplateMailer, Templates};
use serde_json::json;

use crate::fake_smtp::{FakeServer, Fault, Mode};
use crate::faults::Faults;
use crate::ports::free_port;
use crate::scenarios;
use crate::workers::eventually;
use crate::world::{self, Ground, PASSWORD, World, post};

scenarios![
    a_bad_day_of_the_mail_server_costs_no_mail,
    no_request_waits_for_a_mail_server_that_hangs,
    a_crash_in_the_middle_of_a_mail_never_loses_it,
];

/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2 * 60 * 60);
const LEASE: Duration = Duration::from_secs(120);

/// The place of a mail server where there is none yet.
async fn server_on(port: u16) -> FakeServer {
    FakeServer::start_on(port, "localhost", Mode::Plaintext, &[]).await
}

/// The same world as a process of its own, whose worker sends by SMTP. The process before it dies in the middle of
/// whatever it did.
fn process(world: World, port: u16, limit: Duration) -> World {
    let sender = "Example <no-reply@example.org>".parse().unwrap();
    let smtp = SmtpTransport::new(&format!("smtp://127.0.0.1:{port}?insecure=plaintext"), sender).unwrap();
    let config = world::config();
    let templates = Templates::new(&config.frontend_url, &config.product).unwrap();
    let mailer = TemplateMailer::new(templates, smtp.time_limit(limit).unwrap());
    let auth = Faults::default().builder(&world, config).mailer(mailer);
    let auth = auth.build().unwrap();
    world.around(auth)
}

async fn sign_up(world: &World, name: &str) {
    assert_eq!(world.sign_up(&address(name), PASSWORD).await.status, 201, "{name}");
}

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

/// Signs up and waits until the first try to send the mail has failed for now. Older mails that are due come first.
async fn delayed(world: &World, name: &str) {
    world.events.take();
    sign_up(world, name).await;
    let first_try = |event: &Event| matches!(event, Event::MailDelayed { tries: 1, .. });
    eventually(name, || world.events.take().iter().any(first_try).then_some(())).await;
}

/// Signs up and waits until the mail has arrived. Older mails that are due come first.
async fn arrives(world: &World, server: &FakeServer, name: &str) {
    sign_up(world, name).await;
    eventually(name, || server.taken().contains(&address(name)).then_some(())).await;
}

/// How many mails each of these names got.
fn copies<'a>(servers: impl IntoIterator<Item = &'a Vec<String>>) -> BTreeMap<String, usize> {
    servers.into_iter().flatten().fold(BTreeMap::new(), |mut copies, to| {
        *copies.entry(to.strip_suffix("@example.org").unwrap().to_owned()).or_default() += 1;
        copies
    })
}

fn expected(copies: &[(&str, usize)]) -> BTreeMap<String, usize> {
    copies.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

async fn a_bad_day_of_the_mail_server_costs_no_mail(ground: Ground) {
    let port = free_port();
    let world = process(ground.world().await, port, Duration::from_secs(3));
    delayed(&world, "refused").await;

    let server = server_on(port).await;
    // Each reply takes longer than anybody waits: one at the greeting, one in the middle.
    server.misbehave("GREETING", Fault::Silence);
    delayed(&world, "slow").await;
    server.misbehave("RCPT", Fault::Silence);
    delayed(&world, "slower").await;
    // It is gone in the middle of the text, and after the last line without a word: that one it has.
    server.misbehave("DATA", Fault::CloseAfter);
    delayed(&world, "torn").await;
    server.misbehave("MESSAGE", Fault::Close);
    delayed(&world, "unanswered").await;
    for (name, at, reply) in [
        ("busy", "EHLO", "421 too busy"),
        ("greylisted", "RCPT TO:<greylisted@", "451 come back later"),
        ("full", "MESSAGE", "452 no room"),
    ] {
        server.misbehave(at, Fault::Reply(reply));
        delayed(&world, name).await;
    }
    // One recipient is refused for good; the next one is not.
    server.misbehave("RCPT TO:<nobody@", Fault::Reply("550 no such mailbox"));
    sign_up(&world, "nobody").await;
    arrives(&world, &server, "somebody").await;
    // Of two that wait since the same moment, either may come first.
    let given_up = || world.events.take().iter().any(|event| matches!(event, Event::MailDead { .. }));
    eventually("the one that is refused for good", || given_up().then_some(())).await;
    assert_eq!(copies([&server.taken()]), expected(&[("unanswered", 1), ("somebody", 1)]));

    // An hour without a server; the old ones are tried again and again.
    let first_server = server.taken();
    drop(server);
    for minutes in ["10", "20", "30", "40", "50", "60"] {
        delayed(&world, &format!("hour{minutes}")).await;
        world.advance(Duration::from_secs(600));
    }
    let server = server_on(port).await;
    world.advance(LONGEST_BACKOFF);
    arrives(&world, &server, "afterwards").await;
    // Nothing is left that would come a second time.
    for day in ["day1", "day2"] {
        world.advance(Duration::from_secs(24 * 60 * 60));
        arrives(&world, &server, day).await;
    }
    let dead = world.dead_mails().dead_mails(10).await.unwrap();
    assert_eq!(dead.iter().map(|mail| mail.intent.to.as_str()).collect::<Vec<_>>(), ["nobody@example.org"]);
    assert!(dead[0].reason.contains("550"), "{}", dead[0].reason);
    let once = [
        "refused",
        "slow",
        "slower",
        "torn",
        "busy",
        "greylisted",
        "full",
        "somebody",
        "hour10",
        "hour20",
        "hour30",
        "hour40",
        "hour50",
        "hour60",
        "afterwards",
        "day1",
        "day2",
    ];
    let mut wanted = expected(&once.map(|name| (name, 1)));
    wanted.insert("unanswered".to_owned(), 2);
    assert_eq!(copies([&first_server, &server.taken()]), wanted);

    // The operator has put the mailbox right.
    assert!(world.dead_mails().revive(dead[0].id, world.auth.system().ports().clock.now()).await.unwrap());
    arrives(&world, &server, "revived").await;
    wanted.extend(expected(&[("nobody", 1), ("revived", 1)]));
    assert_eq!(copies([&first_server, &server.taken()]), wanted);
}

async fn no_request_waits_for_a_mail_server_that_hangs(ground: Ground) {
    let port = free_port();
    let server = server_on(port).await;
    // Longer than the test waits for anything.
    let world = process(ground.world().await, port, Duration::from_secs(90));
    arrives(&world, &server, "ada").await;
    server.misbehave("MAIL", Fault::Silence);
    sign_up(&world, "first").await;
    let hangs = || server.record().iter().filter(|line| line.starts_with("MAIL")).count() == 2;
    eventually("the server to hang", || hangs().then_some(())).await;
    world.events.take();
    for number in 0..20 {
        sign_up(&world, &format!("user{number}")).await;
        let reset = json!({ "email": address("ada") });
        assert_eq!(world.send(post("password-reset/").json(reset)).await.status, 200);
        world.log_in(&address("ada"), PASSWORD).await.refused(401, "invalid_credentials");
    }
    let of_mails = |event: &Event| matches!(event, Event::MailSent { .. } | Event::MailDelayed { .. });
    assert!(!world.events.take().iter().any(of_mails), "all were answered while the server hung");
    assert_eq!(copies([&server.taken()]), expected(&[("ada", 1)]));
}

async fn a_crash_in_the_middle_of_a_mail_never_loses_it(ground: Ground) {
    let port = free_port();
    let server = server_on(port).await;
    let limit = Duration::from_secs(90);
    let mut world = process(ground.world().await, port, limit);
    for (name, at) in [("before", "RCPT"), ("after", "MESSAGE")] {
        server.misbehave(at, Fault::Silence);
        sign_up(&world, name).await;
        let mark = if at == "RCPT" { format!("RCPT TO:<{}>", address(name)) } else { format!("To: {}", address(name)) };
        let there = || server.record().iter().any(|entry| entry.contains(&mark));
        eventually("the moment of the crash", || there().then_some(())).await;
        world = process(world, port, limit);
        // Nobody takes it while the dead one's lease lasts.
        world.advance(LEASE - Duration::from_secs(1));
        arrives(&world, &server, &format!("{name}-1")).await;
        assert_eq!(copies([&server.taken()]).get(name).copied().unwrap_or(0), usize::from(at == "MESSAGE"));
        world.advance(Duration::from_secs(1));
        arrives(&world, &server, &format!("{name}-2")).await;
    }
    world.advance(Duration::from_secs(24 * 60 * 60));
    arrives(&world, &server, "last").await;
    let once = ["before", "before-1", "before-2", "after-1", "after-2", "last"];
    let mut wanted = expected(&once.map(|name| (name, 1)));
    wanted.insert("after".to_owned(), 2);
    assert_eq!(copies([&server.taken()]), wanted);
}
