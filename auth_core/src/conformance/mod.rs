//! What a store promises, as tests that you run over a store of your own: one named case per promise.
//!
//! ```
//! use std::sync::Arc;
//! use auth_core::conformance;
//! use auth_core::memory::MemoryStore;
//! use auth_core::testing::ManualClock;
//!
//! async fn store(clock: ManualClock) -> (MemoryStore, ()) {
//!     (MemoryStore::new(Arc::new(clock)), ())
//! }
//!
//! conformance::user_store!(store);
//! conformance::usernames!(store);
//! conformance::tenants!(store);
//! conformance::session_store!(store);
//! conformance::mail_outbox!(store);
//! conformance::attempt_store!(store);
//! conformance::credential_store!(store);
//! conformance::pending_session_store!(store);
//! conformance::user_directory!(store);
//! conformance::data_key_use!(store);
//! ```
//!
//! Each line becomes a module of that name with one `#[test]` for each case, so a test that fails names the promise that
//! is broken: `user_store::one_of_many_updates_wins`.
//!
//! | suite | for |
//! |---|---|
//! | [`user_store`](mod@user_store) | every `UserStore` |
//! | [`usernames`](mod@usernames) | a `UserStore` of an application with usernames |
//! | [`tenants`](mod@tenants) | a `UserStore` that serves more than one tenant |
//! | [`user_directory`](mod@user_directory) | a `UserStore` that lists its accounts |
//! | [`data_key_use`](mod@data_key_use) | a store of accounts and credentials that tells which data keys they need |
//! | [`session_store`](mod@session_store), [`credential_store`](mod@credential_store), [`pending_session_store`](mod@pending_session_store), [`mail_outbox`](mod@mail_outbox), [`attempt_store`](mod@attempt_store) | the other stores |
//!
//! # Ground rules
//!
//! * The argument is a function or closure from a [`ManualClock`] to a future of `(store, guard)`. It is called once for
//!   each case and must give an empty store of its own: cases run at the same time. The guard is dropped after the case;
//!   a temporary folder, say, or `()`.
//! * The store must take the clock for what it dates itself. Times have microseconds, and come back exactly.
//! * Cases run on a multi-threaded tokio runtime and call the store from 64 tasks at once where the promise is about
//!   that. They pass again and again; one that fails now and then has found a race.
//! * A store may give accounts ids of its own. It may order rows that changed at one moment as it likes, if it always
//!   does so in the same way.
//! * A store without usernames, or of one tenant, refuses to insert what it cannot keep with
//!   [`StoreError::Corrupt`], and finds nothing by it.
//! * A second argument `broken: constructor` adds a case for a store that is down: a connection to nowhere, a file that
//!   was deleted. Every verb must say [`StoreError::Unavailable`], not guess.
//! * An attribute before the constructor goes to each case: `user_store!(#[ignore = "needs a server"] store)`.
//! * A new version of this crate may add cases: a store that fails one was wrong before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that is broken fails its test")]

pub mod attempt_store;
pub mod credential_store;
pub mod data_key_use;
pub mod mail_outbox;
pub mod pending_session_store;
pub mod session_store;
pub mod tenants;
pub mod user_directory;
pub mod user_store;
pub mod usernames;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub use crate::{
    __attempt_store as attempt_store, __credential_store as credential_store, __data_key_use as data_key_use,
    __mail_outbox as mail_outbox, __pending_session_store as pending_session_store, __session_store as session_store,
    __tenants as tenants, __user_directory as user_directory, __user_store as user_store, __usernames as usernames,
};

use crate::port::{ChangePage, Since, StoreError};
use crate::testing::ManualClock;
use crate::types::TenantId;

/// A promise of a port, to be run over an empty store and the clock that it was made with. It panics if it is broken.
pub struct Case<P: ?Sized> {
    /// Its name: the function in the suite.
    pub name: &'static str,
    /// The case itself, for a multi-threaded tokio runtime.
    pub run: fn(Arc<P>, ManualClock) -> Running,
}

