//! What may happen once happens once, however many try at the same moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_system::auth_core::port::{Event, MailPurpose};
use http::StatusCode;
use tokio::task::JoinSet;

use crate::scenarios;
use crate::world::{Answer, Call, Ground, PASSWORD, World, get, post};

scenarios![
    sixty_four_sign_ups_make_one_account,
    twenty_refreshes_get_the_same_bytes,
    a_logout_beside_refreshes_leaves_nothing_alive,
    twenty_verifications_prove_one_mailbox,
    twenty_resets_set_one_password,
    twenty_logouts_end_one_session,
];

const ROUNDS: usize = 50;
const CALLERS: usize = 20;

/// Sends all calls at once.
async fn at_once(world: &Arc<World>, calls: Vec<Call>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for call in calls {
        let world = world.clone();
        tasks.spawn(async move { world.send(call).await });
    }
    tasks.join_all().await
}

fn succeeded(answers: &[Answer]) -> usize {
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
        let body = |email: &str| serde_json::json!({ "email": email, "password": PASSWORD });
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
    assert_eq!(crate::world::claims(jar.refresh())["generation"], ROUNDS);
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
        world.send(post("password-reset/").json(serde_json::json!({ "email": "ada@example.org" }))).await;
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
