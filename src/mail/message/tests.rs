use proptest::prelude::*;

use super::*;

fn mail(to: &str, subject: &str) -> RenderedMail {
    RenderedMail {
        id: auth_core::types::MailId(uuid::Uuid::from_u128(7)),
        to: Email::parse(to).unwrap(),
        subject: subject.into(),
        text: "Grüße\nhttps://app.example.org/\n".into(),
        html: "<p>Grüße</p>\n".into(),
    }
}

fn formatted(message: &Message) -> String {
    String::from_utf8(message.formatted()).unwrap()
}

/// Names and values of the headers, unfolded.
fn headers(message: &Message) -> Vec<(String, String)> {
    let text = formatted(message);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.split("\r\n").map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.into(), v.into())).collect()
}

#[test]
fn a_message_has_exactly_these_headers() {
    let sender: Sender = "Exämple, Inc. <No-Reply@Mail.Example.org>".parse().unwrap();
    let message = sender.message(&mail("ada@example.org", "Überprüfen")).unwrap();
    let headers = headers(&message);
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Date", "Content-Type"]
    );
    let value = |name: &str| headers.iter().find(|(n, _)| n == name).unwrap().1.as_str();
    assert!(value("From").ends_with("<No-Reply@mail.example.org>") && value("From").is_ascii(), "{}", value("From"));
    assert_eq!(value("To"), "ada@example.org");
    assert_eq!(value("Subject"), "=?utf-8?b?w5xiZXJwcsO8ZmVu?=");
    assert!(value("Message-ID").ends_with("@mail.example.org>"));
    assert_eq!(value("Auto-Submitted"), "auto-generated");
    assert!(value("Content-Type").starts_with("multipart/alternative"));
    let text = formatted(&message);
    assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{text}");
    assert!(text.contains("Content-Type: text/html; charset=utf-8\r\n"), "{text}");
    let again = sender.message(&mail("ada@example.org", "Überprüfen")).unwrap();
    assert_eq!(again.headers().get_raw("Message-ID"), message.headers().get_raw("Message-ID"));
}

#[test]
fn a_link_stays_readable_in_the_raw_message() {
    let sender: Sender = "no-reply@example.org".parse().unwrap();
    let raw = |text: &str| {
        let mail = RenderedMail { text: text.into(), ..mail("ada@example.org", "subject") };
        formatted(&sender.message(&mail).unwrap())
    };
    let link = format!("https://app.example.org/verify-account?uid=MQ&token={}", "x".repeat(200));
    assert!(raw("a\rb\r\rc\n\n").contains("7bit\r\n\r\na\r\nb\r\n\r\nc\r\n\r\n"));
    assert!(raw(&format!("Follow:\r\n{link}\n")).contains(&format!("7bit\r\n\r\nFollow:\r\n{link}\r\n")));
    // What a message must not hold as it is.
    for text in ["x".repeat(999), "a\0b".to_owned(), "ä".to_owned()] {
        let raw = raw(&text);
        assert!(!raw.contains("7bit") && !raw.contains(&text), "{raw}");
        assert!(raw.lines().all(|line| line.len() < 80), "{raw}");
    }
}

#[test]
fn a_sender_is_one_mailbox() {
    for (good, from) in [
        ("no-reply@example.org", "no-reply@example.org"),
        (" no-reply@example.org ", "no-reply@example.org"),
        ("Example <no-reply@example.org>", "Example <no-reply@example.org>"),
        ("\"Example, Inc.\" <no-reply@example.org>", "\"Example, Inc.\" <no-reply@example.org>"),
        ("<no-reply@example.org>", "no-reply@example.org"),
    ] {
        let sender: Sender = good.parse().unwrap();
        let message = sender.message(&mail("ada@example.org", "subject")).unwrap();
        assert_eq!(message.headers().get_raw("From"), Some(from), "{good}");
    }
    for bad in [
        "",
        "Example",
        "Example <>",
        "no-reply@example.org, bob@example.org",
        "a@example.org <b@example.org> <c@example.org>",
        "Example\r\nBcc: bob@example.org <no-reply@example.org>",
        "Example <no-reply@example.org> bob",
        "Example <no-reply@example.org>\r\nBcc: bob@example.org",
    ] {
        assert!(bad.parse::<Sender>().is_err(), "{bad:?}");
    }
}

proptest! {
    /// Whatever passes for an address reaches one recipient, and no other header.
    #[test]
    fn an_address_is_one_recipient(
        local in "[a-z0-9!#$%&'*+/=?^_`{|}~.,;:<>()\\[\\]\"\\\\ \r\n\u{e4}\u{4e2d}-]{1,20}",
        domain in "[a-z0-9.\r\n,>\u{fc}-]{1,12}\\.org",
        name in "\\PC{0,30}",
    ) {
        if let Ok(to) = Email::parse(&format!("{local}@{domain}")) {
            let mail = RenderedMail { to: to.clone(), ..mail("ada@example.org", "subject") };
            let sender: Sender = "no-reply@example.org".parse().unwrap();
            let message = sender.message(&mail).unwrap();
            let recipients: Vec<_> = message.envelope().to().iter().map(ToString::to_string).collect();
            prop_assert_eq!(recipients, [to.as_str()]);
            let headers = headers(&message);
            prop_assert_eq!(headers.len(), 8);
            prop_assert_eq!(&headers[1], &("To".to_owned(), to.to_string()));
        }
        // The same for the name of the sender, which is free text.
        if let Ok(sender) = format!("{name} <no-reply@example.org>").parse::<Sender>() {
            let message = sender.message(&mail("ada@example.org", "subject")).unwrap();
            let from = message.envelope().from().map(ToString::to_string);
            prop_assert_eq!(from.as_deref(), Some("no-reply@example.org"));
            prop_assert_eq!(headers(&message).len(), 8);
        }
    }

    #[test]
    fn a_subject_is_one_header(subject in "\\PC{0,200}") {
        let sender: Sender = "no-reply@example.org".parse().unwrap();
        let message = sender.message(&mail("ada@example.org", &subject)).unwrap();
        prop_assert_eq!(headers(&message).len(), 8);
        prop_assert!(message.formatted().is_ascii());
    }
}
