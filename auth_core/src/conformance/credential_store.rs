//! What every [`CredentialStore`] promises.

use std::sync::Arc;

use uuid::Uuid;

use super::{Case, assert_unavailable, in_parallel, tenant};
use crate::port::{CredentialStore, StoreError};
use crate::testing::ManualClock;
use crate::types::{Credential, CredentialId, FactorKind, Payload, TenantId, UserId};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __credential_store {
    ($($arguments:tt)+) => {
        $crate::__conformance! { credential_store [$($arguments)+]
            what_is_inserted_is_found_whole
            a_users_credentials_are_listed_and_no_others
            an_id_that_is_there_is_never_replaced
            a_lookup_key_is_unique_within_tenant_and_kind
            old_credentials_of_a_kind_are_found
            a_new_payload_clears_the_failures
            one_of_many_new_payloads_wins
            failures_are_counted_up_to_the_bound
            one_of_many_removals_counts
            another_tenant_reaches_no_credential
        }
    };
}

/// The cases of this suite.
pub const CASES: &[Case<dyn CredentialStore>] = __credential_store!(@cases);

fn id(number: u128) -> CredentialId {
    CredentialId(Uuid::from_u128(number))
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn payload(text: &str) -> Payload {
    Payload { version: 1, bytes: text.into() }
}

fn credential(number: u128, owner: &str) -> Credential {
    Credential {
        id: id(number),
        tenant: TenantId::default(),
        user: user(owner),
        kind: FactorKind("totp".into()),
        lookup_key: None,
        payload: payload("one"),
        consecutive_failures: 0,
        revision: 0,
    }
}

async fn load(store: &dyn CredentialStore, number: u128) -> Option<Credential> {
    store.find(&TenantId::default(), id(number)).await.unwrap()
}

/// Every field comes back as it was: any bytes, any length, none at all.
pub async fn what_is_inserted_is_found_whole(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let full = Credential {
        kind: FactorKind("oidc:google".into()),
        lookup_key: Some(all_bytes[..255].to_vec()),
        payload: Payload { version: u16::MAX, bytes: all_bytes.repeat(100) },
        consecutive_failures: 7,
        revision: 1 << 40,
        ..credential(u128::MAX, &"9".repeat(64))
    };
    let bare = Credential { payload: Payload { version: 0, bytes: Vec::new() }, ..credential(0, "1") };
    for credential in [full, bare] {
        assert!(store.insert(&credential).await.unwrap());
        assert_eq!(store.find(&credential.tenant, credential.id).await.unwrap(), Some(credential));
    }
    assert_eq!(load(&*store, 7).await, None);
}

/// The oldest comes first; nobody else's comes along.
pub async fn a_users_credentials_are_listed_and_no_others(store: Arc<dyn CredentialStore>, _: ManualClock) {
    for (number, owner) in [(3, "ada"), (1, "ada"), (2, "bob"), (4, "ad"), (5, "adam")] {
        assert!(store.insert(&credential(number, owner)).await.unwrap());
    }
    let listed = store.of_user(&TenantId::default(), &user("ada")).await.unwrap();
    assert_eq!(listed, [credential(1, "ada"), credential(3, "ada")]);
    assert_eq!(store.of_user(&TenantId::default(), &user("nobody")).await.unwrap(), []);
}

/// Ids are random: one that is there already comes from a broken generator.
pub async fn an_id_that_is_there_is_never_replaced(store: Arc<dyn CredentialStore>, _: ManualClock) {
    assert!(store.insert(&credential(1, "ada")).await.unwrap());
    let again = store.insert(&credential(1, "mallory")).await;
    assert!(matches!(again, Err(StoreError::Corrupt(_))), "{again:?}");
    assert_eq!(load(&*store, 1).await, Some(credential(1, "ada")));
}

/// Of any number of inserts with one key, one succeeds; without a key, all do.
pub async fn a_lookup_key_is_unique_within_tenant_and_kind(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let keyed = |number: u128| Credential { lookup_key: Some(b"key".to_vec()), ..credential(number, "ada") };
    let inserts = in_parallel(|number| {
        let (store, credential) = (store.clone(), keyed(number.into()));
        async move { store.insert(&credential).await.unwrap().then_some(credential) }
    });
    let inserted: Vec<_> = inserts.await.into_iter().flatten().collect();
    let [winner] = inserted.as_slice() else { panic!("{} were inserted", inserted.len()) };
    let find = async |kind: &str, key: &[u8]| {
        store.find_by_key(&TenantId::default(), &FactorKind(kind.into()), key).await.unwrap()
    };
    assert_eq!(find("totp", b"key").await.as_ref(), Some(winner));
    assert_eq!((find("passkey", b"key").await, find("totp", b"KEY").await), (None, None));
    let other_kind = Credential { kind: FactorKind("passkey".into()), ..keyed(100) };
    let other_tenant = Credential { tenant: tenant("other"), ..keyed(101) };
    for free in [other_kind, other_tenant, credential(102, "ada"), credential(103, "ada")] {
        assert!(store.insert(&free).await.unwrap(), "{free:?}");
    }
    assert!(store.remove(&winner.tenant, winner.id).await.unwrap());
    assert!(store.insert(&keyed(104)).await.unwrap(), "a key that is free again");
}

/// Who proved the credential starts anew; an older row writes nothing.
pub async fn a_new_payload_clears_the_failures(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let first = Credential { lookup_key: Some(b"key".to_vec()), ..credential(1, "ada") };
    store.insert(&first).await.unwrap();
    assert!(store.count_failure(&first.tenant, first.id, 9).await.unwrap());
    let new = Payload { version: 2, bytes: vec![0, 255] };
    let second = store.update_if(&first, &new).await.unwrap().unwrap();
    assert_eq!(second, Credential { payload: new, revision: 1, ..first.clone() });
    assert_eq!(load(&*store, 1).await.as_ref(), Some(&second));
    assert_eq!(store.update_if(&first, &payload("late")).await.unwrap(), None);
    assert_eq!(store.update_if(&credential(2, "ada"), &payload("nobody's")).await.unwrap(), None);
    assert_eq!(load(&*store, 1).await, Some(second));
}

/// Of 64 parallel swaps of one revision one is made, and its caller gets the row.
pub async fn one_of_many_new_payloads_wins(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let first = credential(1, "ada");
    store.insert(&first).await.unwrap();
    let swaps = in_parallel(|number| {
        let (store, first) = (store.clone(), first.clone());
        async move { store.update_if(&first, &payload(&number.to_string())).await.unwrap() }
    });
    let won: Vec<_> = swaps.await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(load(&*store, 1).await, won.into_iter().next());
}

/// Of 64 parallel guesses exactly as many are let through as the bound leaves, and all are on the row.
pub async fn failures_are_counted_up_to_the_bound(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let (one, other) = (credential(1, "ada"), credential(2, "ada"));
    for credential in [&one, &other] {
        store.insert(credential).await.unwrap();
    }
    for (below, passes) in [(10, 10), (10, 0), (25, 15), (0, 0)] {
        let counts = in_parallel(|_| {
            let (store, one) = (store.clone(), one.clone());
            async move { store.count_failure(&one.tenant, one.id, below).await.unwrap() }
        });
        assert_eq!(counts.await.into_iter().filter(|passed| *passed).count(), passes, "below {below}");
    }
    assert_eq!(load(&*store, 1).await, Some(Credential { consecutive_failures: 25, ..one }));
    assert_eq!(load(&*store, 2).await, Some(other));
    assert!(!store.count_failure(&TenantId::default(), id(3), 9).await.unwrap());
}

/// Of 64 parallel calls one removes.
pub async fn one_of_many_removals_counts(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let first = credential(1, "ada");
    store.insert(&first).await.unwrap();
    let removals = in_parallel(|_| {
        let (store, first) = (store.clone(), first.clone());
        async move { store.remove(&first.tenant, first.id).await.unwrap() }
    });
    assert_eq!(removals.await.into_iter().filter(|removed| *removed).count(), 1);
    assert_eq!(load(&*store, 1).await, None);
    assert_eq!(store.update_if(&first, &payload("late")).await.unwrap(), None);
}

/// Lists credentials of one kind that are older than an id, of every tenant, the oldest first, up to the limit.
pub async fn old_credentials_of_a_kind_are_found(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let kind = FactorKind("former_email".into());
    let of_kind = |number: u128, user: &str| Credential { kind: kind.clone(), ..credential(number, user) };
    let theirs = Credential { tenant: tenant("other"), ..of_kind(2, "bob") };
    for credential in [&of_kind(3, "ada"), &of_kind(1, "ada"), &theirs, &credential(4, "ada"), &of_kind(5, "ada")] {
        assert!(store.insert(credential).await.unwrap());
    }
    let older = async |before: u128, limit| store.older_of_kind(&kind, id(before), limit).await.unwrap();
    assert_eq!(older(5, 9).await, [of_kind(1, "ada"), theirs.clone(), of_kind(3, "ada")]);
    assert_eq!(older(5, 2).await, [of_kind(1, "ada"), theirs]);
    assert_eq!(older(1, 9).await, []);
    assert_eq!(older(6, 0).await, []);
}

/// A credential is its tenant's alone.
pub async fn another_tenant_reaches_no_credential(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let first = Credential { lookup_key: Some(b"key".to_vec()), ..credential(1, "ada") };
    store.insert(&first).await.unwrap();
    let other = tenant("other");
    let theirs = Credential { tenant: other, ..first.clone() };
    assert_eq!(store.find(&other, first.id).await.unwrap(), None);
    assert_eq!(store.find_by_key(&other, &first.kind, b"key").await.unwrap(), None);
    assert_eq!(store.of_user(&other, &first.user).await.unwrap(), []);
    assert_eq!(store.update_if(&theirs, &payload("theirs")).await.unwrap(), None);
    assert!(!store.count_failure(&other, first.id, 9).await.unwrap());
    assert!(!store.remove(&other, first.id).await.unwrap());
    assert_eq!(load(&*store, 1).await, Some(first));
}

/// Every verb of a store that is down says so; none guesses.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn CredentialStore>, _: ManualClock) {
    let first = credential(1, "ada");
    assert_unavailable(store.insert(&first).await);
    assert_unavailable(store.find(&first.tenant, first.id).await);
    assert_unavailable(store.find_by_key(&first.tenant, &first.kind, b"key").await);
    assert_unavailable(store.of_user(&first.tenant, &first.user).await);
    assert_unavailable(store.older_of_kind(&first.kind, first.id, 9).await);
    assert_unavailable(store.update_if(&first, &payload("two")).await);
    assert_unavailable(store.count_failure(&first.tenant, first.id, 9).await);
    assert_unavailable(store.remove(&first.tenant, first.id).await);
}
