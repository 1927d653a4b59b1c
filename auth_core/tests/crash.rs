//! Crashes: a flow fails, or its caller goes away, at each of its store calls, before or after the call did its work.
//! Whatever is left behind must be no more permissive than before or after the flow, and a second try must mend it.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod common;

use std::time::Duration;

use auth_core::port::{MailPurpose, UserChange};
use auth_core::proof::LiveSession;
use auth_core::session::SessionTokens;
use auth_core::types::{Client, Password, PasswordHash};
use auth_core::{AuthSystem, Error, Reason};
use common::{
    ADA, Authenticator, Fault, Link, Look, MINUTE, OTHER_PASSWORD, PASSWORD, World, bytes, first_step, login, now,
    poll_once, refused, second_step,
};

/// `None` when the caller went away.
type Outcome<T> = Option<Result<T, Error>>;

/// Runs a flow with each fault at each of its store calls, each time in a world of its own, and returns the number of
/// calls that the flow makes.
fn at_every_call<S, T>(
    set_up: impl AsyncFn(&World) -> S,
    flow: impl AsyncFn(&World, &S) -> Result<T, Error>,
    check: impl AsyncFn(&World, S, Outcome<T>),
) -> usize {
    for call in 0.. {
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter] {
            let world = World::new();
            let state = now(set_up(&world));
            world.faults.plan(move |number, _| (number == call).then(|| fault.clone()));
            let outcome = poll_once(flow(&world, &state));
            world.faults.heal();
            if world.faults.calls().len() <= call {
                assert!(matches!(outcome, Some(Ok(_))), "the flow fails without a fault");
                return call;
            }
            now(async {
                check(&world, state, outcome).await;
                no_session_is_alive_beyond_its_account(&world).await;
            });
        }
    }
    unreachable!("a flow has an end")
}

async fn no_session_is_alive_beyond_its_account(world: &World) {
    world.pass_lag();
    for session in world.faults.sessions() {
        let user = world.user(ADA).await;
        let may = user.is_active() && user.is_verified() && user.token_version == session.token_version;
        for node in [&world.auth, &world.node()] {
            let alive = node.authenticate(world.tokens().access(&session).unwrap().token.expose()).await.is_ok();
            assert!(may || !alive, "{session:?} of {user:?}");
        }
    }
}

async fn assert_dead(node: &AuthSystem, tokens: &SessionTokens) {
    assert_eq!(refused(node.authenticate(tokens.access.token.expose()).await), Reason::NotAuthenticated);
    assert_eq!(
        refused(node.request(&Client::default()).refresh(tokens.refresh.token.expose()).await),
        Reason::RefreshInvalid
    );
}

#[test]
fn a_sign_up_that_was_taken_has_its_mail_and_one_that_was_not_can_be_repeated() {
    let calls = at_every_call(
        async |_| (),
        async |world, ()| world.sign_up(ADA, PASSWORD).await,
        async |world, (), outcome| {
            assert_eq!(refused(login(&world.auth, ADA, PASSWORD).await), Reason::InvalidCredentials);
            if !matches!(outcome, Some(Ok(_))) {
                world.sign_up(ADA, PASSWORD).await.unwrap();
            }
            let links = world.links().await;
            assert!(links.iter().any(|link| link.purpose == MailPurpose::VerifyEmail), "{links:?}");
            world.verify(&links[0]).await.unwrap();
            world.login(ADA, PASSWORD).await.unwrap();
        },
    );
    assert_eq!(calls, 6);
}

