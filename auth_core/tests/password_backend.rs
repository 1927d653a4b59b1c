//! A backend judges passwords in place of the stored hashes.

// For the helpers: clippy.toml covers test functions only.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use auth_core::port::{HashError, PasswordAttempt, PasswordBackend, Verdict};
use auth_core::types::Password;
use auth_core::{AuthSystem, Reason};
use common::{ADA, PASSWORD, World, refused};

const OF_THE_DIRECTORY: &str = "kept by the directory";

/// A directory that knows one password, for each account.
#[derive(Clone, Default)]
struct Directory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_down: AtomicBool,
    asked_without_account: AtomicUsize,
}

#[async_trait]
impl PasswordBackend for Directory {
    async fn verify(&self, attempt: PasswordAttempt<'_>) -> Result<Verdict, HashError> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(HashError::Unavailable("the directory is down".into()));
        }
        if attempt.user.is_none() {
            self.0.asked_without_account.fetch_add(1, Ordering::SeqCst);
        }
        let right = attempt.user.is_some() && attempt.password.expose() == OF_THE_DIRECTORY;
        Ok(if right { Verdict::Match } else { Verdict::Mismatch })
    }
}

async fn world() -> (World, AuthSystem, Directory) {
    let (world, directory) = (World::new(), Directory::default());
    world.verified(ADA, PASSWORD).await;
    let mut ports = world.ports.clone();
    ports.password_backend = Some(Arc::new(directory.clone()));
    let auth = common::node(&ports, &world.policy);
    (world, auth, directory)
}

#[tokio::test]
async fn the_password_of_the_backend_counts_and_the_stored_one_does_not() {
    let (world, auth, _) = world().await;
    assert_eq!(refused(common::login(&auth, ADA, PASSWORD).await), Reason::InvalidCredentials);
    let tokens = common::login(&auth, ADA, OF_THE_DIRECTORY).await.unwrap();
    let live = auth.authenticate(tokens.access.token.expose()).await.unwrap();
    let request = auth.request(&world.client);
    let wrong = request.deactivate(&live, &Password::new(PASSWORD).unwrap()).await;
    assert_eq!(refused(wrong), Reason::WrongPassword);
    request.deactivate(&live, &Password::new(OF_THE_DIRECTORY).unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_unknown_or_locked_asks_the_backend_as_others_do() {
    let (world, auth, directory) = world().await;
    assert_eq!(refused(common::login(&auth, "bob@example.org", PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(directory.0.asked_without_account.load(Ordering::SeqCst), 1);
    for _ in 0..world.policy.max_consecutive_failures {
        refused(common::login(&auth, ADA, PASSWORD).await);
    }
    assert_eq!(refused(common::login(&auth, ADA, OF_THE_DIRECTORY).await), Reason::InvalidCredentials);
    assert_eq!(directory.0.asked_without_account.load(Ordering::SeqCst), 2, "the password is off");
}

#[tokio::test]
async fn a_backend_that_is_down_lets_nobody_in_and_the_attempt_counts() {
    let (world, auth, directory) = world().await;
    directory.0.is_down.store(true, Ordering::SeqCst);
    assert_eq!(refused(common::login(&auth, ADA, OF_THE_DIRECTORY).await), Reason::Unavailable);
    assert_eq!(world.user(ADA).await.consecutive_failures, 1);
}
