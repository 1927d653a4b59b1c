#[path = "../../../tests/common/fake_smtp.rs"]
#[allow(dead_code, reason = "each of its users needs a part")]
mod fake;

use std::io::Write;
use std::sync::{Arc, Mutex};

use fake::{FakeServer, Fault, Mode};

use super::*;

const LINK: &str = "https://app.example.org/verify-account?uid=MQ&token=the-token";

fn mail_to(address: &str) -> RenderedMail {
    RenderedMail {
        id: auth_core::types::MailId(uuid::Uuid::from_u128(7)),
        to: Email::parse(address).unwrap(),
        subject: "Verify your account".into(),
        text: format!("Follow\n.\n{LINK}\n"),
        html: "<p>html</p>\n".into(),
    }
}

fn sender() -> Sender {
    "Example <no-reply@example.org>".parse().unwrap()
}

/// A client of that server, in its mode and with the password it expects.
fn client(server: &FakeServer, mode: Mode) -> SmtpTransport {
    let (port, ca) = (server.port, server.ca.path().display());
    let url = match mode {
        Mode::Implicit => format!("smtps://ada:hunter2@localhost:{port}?ca={ca}"),
        Mode::StartTls => format!("smtp://ada:hunter2@localhost:{port}?ca={ca}"),
        Mode::Plaintext => format!("smtp://localhost:{port}?insecure=plaintext"),
    };
    SmtpTransport::new(&url, sender()).unwrap()
}

