//! Tokens of sealed links: each opens for one purpose and one account, says what it was made with, in one spelling.

#![no_main]

use std::sync::LazyLock;

use auth_core::token::{SealedLink, SealedPurpose};
use auth_core::types::{Email, TenantId, Timestamp, TokenVersion, UserId};
use auth_fuzz::{forge, instants, secret, tokens, tokens_of};
use libfuzzer_sys::{Corpus, fuzz_target};

const PURPOSES: [SealedPurpose; 3] = [SealedPurpose::ChangeEmail, SealedPurpose::NotMe, SealedPurpose::TakenBack];
const USERS: [&str; 2] = ["ada", "bob"];
const EMAILS: [&str; 3] = ["ada@example.org", "o'hara+list@example.org", "new@sub.example.org"];

const EXTRAS: [&[u8]; 3] = [b"", b"serial", b"\0\xff\0"];

/// A token, and what alone it opens: nothing when its key is a stranger's.
struct Sealed {
    token: String,
    opens: Option<(SealedPurpose, UserId)>,
    link: SealedLink,
}

static LINKS: LazyLock<Vec<Sealed>> = LazyLock::new(|| {
    let rings =
        [(tokens_of(secret(0), &[]), true), (tokens_of(secret(1), &[]), true), (tokens_of(secret(2), &[]), false)];
    let seal = |(index, expires_at): (usize, Timestamp)| {
        let (ring, trusted) = &rings[index % rings.len()];
        let (purpose, user) = (PURPOSES[index % 2], user(USERS[index / 2 % 2]));
        let email = Email::parse(EMAILS[index % EMAILS.len()]).expect("an address");
        let extra = EXTRAS[index / 4 % EXTRAS.len()].to_vec();
        let link = SealedLink { email, token_version: TokenVersion::new(index as u32), expires_at, extra };
        let token = ring.sealed_link(purpose, TenantId::default(), user, &link).expose().to_owned();
        Sealed { token, opens: trusted.then_some((purpose, user)), link }
    };
    instants().into_iter().enumerate().map(seal).collect()
});

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("an id")
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(text) = forge(data, LINKS.iter().map(|sealed| sealed.token.as_str()), ' ') else { return Corpus::Reject };
    for purpose in PURPOSES {
        for user in USERS.map(user) {
            let opened = tokens().open_link(purpose, TenantId::default(), user, &text);
            let genuine = LINKS.iter().find(|sealed| sealed.token == text && sealed.opens == Some((purpose, user)));
            let said = |link: &SealedLink| {
                (link.email.clone(), link.token_version, link.expires_at.seconds(), link.extra.clone())
            };
            let (opened, genuine) = (opened.as_ref().map(said), genuine.map(|sealed| said(&sealed.link)));
            assert_eq!(opened, genuine, "{text} for {purpose:?} of {user}");
        }
    }
    Corpus::Keep
});
