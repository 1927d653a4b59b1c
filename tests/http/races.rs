//! What may happen once happens once, however many try at the same moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose, UserChange, UserKey, UserUpdate};
use auth_system::auth_core::types::{TenantId, UserId, UserStatus};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::scenarios;
use crate::world::{Answer, Call, Ground, Jar, Link, PASSWORD, ROUNDS, World, claims, get, post};

scenarios![
    sixty_four_sign_ups_make_one_account,
    twenty_refreshes_get_the_same_bytes,
    a_logout_beside_refreshes_leaves_nothing_alive,
    twenty_verifications_prove_one_mailbox,
    twenty_resets_set_one_password,
    twenty_logouts_end_one_session,
    twenty_confirmations_move_one_account,
    of_two_requests_for_a_change_the_newest_alone_moves,
    of_twenty_requests_for_a_change_one_link_works,
    twenty_links_of_one_notice_take_back_once,
    nothing_of_the_old_password_outlives_a_reset,
    nothing_of_the_old_status_outlives_a_ban,
    nothing_of_a_thief_outlives_what_the_owner_takes_back,
];

pub(crate) const CALLERS: usize = 20;

/// Sends all calls at once.
pub(crate) async fn at_once(world: &Arc<World>, calls: Vec<Call>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for call in calls {
        let world = world.clone();
        tasks.spawn(async move { world.send(call).await });
    }
    tasks.join_all().await
}

pub(crate) fn succeeded(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status.is_success()).count()
}

async fn sixty_four_sign_ups_make_one_account(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let variants = [
            format!("ada{round}@example.org"),
            format!("Ada{round}@EXAMPLE.org"),
            format!(" ADA{round}@example.org"),
            format!("ａda{round}@example.org"),
        ];
        let body = |email: &str| json!({ "email": email, "password": PASSWORD });
        let calls = (0..64).map(|caller| post("signup/").json(body(&variants[caller % 4]))).collect();
        let answers = at_once(&world, calls).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::CREATED), "{answers:?}");
        let made: Vec<_> =
            world.events.take().into_iter().filter(|event| matches!(event, Event::SignedUp { .. })).collect();
        assert_eq!(made.len(), 1);
        let link = world.link(&format!("ada{round}@example.org"), MailPurpose::VerifyEmail).await;
        assert_eq!(world.send(link.verify()).await.status, 200);
        assert_eq!(world.log_in(&variants[1], PASSWORD).await.status, 200);
    }
}

async fn twenty_refreshes_get_the_same_bytes(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    let mut jar = world.session("ada@example.org").await;
    for round in 0..ROUNDS {
        world.advance(Duration::from_secs(30));
        let answers = at_once(&world, vec![post("refresh/").jar(&jar); CALLERS]).await;
        assert_eq!(succeeded(&answers), CALLERS, "{answers:?}");
        let distinct: BTreeSet<_> = answers.iter().map(Answer::set_cookies).collect();
        assert_eq!(distinct.len(), 1, "round {round}");
        let rotations = world.events.take().iter().filter(|event| matches!(event, Event::Refreshed { .. })).count();
        assert_eq!(rotations, 1);
        jar = answers[0].jar();
    }
    assert_eq!(claims(jar.refresh())["generation"], ROUNDS);
    assert_eq!(world.me(&jar).await.status, 200);
}

async fn a_logout_beside_refreshes_leaves_nothing_alive(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    for round in 0..ROUNDS {
        let jar = world.session("ada@example.org").await;
        let mut calls = vec![post("refresh/").jar(&jar); CALLERS - 1];
        calls.insert(round % CALLERS, post("logout/").jar(&jar));
        let answers = at_once(&world, calls).await;
        assert!(answers.iter().all(|answer| !answer.status.is_server_error()), "{answers:?}");
        for jar in answers.iter().map(Answer::jar).chain([jar]).filter(|jar| !jar.cookies.is_empty()) {
            world.me(&jar).await.refused(401, "not_authenticated");
            world.refresh(&jar).await.refused(401, "refresh_invalid");
        }
    }
}

