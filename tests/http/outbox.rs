//! Mail servers fail; mails do not get lost, and no request waits for them.

use std::time::Duration;

use auth_system::auth_core::port::MailPurpose;
use auth_system::auth_core::types::MailId;

use crate::scenarios;
use crate::world::{Ground, PASSWORD};

scenarios![
    an_hour_without_a_mail_server_loses_nothing_and_sends_nothing_twice,
    a_mail_that_is_given_up_waits_for_an_operator,
    mails_survive_a_restart,
];

async fn an_hour_without_a_mail_server_loses_nothing_and_sends_nothing_twice(ground: Ground) {
    let world = ground.world().await;
    world.mailer.set_down(true);
    for number in 0..30 {
        assert_eq!(world.sign_up(&format!("user{number}@example.org"), PASSWORD).await.status, 201);
    }
    for _ in 0..60 {
        assert_eq!(world.mails().await, []);
        world.advance(Duration::from_secs(60));
    }
    world.mailer.set_down(false);
    let mut sent = Vec::new();
    // The longest wait between two tries is two hours.
    for _ in 0..120 {
        sent.extend(world.mails().await.into_iter().map(|mail| mail.to));
        world.advance(Duration::from_secs(60));
    }
    sent.sort();
    let mut expected: Vec<_> = (0..30).map(|number| format!("user{number}@example.org")).collect();
    expected.sort();
    assert_eq!(sent, expected);
}

async fn a_mail_that_is_given_up_waits_for_an_operator(ground: Ground) {
    let world = ground.world_with(|config| config.policy.mail_attempts = 2).await;
    let outbox = world.dead_mails();
    world.mailer.set_down(true);
    world.sign_up("ada@example.org", PASSWORD).await;
    for _ in 0..10 {
        assert_eq!(world.mails().await, []);
        world.advance(Duration::from_secs(3600));
    }
    let dead = outbox.dead_mails(10).await.unwrap();
    assert_eq!((dead.len(), dead[0].tries, dead[0].intent.purpose), (1, 2, MailPurpose::VerifyEmail));
    assert!(dead[0].reason.contains("the mail server is down"), "{}", dead[0].reason);

    world.mailer.set_down(false);
    assert_eq!(world.mails().await, [], "dead is dead");
    let now = world.auth.system().ports().clock.now();
    assert!(!outbox.revive(MailId(uuid::Uuid::nil()), now).await.unwrap());
    assert!(outbox.revive(dead[0].id, now).await.unwrap());
    assert!(!outbox.revive(dead[0].id, now).await.unwrap());
    assert_eq!(world.mails().await.len(), 1);
    assert_eq!(outbox.dead_mails(10).await.unwrap(), []);
}

async fn mails_survive_a_restart(ground: Ground) {
    let world = ground.world().await;
    world.sign_up("ada@example.org", PASSWORD).await;
    let restarted = world.restarted(|_| {}).await;
    assert_eq!(restarted.mails().await.len(), 1);
    assert_eq!(world.mails().await, []);
}