#[test]
fn a_squatter_is_thrown_out_wherever_the_owners_sign_up_breaks_off() {
    const SQUATTER: &str = "the squatter's password";
    let calls = at_every_call(
        async |world| {
            world.sign_up(ADA, SQUATTER).await.unwrap();
            world.link().await
        },
        async |world, _| world.sign_up(ADA, PASSWORD).await,
        async |world, squatters_link, outcome| {
            if !matches!(outcome, Some(Ok(_))) {
                world.sign_up(ADA, PASSWORD).await.unwrap();
            }
            assert_eq!(refused(world.verify(&squatters_link).await), Reason::LinkInvalid);
            let links = world.links().await;
            assert!(links.iter().any(|link| link.purpose == MailPurpose::SetPassword), "{links:?}");
            for link in links {
                match link.purpose {
                    MailPurpose::VerifyEmail => drop(world.verify(&link).await),
                    _ => drop(world.reset(&link, OTHER_PASSWORD).await),
                }
                assert_eq!(refused(world.login(ADA, SQUATTER).await), Reason::InvalidCredentials);
            }
            world.login(ADA, OTHER_PASSWORD).await.unwrap();
        },
    );
    assert_eq!(calls, 7);
}

#[test]
fn a_verification_happened_or_not_and_can_be_repeated() {
    let calls = at_every_call(
        async |world| {
            world.sign_up(ADA, PASSWORD).await.unwrap();
            world.link().await
        },
        async |world, link| world.verify(link).await,
        async |world, link: Link, _| {
            let verified = world.user(ADA).await.is_verified();
            assert_eq!(world.login(ADA, PASSWORD).await.is_ok(), verified);
            match world.verify(&link).await {
                Ok(()) => assert!(!verified),
                Err(error) => assert_eq!((verified, error.reason()), (true, Reason::AlreadyVerified)),
            }
            world.login(ADA, PASSWORD).await.unwrap();
        },
    );
    assert_eq!(calls, 3);
}

#[test]
fn a_login_leaves_at_most_a_session_that_nobody_holds() {
    let calls = at_every_call(
        async |world| {
            world.verified(ADA, PASSWORD).await;
            let hash = PasswordHash::new(format!("$old${PASSWORD}"));
            world.change(ADA, UserChange { password_hash: Some(Some(hash)), ..UserChange::default() }).await
        },
        async |world, _| world.login(ADA, PASSWORD).await,
        async |world, before, outcome| {
            let after = world.user(ADA).await;
            assert_eq!((after.token_version, after.revision), (before.token_version, before.revision));
            if let Some(Ok(tokens)) = outcome {
                world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
            }
            world.login(ADA, PASSWORD).await.unwrap();
            assert_eq!(refused(world.login(ADA, OTHER_PASSWORD).await), Reason::InvalidCredentials);
        },
    );
    assert_eq!(calls, 4);
}

#[test]
fn a_refresh_that_broke_off_is_answered_at_the_second_try() {
    let calls = at_every_call(
        async |world| {
            let tokens = world.logged_in().await;
            world.clock.advance(MINUTE);
            tokens
        },
        async |world, tokens| world.auth.request(&world.client).refresh(tokens.refresh.token.expose()).await,
        async |world, tokens: SessionTokens, outcome| {
            let again = world.node().request(&world.client).refresh(tokens.refresh.token.expose()).await.unwrap();
            if let Some(Ok(first)) = outcome {
                assert_eq!(bytes(&first), bytes(&again));
            }
            let session = world.store.find_session(tokens.session).await;
            assert_eq!((session.generation, session.revoked_at), (1, None));
            world.clock.advance(MINUTE);
            world.auth.request(&world.client).refresh(again.refresh.token.expose()).await.unwrap();
        },
    );
    assert_eq!(calls, 3);
}

#[test]
fn a_stolen_token_is_never_forgiven() {
    let calls = at_every_call(
        async |world| {
            let first = world.logged_in().await;
            world.clock.advance(MINUTE);
            let second = world.auth.request(&world.client).refresh(first.refresh.token.expose()).await.unwrap();
            world.clock.advance(2 * MINUTE);
            (first, second)
        },
        // The refusal is what the flow is for.
        async |world, (first, _)| match world.auth.request(&world.client).refresh(first.refresh.token.expose()).await {
            Err(error) if error.reason() == Reason::RefreshInvalid => Ok(()),
            other => Err(other.expect_err("a used token was accepted")),
        },
        async |world, (first, second), outcome| {
            if !matches!(outcome, Some(Ok(()))) {
                assert_eq!(
                    refused(world.auth.request(&world.client).refresh(first.refresh.token.expose()).await),
                    Reason::RefreshInvalid
                );
            }
            world.pass_lag();
            for node in [&world.auth, &world.node()] {
                assert_dead(node, &second).await;
            }
        },
    );
    assert_eq!(calls, 3);
}

