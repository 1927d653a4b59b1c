//! The owner of a mailbox, and strangers who know its address.

use auth_system::Config;
use auth_system::auth_core::policy::Policy;
use auth_system::auth_core::port::MailPurpose;
use serde_json::json;

use super::{ADA, Case, EVE, HOUR, NEW, OWNERS, STRANGERS, cases};
use crate::scenarios;
use crate::world::{Answer, Authenticator, Ground, PASSWORD, get, post};

scenarios![
    strangers_choose_nothing_of_an_account_that_its_mailbox_takes_over,
    no_answer_tells_known_from_unknown_addresses,
    every_spelling_of_an_address_is_one_account,
    an_address_that_its_owner_left_is_kept_while_the_owner_can_come_back,
    a_closed_account_comes_back_by_its_mailbox_with_its_second_factor,
    mails_of_strangers_are_capped_and_notices_are_not,
];

async fn strangers_choose_nothing_of_an_account_that_its_mailbox_takes_over(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let name = case.name;
        let first = case.sign_up(ADA, STRANGERS, "Chosen by a stranger").await;
        assert_eq!(first.status, 201, "{name}: {first:?}");
        case.world.mails().await;
        // The owner signs up like any user. Under every answer, the stranger's password is gone.
        let second = case.sign_up(ADA, OWNERS, "Ada").await;
        let told = case.policy().reveal_taken_emails || case.policy().usernames;
        assert_eq!(second.status, if told { 400 } else { 201 }, "{name}: {second:?}");
        let link = case.world.link(ADA, MailPurpose::SetPassword).await;
        assert!(!case.opens(ADA, STRANGERS).await, "{name}");
        let answer = case.set(&link, NEW).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(!case.opens(ADA, STRANGERS).await && !case.opens(ADA, OWNERS).await, "{name}");
        let jar = case.log_in(ADA, NEW).await.jar();
        if !case.policy().require_second_factor {
            let me = case.world.me(&jar).await;
            assert_eq!(me.status, 200, "{name}: {me:?}");
            assert!(!me.text().contains("stranger"), "{name}: {me:?}");
        }
    }
}

async fn no_answer_tells_known_from_unknown_addresses(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        case.world.account("known@example.org").await;
        case.sign_up("waits@example.org", PASSWORD, "").await;
        case.world.mails().await;
        let mut seen = Vec::new();
        for email in ["unknown@example.org", "known@example.org", "waits@example.org"] {
            let mut answers = Vec::new();
            let mail = json!({ "email": email });
            for call in [
                post("password-reset/").json(mail.clone()),
                post("resend-verification/").json(mail),
                post("login/").json(json!({ "email": email, "password": STRANGERS })),
            ] {
                let Answer { status, headers, body } = case.world.send(call).await;
                answers.push((status, headers, body));
            }
            if !case.policy().reveal_taken_emails && !case.policy().usernames {
                let Answer { status, headers, body } = case.sign_up(email, STRANGERS, "").await;
                answers.push((status, headers, body));
            }
            seen.push(answers);
        }
        if !case.policy().reveal_taken_emails {
            let (jar, authenticator) = case.account("asks@example.org").await;
            for (email, answers) in
                ["unknown@example.org", "known@example.org", "waits@example.org"].iter().zip(&mut seen)
            {
                let Answer { status, headers, body } = case.ask_for_address(&jar, authenticator.as_ref(), email).await;
                assert_eq!(status, 200, "{}", case.name);
                answers.push((status, headers, body));
            }
        }
        assert!(seen.iter().all(|answers| *answers == seen[0]), "{}: {seen:?}", case.name);
    }
}

async fn every_spelling_of_an_address_is_one_account(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let name = case.name;
        case.world.account("Zoe.Strasse@example.org").await;
        for spelling in ["zoe.strasse@example.org", "ZOE.STRASSE@EXAMPLE.ORG", " zoe.straße@example.org "] {
            assert!(case.opens(spelling, PASSWORD).await, "{name}: {spelling}");
            case.world.send(post("password-reset/").json(json!({ "email": spelling }))).await;
            let mails = case.told().await;
            let to = "Zoe.Strasse@example.org".to_owned();
            assert_eq!(mails, [(to, MailPurpose::ResetPassword)], "{name}: mail goes to the verified spelling");
        }
        // A text with an `@` is an address, never a username.
        for (username, opens) in [("zoe.strasse", case.policy().usernames), ("zoe.strasse@", false)] {
            let body = json!({ "username": username, "password": PASSWORD });
            let by_name = case.world.send(post("login/").json(body)).await;
            assert_eq!(by_name.status == 200, opens, "{name}: {username}: {by_name:?}");
        }
    }
}

