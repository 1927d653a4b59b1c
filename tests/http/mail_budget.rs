//! Mails per recipient, through every door: strangers cannot fill a mailbox, nor keep its owner from it.

use std::sync::Arc;
use std::time::Duration;

use auth_system::Config;
use auth_system::auth_core::policy::Policy;
use auth_system::auth_core::port::MailPurpose;
use auth_system::auth_core::types::Limit;
use serde_json::json;
use tokio::task::JoinSet;

use crate::scenarios;
use crate::world::{Answer, Call, Ground, PASSWORD, World, post};

scenarios![
    a_flood_of_every_request_leaves_a_mailbox_readable,
    a_used_up_budget_answers_the_same_for_known_and_unknown_addresses,
    of_twenty_requests_at_once_no_more_mails_than_the_budget_are_queued,
    a_known_device_still_gets_its_mail_during_a_flood,
    a_flooded_owner_is_told_of_changes_and_always_has_a_working_link,
    the_budget_follows_its_setting,
];

const ADA: &str = "ada@example.org";
const HOUR: Duration = Duration::from_secs(3600);

/// The budget that integrators get, which no other scenario meets.
fn budget(config: &mut Config) {
    config.policy.mails_per_recipient = Policy::default().mails_per_recipient;
}

fn ask_reset(email: &str) -> Call {
    post("password-reset/").json(json!({ "email": email }))
}

/// Each request of a stranger that may mail to this address.
fn requests(email: &str) -> [Call; 4] {
    [
        ask_reset(email),
        post("resend-verification/").json(json!({ "email": email })),
        post("signup/").json(json!({ "email": email, "password": "a stranger's password" })),
        post("login/").json(json!({ "email": email, "password": "a stranger's password" })),
    ]
}

/// Counts the mails to Ada that these requests cause, each delivered at once.
async fn arriving(world: &World, calls: impl IntoIterator<Item = Call>) -> usize {
    let mut arrived = 0;
    for call in calls {
        world.send(call).await;
        arrived += world.mails().await.iter().filter(|mail| mail.to == ADA).count();
    }
    arrived
}

async fn a_flood_of_every_request_leaves_a_mailbox_readable(ground: Ground) {
    let world = ground.world_with(budget).await;
    world.account(ADA).await;
    world.account("eve@example.org").await;
    let jar = world.session("eve@example.org").await;
    world.advance(HOUR);
    let jar = world.refresh(&jar).await.jar();
    let moves = post("change-email/").jar(&jar).json(json!({ "new_email": ADA, "password": PASSWORD }));
    let flood = (0..30).flat_map(|_| requests(ADA).into_iter().chain([moves.clone()]));
    // Ten resets, ten times that the address was asked for, and five times that the account exists: that kind shares its
    // budget with the resending of a verification, which is no mail to a verified address.
    assert_eq!(arriving(&world, flood).await, 25);
    world.advance(HOUR / 10);
    assert_eq!(arriving(&world, (0..3).flat_map(|_| requests(ADA))).await, 1);
}

async fn a_used_up_budget_answers_the_same_for_known_and_unknown_addresses(ground: Ground) {
    let world = ground.world_with(budget).await;
    world.account("known@example.org").await;
    world.sign_up("waits@example.org", PASSWORD).await;
    let seen = async |email: &str| {
        let mut answers = Vec::new();
        for call in (0..12).flat_map(|_| requests(email)) {
            let Answer { status, headers, body } = world.send(call).await;
            answers.push((status, headers, body));
        }
        answers
    };
    let known = seen("known@example.org").await;
    assert!(known == seen("unknown@example.org").await && known == seen("waits@example.org").await);
    assert!(known.iter().all(|(status, ..)| *status != 429));
}

async fn of_twenty_requests_at_once_no_more_mails_than_the_budget_are_queued(ground: Ground) {
    let world = Arc::new(ground.world_with(budget).await);
    world.account(ADA).await;
    world.advance(HOUR);
    for holds in [10, 5, 5] {
        let mut tasks = JoinSet::new();
        world.events.take();
        for _ in 0..20 {
            let world = world.clone();
            tasks.spawn(async move { world.send(ask_reset(ADA)).await.status });
        }
        assert!(tasks.join_all().await.into_iter().all(|status| status == 200));
        let withheld = world.events.take().len();
        assert_eq!(20 - withheld, holds);
        world.mails().await;
        world.advance(HOUR / 2);
    }
}

async fn a_known_device_still_gets_its_mail_during_a_flood(ground: Ground) {
    let world = ground.world_with(budget).await;
    world.account(ADA).await;
    let device = world.session(ADA).await.only("known_device");
    assert_eq!(arriving(&world, vec![ask_reset(ADA); 30]).await, 10);
    assert_eq!(arriving(&world, vec![ask_reset(ADA).jar(&device); 30]).await, 10);
    // Another address's device is a stranger here.
    world.account("eve@example.org").await;
    let eves = world.session("eve@example.org").await.only("known_device");
    assert_eq!(arriving(&world, vec![ask_reset(ADA).jar(&eves); 3]).await, 0);
}

async fn a_flooded_owner_is_told_of_changes_and_always_has_a_working_link(ground: Ground) {
    let world = ground.world_with(budget).await;
    world.account(ADA).await;
    let mut newest = None;
    let hours = if ground.is_durable() { 3 } else { 24 };
    for minute in 0..hours * 60 {
        for _ in 0..2 {
            world.send(ask_reset(ADA)).await;
        }
        for mail in world.mails().await {
            newest = Some((crate::world::Link::of(&mail), minute));
        }
        let (_, sent) = newest.as_ref().unwrap();
        assert!(minute - sent < 60, "the newest link is {} minutes old", minute - sent);
        world.advance(Duration::from_secs(60));
    }
    let (link, _) = newest.unwrap();
    assert_eq!(world.send(link.set_password("a new password")).await.status, 200);
    let mails = world.mails().await;
    assert!(mails.iter().any(|mail| mail.purpose == MailPurpose::PasswordChanged), "{mails:?}");
}

async fn the_budget_follows_its_setting(ground: Ground) {
    for timed in [true, false] {
        let world = ground
            .world_with(|config| {
                config.policy.mails_per_recipient = Limit::new(3, HOUR);
                config.policy.timed_limits = timed;
                config.throttles.set("password_reset", Limit::new(1000, HOUR));
            })
            .await;
        world.account(ADA).await;
        assert_eq!(arriving(&world, vec![ask_reset(ADA); 10]).await, 3, "timed limits: {timed}");
        world.advance(HOUR / 3);
        assert_eq!(arriving(&world, vec![ask_reset(ADA); 10]).await, 1, "timed limits: {timed}");
    }
}