#[test]
fn a_logout_that_was_confirmed_holds_and_another_can_be_repeated() {
    let calls = at_every_call(
        async |world| {
            let first = world.logged_in().await;
            (first, world.login(ADA, PASSWORD).await.unwrap())
        },
        async |world, (first, second)| {
            world
                .auth
                .request(&world.client)
                .logout(Some(first.access.token.expose()), Some(second.refresh.token.expose()))
                .await
        },
        async |world, (first, second), outcome| {
            if matches!(outcome, Some(Ok(()))) {
                // At once here, without any poll.
                assert_dead(&world.auth, &first).await;
                assert_dead(&world.auth, &second).await;
            }
            let access = Some(first.access.token.expose());
            match world.auth.request(&world.client).logout(access, Some(second.refresh.token.expose())).await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.reason(), Reason::NotAuthenticated),
            }
            world.pass_lag();
            for node in [&world.auth, &world.node()] {
                assert_dead(node, &first).await;
                assert_dead(node, &second).await;
            }
        },
    );
    assert_eq!(calls, 2);
}

#[test]
fn after_a_reset_either_the_old_password_and_its_sessions_live_or_the_new_one_does() {
    let calls = at_every_call(
        async |world| (world.logged_in().await, world.reset_link().await),
        async |world, (_, link)| world.reset(link, OTHER_PASSWORD).await,
        async |world, (tokens, link), outcome| {
            world.pass_lag();
            let old = world.login(ADA, PASSWORD).await.is_ok();
            let new = world.login(ADA, OTHER_PASSWORD).await.is_ok();
            assert_ne!(old, new);
            assert!(new || !matches!(outcome, Some(Ok(()))));
            if new {
                assert_dead(&world.auth, &tokens).await;
                assert_dead(&world.node(), &tokens).await;
                assert_eq!(refused(world.reset(&link, PASSWORD).await), Reason::LinkInvalid);
            } else {
                world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
                world.reset(&link, OTHER_PASSWORD).await.unwrap();
                assert_dead(&world.auth, &tokens).await;
            }
        },
    );
    assert_eq!(calls, 3);
}

#[test]
fn a_mail_that_was_promised_arrives() {
    for reset in [true, false] {
        let flow = async |world: &World| match reset {
            true => world.auth.request(&world.client).request_password_reset(&common::to_email(ADA)).await,
            false => world.auth.request(&world.client).resend_verification(&common::to_email(ADA)).await,
        };
        let calls = at_every_call(
            async |world| {
                world.sign_up(ADA, PASSWORD).await.unwrap();
                world.mails().await;
            },
            async |world, ()| flow(world).await,
            async |world, (), outcome| {
                let arrived = world.mails().await.len();
                assert!(arrived == 1 || !matches!(outcome, Some(Ok(()))));
                flow(world).await.unwrap();
                assert_eq!(world.mails().await.len(), 1);
            },
        );
        assert_eq!(calls, 2);
    }
}

#[test]
fn a_worker_may_die_anywhere_and_every_mail_arrives() {
    let addresses = ["ada@example.org", "bob@example.org", "eve@example.org"];
    let calls = at_every_call(
        async |world| {
            for email in addresses {
                world.sign_up(email, PASSWORD).await.unwrap();
            }
        },
        async |world, ()| world.auth.deliver_mail().await,
        async |world, (), _| {
            world.clock.advance(Duration::from_secs(120));
            let mut recipients: Vec<_> = world.mails().await.into_iter().map(|(to, _)| to).collect();
            recipients.sort();
            recipients.dedup();
            assert_eq!(recipients, addresses);
        },
    );
    assert_eq!(calls, 3 * 3 + 1);
}

