//! Tokens of mailed links: bound to purpose, tenant, user, address, version and time; nothing else opens.

mod common;

use auth_core::policy::Policy;
use auth_core::token::{LinkPurpose, TokenRing, Tokens};
use auth_core::types::{Email, PasswordHash, TenantId, Timestamp, User, UserId};
use common::{DAY, HOUR, SECOND, TICK, secret, session, user_row};

const PURPOSES: [LinkPurpose; 2] = [LinkPurpose::VerifyEmail, LinkPurpose::SetPassword];

fn tokens() -> Tokens {
    common::tokens(&Policy::default())
}

fn now() -> Timestamp {
    session().rotated_at
}

fn link(purpose: LinkPurpose, user: &User) -> String {
    tokens().link(purpose, user, now() + HOUR).expose().to_owned()
}

fn opens(purpose: LinkPurpose, user: &User, token: &str) -> bool {
    tokens().verify_link(purpose, Some(user), token, now())
}

/// Made by an implementation in another language; links outlive a deployment.
#[test]
fn the_format_is_what_it_was() {
    let made = PURPOSES.map(|purpose| link(purpose, &user_row()));
    assert_eq!(made[0], "6955c710-BqT9e1kwhUBzC7gx2e0eUEjVFf6_5LJ6hVWlv1eoedU");
    assert_eq!(made[1], "6955c710-hjmIzcN6eeXBTWHFRFHtUsPtgSerdre1EyrEo4FxO-g");
}

#[test]
fn a_link_opens_what_it_was_made_for_and_nothing_else() {
    for made_for in PURPOSES {
        for used_for in PURPOSES {
            let opened = opens(used_for, &user_row(), &link(made_for, &user_row()));
            assert_eq!(opened, made_for == used_for, "{made_for:?} as {used_for:?}");
        }
    }
}

#[test]
fn a_link_dies_with_whatever_it_depends_on() {
    type Change = fn(&mut User);
    let changes: [(&str, Change); 5] = [
        ("tenant", |user| user.tenant = TenantId::parse("other").unwrap()),
        ("id", |user| user.id = UserId::parse("43").unwrap()),
        ("email", |user| user.email = Email::parse("eve@example.org").unwrap()),
        ("version", |user| user.token_version = user.token_version.next()),
        ("past version", |user| user.token_version = auth_core::types::TokenVersion::new(6)),
    ];
    for purpose in PURPOSES {
        let token = link(purpose, &user_row());
        for (what, change) in changes {
            let mut user = user_row();
            change(&mut user);
            assert!(!opens(purpose, &user, &token), "{purpose:?} survived another {what}");
        }
        let mut user = user_row();
        user.password_hash = Some(PasswordHash::new("rehashed"));
        user.last_login_at = Some(now());
        user.revision += 1;
        assert!(opens(purpose, &user, &token), "housekeeping killed a link");
    }
}

#[test]
fn a_link_dies_at_its_expiry_and_not_before() {
    for purpose in PURPOSES {
        let token = link(purpose, &user_row());
        let opens_at = |moment| tokens().verify_link(purpose, Some(&user_row()), &token, moment);
        assert!(opens_at(now() + HOUR - TICK));
        assert!(!opens_at(now() + HOUR));
        assert!(!opens_at(now() + 999 * DAY));
    }
}

#[test]
fn nobody_can_give_a_link_more_time() {
    let token = link(LinkPurpose::SetPassword, &user_row());
    let mac = token.split_once('-').unwrap().1;
    for later in [now() + HOUR + SECOND, now() + 999 * DAY, Timestamp::from_micros(i64::MAX)] {
        assert!(!opens(LinkPurpose::SetPassword, &user_row(), &format!("{:x}-{mac}", later.seconds())));
    }
}

#[test]
fn a_link_of_an_account_that_is_gone_opens_nothing() {
    for purpose in PURPOSES {
        assert!(!tokens().verify_link(purpose, None, &link(purpose, &user_row()), now()));
    }
}

#[test]
fn fields_cannot_run_into_each_other() {
    let account = |tenant: &str, id: &str, email: &str| User {
        tenant: TenantId::parse(tenant).unwrap(),
        id: UserId::parse(id).unwrap(),
        email: Email::parse(email).unwrap(),
        ..user_row()
    };
    let accounts = [
        account("t", "ab", "c@x.yz"),
        account("t", "a", "bc@x.yz"),
        account("ta", "b", "c@x.yz"),
        account("ta", "bc", "c@x.yz"),
        account("t", "abc", "c@x.yz"),
        account("t", "ab", "cc@x.yz"),
    ];
    for (made_for, maker) in accounts.iter().enumerate() {
        let token = link(LinkPurpose::SetPassword, maker);
        for (used_by, user) in accounts.iter().enumerate() {
            assert_eq!(opens(LinkPurpose::SetPassword, user, &token), made_for == used_by, "{made_for} {used_by}");
        }
    }
}

#[test]
fn a_link_token_has_one_spelling() {
    let token = link(LinkPurpose::SetPassword, &user_row());
    let (expiry, mac) = token.split_once('-').unwrap();
    for variant in [
        format!("{}-{mac}", expiry.to_uppercase()),
        format!("0{expiry}-{mac}"),
        format!("+{expiry}-{mac}"),
        format!("-{expiry}-{mac}"),
        format!("0x{expiry}-{mac}"),
        format!(" {expiry}-{mac}"),
        format!("{expiry}--{mac}"),
        format!("{expiry}-{mac}="),
        format!("{expiry}-{mac}A"),
        format!("{expiry}-{mac}\n"),
        format!("{expiry}{mac}"),
        format!("-{mac}"),
        format!("{expiry}-"),
        "-".to_owned(),
        String::new(),
        "-".repeat(1_000_000),
        "0".repeat(1_000_000),
        format!("{}-{mac}", "f".repeat(1_000_000)),
        format!("{expiry}-{}", mac.repeat(20_000)),
    ] {
        assert!(!opens(LinkPurpose::SetPassword, &user_row(), &variant), "{variant:.80}");
    }
    assert_ne!(expiry, expiry.to_uppercase(), "this test needs a letter in the expiry");
}

#[test]
fn a_link_with_any_byte_changed_is_refused() {
    const BYTES: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0";
    let token = link(LinkPurpose::VerifyEmail, &user_row());
    for index in 0..token.len() {
        assert!(!opens(LinkPurpose::VerifyEmail, &user_row(), &token[..index]), "{index}");
        for byte in BYTES.iter().filter(|byte| **byte != token.as_bytes()[index]) {
            let mut changed = token.clone().into_bytes();
            changed[index] = *byte;
            let changed = String::from_utf8(changed).unwrap();
            assert!(!opens(LinkPurpose::VerifyEmail, &user_row(), &changed), "{index} {byte}");
        }
    }
}

#[test]
fn a_link_outlives_a_change_of_the_secret_while_the_old_one_is_accepted() {
    let ring = |signing, accepted: &[_]| {
        Tokens::new(TokenRing::new(&secret(signing), accepted), "iss", "aud", &Policy::default()).unwrap()
    };
    let token = link(LinkPurpose::SetPassword, &user_row());
    let opens = |tokens: Tokens| tokens.verify_link(LinkPurpose::SetPassword, Some(&user_row()), &token, now());
    assert!(opens(ring(2, &[secret(1)])));
    assert!(!opens(ring(2, &[])));
}