async fn twenty_verifications_prove_one_mailbox(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = format!("ada{round}@example.org");
        world.sign_up(&email, PASSWORD).await;
        let link = world.link(&email, MailPurpose::VerifyEmail).await;
        let answers = at_once(&world, vec![link.verify(); CALLERS]).await;
        assert_eq!(succeeded(&answers), 1);
        assert!(
            answers.iter().filter(|answer| !answer.status.is_success()).all(|a| a.json()["code"] == "already_verified")
        );
    }
}

async fn twenty_resets_set_one_password(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    for round in 0..ROUNDS {
        world.send(post("password-reset/").json(json!({ "email": "ada@example.org" }))).await;
        let link = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        let password = |caller: usize| format!("password {round} of {caller}");
        let calls = (0..CALLERS).map(|caller| link.set_password(&password(caller))).collect();
        let answers = at_once(&world, calls).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let mut good = 0;
        for caller in 0..CALLERS {
            good += usize::from(world.log_in("ada@example.org", &password(caller)).await.status.is_success());
        }
        assert_eq!(good, 1);
    }
}

async fn twenty_logouts_end_one_session(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    for _ in 0..ROUNDS {
        let jar = world.session("ada@example.org").await;
        world.events.take();
        let answers = at_once(&world, vec![post("logout/").jar(&jar); CALLERS]).await;
        assert_eq!(succeeded(&answers), 1);
        assert_eq!(world.events.take().len(), 1);
        world.send(get("me/").jar(&jar)).await.refused(401, "not_authenticated");
    }
}

async fn twenty_confirmations_move_one_account(ground: Ground) {
    let world = Arc::new(ground.world().await);
    let address = |round: usize| format!("ada{round}@example.org");
    world.account(&address(0)).await;
    for round in 0..ROUNDS {
        let jar = world.session(&address(round)).await;
        let link = world.change_email_link(&jar, &address(round + 1)).await;
        // With a session, and with the password.
        let calls = [link.change_email(&jar), link.change_email_by_password()].into_iter().cycle().take(CALLERS);
        let answers = at_once(&world, calls.collect()).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let spent = |answer: &&Answer| !answer.status.is_success() && answer.json()["code"] == "link_spent";
        assert_eq!(answers.iter().filter(spent).count(), CALLERS - 1, "{answers:?}");
        let moved = world.events.take().iter().filter(|event| matches!(event, Event::EmailChanged { .. })).count();
        assert_eq!(moved, 1);
        world.me(&jar).await.refused(401, "not_authenticated");
        let mut told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let mut expected =
            [(address(round), MailPurpose::EmailChanged), (address(round + 1), MailPurpose::EmailConfirmed)];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(told, expected);
    }
}

async fn of_two_requests_for_a_change_the_newest_alone_moves(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let [old, left, right] = ["old", "left", "right"].map(|name| format!("{name}{round}@example.org"));
        world.account(&old).await;
        let jar = world.session(&old).await;
        let links = [world.change_email_link(&jar, &left).await, world.change_email_link(&jar, &right).await];
        let calls = (0..CALLERS).map(|caller| links[caller % 2].change_email(&jar)).collect();
        let answers = at_once(&world, calls).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let mut told: Vec<_> = world.mails().await.into_iter().map(|mail| (mail.to, mail.purpose)).collect();
        told.sort_by_key(|(_, purpose)| purpose.as_str());
        let expected = [(old.clone(), MailPurpose::EmailChanged), (right.clone(), MailPurpose::EmailConfirmed)];
        assert_eq!(told, expected, "the change that lost is announced to no mailbox");
        for email in [&old, &left] {
            world.log_in(email, PASSWORD).await.refused(401, "invalid_credentials");
        }
        let me = world.me(&world.session(&right).await).await.json();
        assert_eq!((&me["email"], &me["email_verified"]), (&json!(right), &true.into()));
        for link in links {
            world.send(link.change_email(&jar)).await.refused(400, "link_spent");
        }
    }
}