/// A case that runs.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<P: ?Sized> fmt::Debug for Case<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Runs a future as the cases want it.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap().block_on(case)
}

/// Calls a store's constructor, and tells the compiler the type of a closure's argument.
#[doc(hidden)]
pub fn construct<F: Future>(constructor: impl FnOnce(ManualClock) -> F, clock: ManualClock) -> F {
    constructor(clock)
}

/// The tests of a suite, or, with `@cases`, its list of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    ($suite:ident [@cases] $($case:ident)+) => {
        &[$($crate::conformance::Case { name: stringify!($case), run: |store, clock| Box::pin($case(store, clock)) }),+]
    };
    // Two arms: an expression, too, may begin with an attribute.
    ($suite:ident [#[$attribute:meta] $store:expr $(, broken: $broken:expr)? $(,)?] $($case:ident)+) => {
        $crate::__conformance! { @module $suite [#[$attribute]] [$store $(, $broken)?] $($case)+ }
    };
    ($suite:ident [$store:expr $(, broken: $broken:expr)? $(,)?] $($case:ident)+) => {
        $crate::__conformance! { @module $suite [] [$store $(, $broken)?] $($case)+ }
    };
    (@module $suite:ident $attribute:tt [$store:expr $(, $broken:expr)?] $($case:ident)+) => {
        mod $suite {
            #[allow(unused_imports, reason = "what the constructor names")]
            use super::*;

            $($crate::__conformance!(@test $suite $case $attribute $store);)+
            $($crate::__conformance!(@test $suite a_store_that_is_down_says_so $attribute $broken);)?
        }
    };
    (@test $suite:ident $case:ident [$($attribute:tt)*] $store:expr) => {
        #[test]
        $($attribute)*
        fn $case() {
            $crate::conformance::run(async {
                let clock = $crate::testing::ManualClock::new();
                let (store, _guard) = $crate::conformance::construct($store, clock.clone()).await;
                $crate::conformance::$suite::$case(::std::sync::Arc::new(store), clock).await;
            });
        }
    };
}

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_micros(1);

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Makes 64 calls at once.
async fn in_parallel<T, F>(call: impl Fn(u32) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for number in 0..64 {
        calls.spawn(call(number));
    }
    calls.join_all().await
}

/// Reads a feed to its end, in pages of at most `limit` rows.
async fn read_feed<T, F>(mut since: Since, limit: usize, page: impl Fn(Since) -> F) -> Vec<T>
where
    F: Future<Output = Result<ChangePage<T>, StoreError>>,
{
    let mut rows = Vec::new();
    for _ in 0..1000 {
        let mut page = page(since).await.unwrap();
        assert!(page.rows.len() <= limit, "a page of {} rows, where {limit} were asked for", page.rows.len());
        rows.append(&mut page.rows);
        match page.next {
            Some(next) => since = Since::After(next),
            None => return rows,
        }
    }
    panic!("the feed does not end");
}

#[track_caller]
fn assert_unavailable<T: fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "a store that is down answered {result:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_its_list() {
        fn check<P: ?Sized>(source: &str, cases: &[Case<P>]) {
            let written = source.matches("\npub async fn ").count();
            let down = source.matches("\npub async fn a_store_that_is_down_says_so(").count();
            assert_eq!(written - down, cases.len(), "{cases:?}");
        }
        let users = concat!(
            include_str!("user_store.rs"),
            include_str!("user_store/updates.rs"),
            include_str!("user_store/logins.rs"),
            include_str!("user_store/feed.rs"),
        );
        check(users, user_store::CASES);
        check(include_str!("usernames.rs"), usernames::CASES);
        check(include_str!("tenants.rs"), tenants::CASES);
        check(include_str!("session_store.rs"), session_store::CASES);
        check(include_str!("mail_outbox.rs"), mail_outbox::CASES);
        check(include_str!("attempt_store.rs"), attempt_store::CASES);
        check(include_str!("credential_store.rs"), credential_store::CASES);
        check(include_str!("pending_session_store.rs"), pending_session_store::CASES);
        check(include_str!("user_directory.rs"), user_directory::CASES);
    }
}