#[test]
fn a_check_that_cannot_be_made_is_not_passed() {
    let calls = at_every_call(
        async |world| {
            let ended = world.logged_in().await;
            let alive = world.login(ADA, PASSWORD).await.unwrap();
            world.node().request(&world.client).logout(Some(ended.access.token.expose()), None).await.unwrap();
            (ended, alive)
        },
        async |world, (_, alive)| world.auth.authenticate(alive.access.token.expose()).await,
        async |world, (ended, alive), _| {
            assert_eq!(refused(world.auth.authenticate(ended.access.token.expose()).await), Reason::NotAuthenticated);
            world.auth.authenticate(alive.access.token.expose()).await.unwrap();
        },
    );
    assert_eq!(calls, 2);
}

/// Ada with a session and an authenticator that it set up.
async fn with_set_up(world: &World) -> (SessionTokens, LiveSession, Authenticator) {
    let tokens = world.logged_in().await;
    let authenticator = world.set_up_totp(&tokens).await;
    let live = world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
    (tokens, live, authenticator)
}

/// Ada with two-factor login, a session of it, and a fresh code.
async fn with_two_factors(world: &World) -> (SessionTokens, LiveSession, Authenticator) {
    let (_, live, mut authenticator) = with_set_up(world).await;
    let code = authenticator.code(&world.clock);
    let enabled = world.auth.request(&world.client).two_factor().enable(&live, &code).await.unwrap();
    authenticator.backup_codes = enabled.backup_codes.iter().map(|code| code.expose().to_owned()).collect();
    let live = world.auth.authenticate(enabled.session.access.token.expose()).await.unwrap();
    world.clock.advance(MINUTE);
    world.mails().await;
    (enabled.session, live, authenticator)
}

/// The second step of a new login.
async fn verify(world: &World, code: &str) -> Result<SessionTokens, Error> {
    let pending = first_step(&world.auth, ADA, PASSWORD).await?;
    second_step(&world.auth, &pending, code).await.map(|verified| verified.login.session)
}

#[test]
fn two_factor_login_is_on_as_a_whole_or_not_at_all() {
    let calls = at_every_call(
        with_set_up,
        async |world, (_, live, authenticator)| {
            world.auth.request(&world.client).two_factor().enable(live, &authenticator.code(&world.clock)).await
        },
        async |world, (tokens, live, authenticator), outcome| {
            world.pass_lag();
            let factors = world.user(ADA).await.factors;
            if factors.is_empty() {
                assert!(!matches!(outcome, Some(Ok(_))));
                world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
                world.login(ADA, PASSWORD).await.unwrap();
                // What the same session set up can still be turned on.
                let code = authenticator.code(&world.clock);
                world.auth.request(&world.client).two_factor().enable(&live, &code).await.unwrap();
            } else {
                for node in [&world.auth, &world.node()] {
                    assert_dead(node, &tokens).await;
                }
            }
            let listed = world.user(ADA).await.factors;
            assert_eq!(listed.len(), 2, "the authenticator and its backup codes");
            // The code that turned it on was used by that.
            assert_eq!(refused(verify(world, &authenticator.code(&world.clock)).await), Reason::InvalidCode);
            world.clock.advance(MINUTE);
            verify(world, &authenticator.code(&world.clock)).await.unwrap();
            if let Some(Ok(enabled)) = outcome {
                verify(world, enabled.backup_codes[0].expose()).await.unwrap();
            }
        },
    );
    assert_eq!(calls, 9);
}