/// Requests in parallel: at most one of their links works, whichever mail is sent first.
async fn of_twenty_requests_for_a_change_one_link_works(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS.min(5) {
        let old = format!("old{round}@example.org");
        world.account(&old).await;
        let jar = world.session(&old).await;
        let ask = |caller| {
            let to = format!("new{round}-{caller}@example.org");
            post("change-email/").jar(&jar).json(json!({ "new_email": to }))
        };
        let answers = at_once(&world, (0..CALLERS).map(ask).collect()).await;
        assert_eq!(succeeded(&answers), CALLERS);
        let links = change_email_links(&world).await;
        assert_eq!(links.len(), 1, "a mail for a request that a later one replaced was sent");
        assert_eq!(world.send(links[0].change_email(&jar)).await.status, 200);
    }
}

async fn twenty_links_of_one_notice_take_back_once(ground: Ground) {
    let world = Arc::new(ground.world().await);
    world.account("ada@example.org").await;
    for _ in 0..ROUNDS {
        let jar = world.session("ada@example.org").await;
        assert_eq!(world.change_password(&jar, PASSWORD, THEIRS).await.status, 200);
        let link = world.link("ada@example.org", MailPurpose::PasswordChanged).await;
        world.events.take();
        let answers = at_once(&world, vec![link.not_me(); CALLERS]).await;
        assert_eq!(succeeded(&answers), 1, "{answers:?}");
        let invalid = |answer: &&Answer| !answer.status.is_success() && answer.json()["code"] == "link_invalid";
        assert_eq!(answers.iter().filter(invalid).count(), CALLERS - 1, "{answers:?}");
        let events = world.events.take();
        assert_eq!(events.iter().filter(|event| matches!(event, Event::ChangeTakenBack { .. })).count(), 1);
        let reset = world.link("ada@example.org", MailPurpose::ResetPassword).await;
        assert_eq!(world.send(reset.set_password(PASSWORD)).await.status, 200);
        world.mails().await;
    }
}

const THEIRS: &str = "the thief's password";

/// Somebody with this account's session and password, doing whatever they can.
fn busy(email: &str, password: &str, jar: &Jar) -> Vec<Call> {
    let kinds = [
        post("login/").json(json!({ "email": email, "password": password })),
        post("refresh/").jar(jar),
        post("reauthenticate/").jar(jar).json(json!({ "password": password })),
        post("change-password/").jar(jar).json(json!({
            "old_password": password, "new_password": "one more password", "confirm_password": "one more password",
        })),
        post("change-email/").jar(jar).json(json!({ "new_email": format!("x{email}"), "password": password })),
    ];
    kinds.into_iter().cycle().take(CALLERS - 1).collect()
}

/// Neither the sessions of these answers nor any link that was mailed before opens anything.
async fn all_is_dead(world: &World, answers: &[Answer], before: Vec<Jar>, links: &[Link]) {
    assert!(answers.iter().all(|answer| !answer.status.is_server_error()), "{answers:?}");
    let jars = answers.iter().map(Answer::jar).chain(before);
    for jar in jars.filter(|jar| jar.has_access()) {
        world.me(&jar).await.refused(401, "not_authenticated");
        world.refresh(&jar).await.refused(401, "refresh_invalid");
    }
    for link in links {
        world.send(link.change_email_by_password()).await.refused(400, "link_spent");
    }
}

/// The change-email links among all mails that are due.
async fn change_email_links(world: &World) -> Vec<Link> {
    let mails = world.mails().await;
    mails.iter().filter(|mail| mail.purpose == MailPurpose::ChangeEmail).map(Link::of).collect()
}