async fn deliver(mode: Mode, faults: &[(&'static str, Fault)]) -> (Result<(), MailError>, FakeServer) {
    let server = FakeServer::start(mode, faults).await;
    let sent = client(&server, mode).deliver(&mail_to("ada@example.org")).await;
    (sent, server)
}

fn assert_transient(sent: &Result<(), MailError>) {
    assert!(matches!(sent, Err(MailError::Transient(_))), "{sent:?}");
}

fn assert_permanent(sent: &Result<(), MailError>) {
    assert!(matches!(sent, Err(MailError::Permanent(_))), "{sent:?}");
}

#[tokio::test]
async fn starttls_comes_before_anything_worth_reading() {
    let (sent, server) = deliver(Mode::StartTls, &[]).await;
    sent.unwrap();
    let record = server.record();
    let expected = [
        "EHLO example.org",
        "STARTTLS",
        "tls: EHLO example.org",
        "tls: AUTH PLAIN AGFkYQBodW50ZXIy",
        "tls: MAIL FROM:<no-reply@example.org>",
        "tls: RCPT TO:<ada@example.org>",
        "tls: DATA",
    ];
    assert_eq!(record[..7], expected);
    assert!(record[7].contains(LINK) && record[7].contains("\r\n..\r\n"), "{}", record[7]);
}

#[tokio::test]
async fn implicit_tls_shows_nothing() {
    let (sent, server) = deliver(Mode::Implicit, &[]).await;
    sent.unwrap();
    assert!(server.record().iter().all(|entry| entry.starts_with("tls: ")), "{:?}", server.record());
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn plain_text_is_used_only_where_asked_for() {
    let (sent, server) = deliver(Mode::Plaintext, &[]).await;
    sent.unwrap();
    assert_eq!(server.messages().len(), 1);
    // A server (or somebody in between) that knows no STARTTLS gets neither the password nor the mail.
    let server = FakeServer::start(Mode::Plaintext, &[]).await;
    assert_transient(&client(&server, Mode::StartTls).deliver(&mail_to("ada@example.org")).await);
    assert_eq!(server.record()[0], "EHLO example.org");
    assert!(!server.record().iter().any(|entry| entry.starts_with("AUTH") || entry.starts_with("MAIL")));
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_gets_nothing() {
    for mode in [Mode::StartTls, Mode::Implicit] {
        // Of another host, then of nobody we trust.
        let other = FakeServer::start_as("mail.example.org", mode, &[]).await;
        assert_transient(&client(&other, mode).deliver(&mail_to("ada@example.org")).await);
        let unknown = FakeServer::start(mode, &[]).await;
        let scheme = if mode == Mode::Implicit { "smtps" } else { "smtp" };
        let url = format!("{scheme}://ada:hunter2@localhost:{}", unknown.port);
        assert_transient(&SmtpTransport::new(&url, sender()).unwrap().deliver(&mail_to("ada@example.org")).await);
        for server in [other, unknown] {
            assert!(!server.record().iter().any(|entry| entry.starts_with("tls: ")), "{:?}", server.record());
        }
    }
}

#[tokio::test]
async fn replies_smuggled_in_front_of_tls_are_refused() {
    let smuggled = Fault::Reply("220 go ahead\r\n250-localhost\r\n250 AUTH PLAIN\r\n250 fine\r\n250 fine");
    let (sent, server) = deliver(Mode::StartTls, &[("STARTTLS", smuggled)]).await;
    assert_transient(&sent);
    assert_eq!(server.record().last().unwrap(), "STARTTLS");
}

#[tokio::test]
async fn only_a_refusal_of_the_mail_itself_is_permanent() {
    for (verb, reply) in [
        ("MAIL", "550 no such sender"),
        ("RCPT", "550 no such user"),
        ("DATA", "554 no valid recipients"),
        ("MESSAGE", "552 too long"),
    ] {
        assert_permanent(&deliver(Mode::StartTls, &[(verb, Fault::Reply(reply))]).await.0);
    }
    for (verb, reply) in [
        ("GREETING", "554 too busy"),
        ("STARTTLS", "454 not now"),
        ("AUTH", "535 wrong password"),
        ("AUTH", "454 not now"),
        ("MAIL", "530 authenticate first"),
        ("MAIL", "421 closing"),
        ("RCPT", "451 greylisted"),
        ("DATA", "451 not now"),
        ("MESSAGE", "452 disk full"),
        ("MESSAGE", "what?"),
    ] {
        assert_transient(&deliver(Mode::StartTls, &[(verb, Fault::Reply(reply))]).await.0);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_transient() {
    for verb in ["GREETING", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "MESSAGE"] {
        assert_transient(&deliver(Mode::StartTls, &[(verb, Fault::Close)]).await.0);
    }
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = SmtpTransport::new(&format!("smtp://localhost:{unused}"), sender()).unwrap();
    assert_transient(&nobody.deliver(&mail_to("ada@example.org")).await);
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_the_next_mail_goes_out() {
    for verb in ["GREETING", "EHLO", "MAIL", "MESSAGE"] {
        let server = FakeServer::start(Mode::Plaintext, &[(verb, Fault::Silence)]).await;
        let client = client(&server, Mode::Plaintext).time_limit(Duration::from_millis(700)).unwrap();
        assert_transient(&client.deliver(&mail_to("ada@example.org")).await);
        let client = client.time_limit(Duration::from_secs(30)).unwrap();
        client.deliver(&mail_to("bob@example.org")).await.unwrap();
        assert_eq!(server.connections(), 2, "{verb}");
        let messages = server.messages();
        assert!(messages.last().unwrap().contains("To: bob@example.org\r\n"), "{verb}: {messages:?}");
    }
}

#[tokio::test]
async fn each_mail_has_a_connection_of_its_own_that_ends_with_a_goodbye() {
    let server = FakeServer::start(Mode::StartTls, &[]).await;
    let client = client(&server, Mode::StartTls);
    for address in ["ada@example.org", "bob@example.org"] {
        client.deliver(&mail_to(address)).await.unwrap();
        assert_eq!(server.record().last().unwrap(), "tls: QUIT");
    }
    assert_eq!((server.connections(), server.messages().len()), (2, 2));
}

#[tokio::test]
async fn a_goodbye_without_an_answer_leaves_the_mail_sent() {
    for fault in [Fault::Close, Fault::Silence, Fault::Reply("421 bye"), Fault::Reply("what?")] {
        let (sent, server) = deliver(Mode::StartTls, &[("QUIT", fault)]).await;
        sent.unwrap();
        assert_eq!(server.messages().len(), 1);
    }
}

#[tokio::test]
async fn letters_beyond_ascii_go_only_where_they_are_known() {
    let utf8 = [("EHLO", Fault::Reply("250-localhost\r\n250-8BITMIME\r\n250 SMTPUTF8"))];
    for (faults, known) in [(&utf8[..], true), (&[][..], false)] {
        let server = FakeServer::start(Mode::Plaintext, faults).await;
        let sent = client(&server, Mode::Plaintext).deliver(&mail_to("ädä@example.org")).await;
        if known {
            sent.unwrap();
            let record = server.record();
            assert_eq!(record[1], "MAIL FROM:<no-reply@example.org> SMTPUTF8 BODY=8BITMIME");
            assert_eq!(record[2], "RCPT TO:<ädä@example.org>");
        } else {
            assert_permanent(&sent);
        }
    }
}

#[test]
fn a_time_limit_is_longer_than_nothing_and_shorter_than_a_lease() {
    for (millis, fits) in [(0, false), (1, true), (100_000, true), (100_001, false)] {
        let client = SmtpTransport::new("smtps://mail.example.org", sender()).unwrap();
        assert_eq!(client.time_limit(Duration::from_millis(millis)).is_ok(), fits, "{millis} ms");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_logs_nor_errors_nor_debug_tell_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let mut seen = String::new();
    for fault in [
        ("QUIT", Fault::Close),
        ("AUTH", Fault::Reply("500 cannot read AUTH PLAIN AGFkYQBodW50ZXIy")),
        ("RCPT", Fault::Reply("550 <ada@example.org>: unknown")),
    ] {
        let (sent, server) = deliver(Mode::StartTls, &[fault]).await;
        seen += &format!("{sent:?} {:?}", client(&server, Mode::StartTls));
        if let Err(error) = sent {
            seen += &error.to_string();
        }
    }
    seen += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(seen.contains("(the recipient)") && seen.contains("500"), "{seen}");
    for secret in ["hunter2", "AGFkYQ", "the-token", "ada@example.org"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}
