//! Tokens of mailed links: each opens one purpose of one account in one state, until it expires, in one spelling.

#![no_main]

use std::sync::LazyLock;

use auth_core::token::LinkPurpose;
use auth_core::types::{Email, TokenVersion, User, UserId};
use auth_fuzz::{account, forge, instants, secret, tokens, tokens_of};
use libfuzzer_sys::{Corpus, fuzz_target};

const PURPOSES: [LinkPurpose; 2] = [LinkPurpose::VerifyEmail, LinkPurpose::SetPassword];

/// A token, and what alone it opens: nothing when its key is a stranger's.
struct Link {
    token: String,
    opens: Option<(LinkPurpose, usize)>,
    expires_at: i64,
}

/// One account, and what it would be with one thing changed that a link is bound to.
static ACCOUNTS: LazyLock<[User; 4]> = LazyLock::new(|| {
    let ada = account("ada", true);
    [
        ada.clone(),
        User { id: UserId::parse("bob").expect("an id"), ..ada.clone() },
        User { email: Email::parse("bob@example.org").expect("an address"), ..ada.clone() },
        User { token_version: TokenVersion::new(ada.token_version.get() + 1), ..ada },
    ]
});

static LINKS: LazyLock<Vec<Link>> = LazyLock::new(|| {
    let rings =
        [(tokens_of(secret(0), &[]), true), (tokens_of(secret(1), &[]), true), (tokens_of(secret(2), &[]), false)];
    let mut links = Vec::new();
    for (index, expires_at) in instants().into_iter().enumerate() {
        let (ring, trusted) = &rings[index % rings.len()];
        for (user, purpose) in [(0, PURPOSES[index % 2]), (index % ACCOUNTS.len(), PURPOSES[0])] {
            let token = ring.link(purpose, &ACCOUNTS[user], expires_at).expose().to_owned();
            let opens = trusted.then_some((purpose, user));
            links.push(Link { token, opens, expires_at: expires_at.seconds().max(0) });
        }
    }
    links
});

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(text) = forge(data, LINKS.iter().map(|link| link.token.as_str()), '-') else { return Corpus::Reject };
    for now in instants() {
        for purpose in PURPOSES {
            assert!(!tokens().verify_link(purpose, None, &text, now), "{text} opens nobody's account");
            for (index, user) in ACCOUNTS.iter().enumerate() {
                let opened = tokens().verify_link(purpose, Some(user), &text, now);
                let entitled = LINKS.iter().any(|link| {
                    link.token == text && link.opens == Some((purpose, index)) && now.seconds() < link.expires_at
                });
                assert_eq!(opened, entitled, "{text} for {purpose:?} of account {index} at {now:?}");
            }
        }
    }
    Corpus::Keep
});