#[test]
fn two_factor_login_goes_off_with_password_and_code_or_stays() {
    let calls = at_every_call(
        with_two_factors,
        async |world, (_, live, authenticator)| {
            let password = Password::new(PASSWORD).unwrap();
            world
                .auth
                .request(&world.client)
                .two_factor()
                .disable(live, &password, &authenticator.code(&world.clock))
                .await
        },
        async |world, (tokens, _, authenticator), outcome| {
            let code = authenticator.code(&world.clock);
            world.pass_lag();
            if world.user(ADA).await.factors.is_empty() {
                for node in [&world.auth, &world.node()] {
                    assert_dead(node, &tokens).await;
                }
                world.login(ADA, PASSWORD).await.unwrap();
            } else {
                assert!(!matches!(outcome, Some(Ok(_))));
                world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
                let accepted = [verify(world, &code).await.is_ok(), verify(world, &code).await.is_ok()];
                assert!(!accepted[1], "a code counts once");
                verify(world, &authenticator.backup_codes[0]).await.unwrap();
            }
        },
    );
    assert_eq!(calls, 12);
}

#[test]
fn a_code_opens_at_most_one_session_wherever_the_login_breaks_off() {
    for backup in [false, true] {
        let code_of = move |world: &World, authenticator: &Authenticator| match backup {
            true => authenticator.backup_codes[0].clone(),
            false => authenticator.code(&world.clock),
        };
        let calls = at_every_call(
            async |world| {
                let (_, _, authenticator) = with_two_factors(world).await;
                let sessions = world.faults.sessions().len();
                (authenticator, first_step(&world.auth, ADA, PASSWORD).await.unwrap(), sessions)
            },
            async |world, (authenticator, pending, _)| {
                second_step(&world.auth, pending, &code_of(world, authenticator)).await
            },
            async |world, (authenticator, pending, sessions), outcome| {
                let code = code_of(world, &authenticator);
                let again = second_step(&world.auth, &pending, &code).await.is_ok();
                let elsewhere = verify(world, &code).await.is_ok();
                let given = usize::from(matches!(outcome, Some(Ok(_)))) + usize::from(again) + usize::from(elsewhere);
                assert!(given <= 1, "{outcome:?}, again {again}, elsewhere {elsewhere}");
                // One that was made and that nobody holds counts as well.
                assert!(world.faults.sessions().len() <= sessions + 1);
                world.clock.advance(MINUTE);
                verify(world, &authenticator.code(&world.clock)).await.unwrap();
                verify(world, &authenticator.backup_codes[1]).await.unwrap();
            },
        );
        // The notice that a backup code was used is one more.
        assert_eq!(calls, if backup { 9 } else { 8 });
    }
}

#[test]
fn either_the_old_backup_codes_count_or_the_new_ones() {
    let calls = at_every_call(
        with_two_factors,
        async |world, (_, live, _)| {
            let password = Password::new(PASSWORD).unwrap();
            world.auth.request(&world.client).two_factor().replace_backup_codes(live, &password, None).await
        },
        async |world, (tokens, live, authenticator), outcome| {
            world.auth.authenticate(tokens.access.token.expose()).await.unwrap();
            assert_eq!(world.auth.request(&world.client).two_factor().count_backup_codes(&live).await.unwrap(), 10);
            let told = world.mails().await.contains(&(ADA.to_owned(), MailPurpose::BackupCodesReplaced));
            let old = verify(world, &authenticator.backup_codes[0]).await.is_ok();
            assert!(old || told, "replaced, and nobody knows");
            if let Some(Ok(new)) = outcome {
                assert!(!old);
                verify(world, new[0].expose()).await.unwrap();
            }
            let all = authenticator.backup_codes.iter().skip(1);
            for code in all {
                assert_eq!(verify(world, code).await.is_ok(), old, "all of a set or none");
            }
            let password = Password::new(PASSWORD).unwrap();
            let codes = world
                .auth
                .request(&world.client)
                .two_factor()
                .replace_backup_codes(&live, &password, None)
                .await
                .unwrap();
            verify(world, codes[0].expose()).await.unwrap();
        },
    );
    assert_eq!(calls, 8);
}