async fn an_address_that_its_owner_left_is_kept_while_the_owner_can_come_back(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = case.account(ADA).await;
        let link = case.change_email_link(&jar, authenticator.as_ref(), "next@example.org").await;
        assert_eq!(world.send(link.change_email(&jar)).await.status, 200, "{name}");
        let taken_back = world.link(ADA, MailPurpose::EmailChanged).await;
        // A sign-up gets no account, and the answer of one that does, unless answers tell what is taken.
        let reveals = case.policy().reveal_taken_emails;
        let left = case.sign_up(ADA, STRANGERS, "").await;
        assert_eq!(left.status, if reveals || case.policy().usernames { 400 } else { 201 }, "{name}: {left:?}");
        let told = case.told().await;
        assert!(told.iter().all(|(_, purpose)| *purpose == MailPurpose::AddressReserved), "{name}: {told:?}");
        // Another account does not move there.
        let (jar, authenticator) = case.account(EVE).await;
        let asked = case.ask_for_address(&jar, authenticator.as_ref(), ADA).await;
        assert_eq!(asked.status, if reveals { 400 } else { 200 }, "{name}: {asked:?}");
        let told = case.told().await;
        assert!(told.iter().all(|(_, purpose)| *purpose == MailPurpose::AddressReserved), "{name}: {told:?}");
        // The owner comes back, and the address that loses the account is told.
        assert_eq!(world.send(taken_back.not_me()).await.status, 200, "{name}");
        let told = case.told().await;
        let expected = [(ADA, MailPurpose::ResetPassword), ("next@example.org", MailPurpose::AddressLost)]
            .map(|(to, it)| (to.to_owned(), it));
        assert_eq!(told, expected, "{name}");
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        assert!(case.opens(ADA, NEW).await, "{name}");
    }
}

async fn a_closed_account_comes_back_by_its_mailbox_with_its_second_factor(ground: Ground) {
    for case in cases(ground, |_| {}).await {
        let Case { name, world } = &case;
        let (jar, authenticator) = Authenticator::enrolled(world, ADA).await;
        let body = json!({ "password": PASSWORD, "confirm_deactivation": true });
        assert_eq!(world.send(post("deactivate-account/").jar(&jar).json(body)).await.status, 200, "{name}");
        assert_eq!(world.me(&jar).await.status, 401, "{name}");
        assert!(!case.opens(ADA, PASSWORD).await, "{name}");
        world.mails().await;
        let signed_up = case.sign_up(ADA, OWNERS, "").await;
        let told = case.policy().reveal_taken_emails || case.policy().usernames;
        assert_eq!(signed_up.status, if told { 400 } else { 201 }, "{name}: {signed_up:?}");
        assert!(
            !case.opens(ADA, OWNERS).await && !case.opens(ADA, PASSWORD).await,
            "{name}: only the mailbox reopens it"
        );
        assert_eq!(case.reset(ADA, NEW).await.status, 200, "{name}");
        let jar = case.session(ADA, NEW, &authenticator).await;
        assert_eq!(world.send(get("me/").jar(&jar)).await.status, 200, "{name}");
    }
}

async fn mails_of_strangers_are_capped_and_notices_are_not(ground: Ground) {
    let needs = |config: &mut Config| config.policy.mails_per_recipient = Policy::default().mails_per_recipient;
    for case in cases(ground, needs).await {
        let Case { name, world } = &case;
        world.account(ADA).await;
        world.advance(HOUR);
        let mut mails = 0;
        for _ in 0..15 {
            world.send(post("password-reset/").json(json!({ "email": ADA }))).await;
            case.sign_up(ADA, STRANGERS, "").await;
            mails += world.mails().await.len();
        }
        // Where sign-up says openly that an address is taken, no mail has to.
        assert!((10..=20).contains(&mails), "{name}: {mails}");
        let user = world.auth.system().admin().list(None, None, 10).await.unwrap().remove(0);
        world.auth.system().admin().start_reset(&user.id).await.unwrap();
        let link = world.link(ADA, MailPurpose::ResetPassword).await;
        assert_eq!(case.set(&link, NEW).await.status, 200, "{name}");
        let told: Vec<_> = world.mails().await.into_iter().map(|mail| mail.purpose).collect();
        assert_eq!(told, [MailPurpose::PasswordChanged], "{name}");
    }
}