async fn nothing_of_the_old_password_outlives_a_reset(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = format!("ada{round}@example.org");
        world.account(&email).await;
        let jar = world.session(&email).await;
        let parked = world.change_email_link(&jar, &format!("new{round}@example.org")).await;
        world.send(post("password-reset/").json(json!({ "email": email }))).await;
        let reset = world.link(&email, MailPurpose::ResetPassword).await;
        // Every other round nothing but the reset changes the password, and nothing may come before it.
        let with_changes = round % 2 == 0;
        let mut calls = busy(&email, PASSWORD, &jar);
        calls.retain(|call| with_changes || !call.path.ends_with("/change-password/"));
        calls.insert(round % calls.len(), reset.set_password("the password after the reset"));
        let answers = at_once(&world, calls).await;
        let mut links = change_email_links(&world).await;
        links.push(parked);
        let reset = world.log_in(&email, "the password after the reset").await.status == 200;
        // Either the reset or a change of the password came first, and ended the other.
        assert_eq!(reset, world.log_in(&email, "one more password").await.status != 200);
        world.log_in(&email, PASSWORD).await.refused(401, "invalid_credentials");
        assert!(reset || with_changes, "{answers:?}");
        if reset {
            all_is_dead(&world, &answers, vec![jar], &links).await;
        } else {
            let alive = answers.iter().map(Answer::jar).filter(|jar| jar.has_access());
            let mut count = 0;
            for jar in alive {
                count += usize::from(world.me(&jar).await.status == 200);
            }
            assert_eq!(count, 1, "the session of the change of the password alone is alive");
        }
    }
}

async fn nothing_of_the_old_status_outlives_a_ban(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = format!("ada{round}@example.org");
        world.account(&email).await;
        let jar = world.session(&email).await;
        let parked = world.change_email_link(&jar, &format!("new{round}@example.org")).await;
        let user = UserId::parse(claims(jar.access())["sub"].as_str().unwrap()).unwrap();
        let banned = tokio::spawn(set_status(world.clone(), user, UserStatus::Disabled));
        let mut calls = busy(&email, PASSWORD, &jar);
        calls.insert(round % CALLERS, parked.change_email(&jar));
        let answers = at_once(&world, calls).await;
        banned.await.unwrap();
        let mut links = change_email_links(&world).await;
        links.push(parked);
        // The operator is elsewhere: this node knows after the lag.
        world.advance(Duration::from_secs(2));
        all_is_dead(&world, &answers, vec![jar.clone()], &links).await;
        for address in [email, format!("new{round}@example.org")] {
            for password in [PASSWORD, "one more password"] {
                world.log_in(&address, password).await.refused(401, "invalid_credentials");
            }
        }
        set_status(world.clone(), user, UserStatus::Active).await;
        world.advance(Duration::from_secs(2));
        all_is_dead(&world, &answers, vec![jar], &links).await;
    }
}

/// An operator's doing, behind the flows' back.
async fn set_status(world: Arc<World>, user: UserId, status: UserStatus) {
    let (users, tenant) = (world.auth.system().ports().users.clone(), TenantId::default());
    let change = UserChange { status: Some(status), ..UserChange::default() };
    loop {
        let user = users.find(&tenant, UserKey::Id(&user)).await.unwrap().unwrap();
        if let UserUpdate::Done(_) = users.update_if(&user, &change).await.unwrap() {
            return;
        }
    }
}

async fn nothing_of_a_thief_outlives_what_the_owner_takes_back(ground: Ground) {
    let world = Arc::new(ground.world().await);
    for round in 0..ROUNDS {
        let email = format!("ada{round}@example.org");
        world.account(&email).await;
        let jar = world.session(&email).await;
        let jar = world.change_password(&jar, PASSWORD, THEIRS).await.jar();
        let notice = world.link(&email, MailPurpose::PasswordChanged).await;
        let parked = world.change_email_link(&jar, &format!("new{round}@example.org")).await;
        let mut calls = busy(&email, THEIRS, &jar);
        calls.insert(round % CALLERS, notice.not_me());
        let answers = at_once(&world, calls).await;
        world.send(notice.not_me()).await.refused(400, "link_invalid");
        let mails = world.mails().await;
        let mailed = |purpose| mails.iter().filter(move |mail| mail.purpose == purpose).map(Link::of);
        let links: Vec<_> = mailed(MailPurpose::ChangeEmail).chain([parked]).collect();
        all_is_dead(&world, &answers, vec![jar], &links).await;
        for password in [PASSWORD, THEIRS, "one more password"] {
            world.log_in(&email, password).await.refused(401, "invalid_credentials");
        }
        let reset = mailed(MailPurpose::ResetPassword).next().expect("a way back in");
        assert_eq!(world.send(reset.set_password("a fresh password")).await.status, 200);
        assert_eq!(world.log_in(&email, "a fresh password").await.status, 200);
    }
}
