//! The promises of every [`DataKeyUse`]. The store under test is also a [`UserStore`] and a [`CredentialStore`], through
//! which the cases write the values.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use uuid::Uuid;

use super::user_store::{create, new_user, update};
use super::{Case, assert_unavailable};
use crate::port::{CredentialStore, DataKeyUse, NewUser, UserChange, UserStore};
use crate::testing::ManualClock;
use crate::types::{Credential, CredentialId, FactorKind, PasswordHash, Payload, TenantId, UserId};

/// One `#[test]` for each case, over the stores that a constructor makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __data_key_use {
    ($($arguments:tt)+) => {
        $crate::__conformance! { data_key_use [$($arguments)+]
            an_empty_store_needs_no_key
            each_key_is_told_once_however_many_values_name_it
            what_names_no_key_is_passed_over
            a_key_is_no_longer_told_after_the_last_value_that_names_it
        }
    };
}

/// A store that keeps accounts and credentials, and tells which data keys they need.
pub trait KeyedStore: DataKeyUse + UserStore + CredentialStore {}
impl<S: DataKeyUse + UserStore + CredentialStore> KeyedStore for S {}

/// The cases of this suite.
pub const CASES: &[Case<dyn KeyedStore>] = __data_key_use!(@cases);

fn peppered(key: &str) -> PasswordHash {
    let tag = "A".repeat(43);
    let key = STANDARD_NO_PAD.encode(key);
    PasswordHash::new(format!("$argon2id$v=19$m=8,t=1,p=1,keyid={key}$AAECAwQFBgcICQoLDA0ODw${tag}"))
}

async fn account(store: &dyn KeyedStore, name: &str, hash: PasswordHash) -> crate::types::User {
    create(store, &NewUser { password_hash: Some(hash), ..new_user(name) }).await
}

fn credential(number: u128, kind: FactorKind, bytes: &[u8]) -> Credential {
    Credential {
        id: CredentialId(Uuid::from_u128(number)),
        tenant: TenantId::default(),
        user: UserId::parse("ada").unwrap(),
        kind,
        lookup_key: None,
        payload: Payload { version: 1, bytes: bytes.to_vec() },
        consecutive_failures: 0,
        revision: 0,
    }
}

fn totp(number: u128, key: &str) -> Credential {
    let bytes = [&number.to_be_bytes()[8..], key.as_bytes(), b"sealed"].concat();
    credential(number, FactorKind::totp(), &bytes)
}

fn codes(number: u128, key: &str) -> Credential {
    let hash = [key.as_bytes(), &[7; 32]].concat();
    credential(number, FactorKind::backup_codes(), &hash.repeat(3))
}

/// Ids as texts: of credentials, then of passwords.
async fn told(store: &dyn KeyedStore) -> (Vec<String>, Vec<String>) {
    let used = store.data_keys_in_use().await.unwrap();
    let texts = |ids: Vec<crate::token::KeyId>| {
        let mut ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        ids.sort();
        ids
    };
    (texts(used.credentials), texts(used.passwords))
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Nothing is kept, so nothing is needed.
pub async fn an_empty_store_needs_no_key(store: Arc<dyn KeyedStore>, _: ManualClock) {
    assert_eq!(told(&*store).await, (vec![], vec![]));
}

/// Credentials and passwords each name theirs, and no key is told twice.
pub async fn each_key_is_told_once_however_many_values_name_it(store: Arc<dyn KeyedStore>, _: ManualClock) {
    for number in 0..20 {
        let key = ["key-zero", "key--one", "Key_2222"][number % 3];
        let id = u128::try_from(number).unwrap();
        assert!(CredentialStore::insert(&*store, &totp(id, key)).await.unwrap());
        assert!(CredentialStore::insert(&*store, &codes(100 + id, "key_code")).await.unwrap());
        account(&*store, &format!("user{number}"), peppered(["pepper_1", "pepper-2"][number % 2])).await;
    }
    let credentials = texts(&["Key_2222", "key--one", "key-zero", "key_code"]);
    assert_eq!(told(&*store).await, (credentials, texts(&["pepper-2", "pepper_1"])));
}

/// Passwords without a pepper or with one of another form, none at all, other kinds, and what is damaged.
pub async fn what_names_no_key_is_passed_over(store: Arc<dyn KeyedStore>, _: ManualClock) {
    account(&*store, "plain", PasswordHash::new("$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAAA")).await;
    account(&*store, "named", peppered("2026")).await;
    account(&*store, "foreign", PasswordHash::new("pbkdf2_sha256$1000$,keyid=$AAAA")).await;
    create(&*store, &NewUser { password_hash: None, ..new_user("none") }).await;
    let other = FactorKind("other".into());
    for credential in [
        credential(1, other, b"key-zerokey-zerokey-zero"),
        credential(2, FactorKind::totp(), b"12345678"),
        credential(3, FactorKind::totp(), &[0xff; 60]),
        credential(4, FactorKind::backup_codes(), b""),
        credential(5, FactorKind::backup_codes(), &[0; 80]),
    ] {
        assert!(CredentialStore::insert(&*store, &credential).await.unwrap());
    }
    assert_eq!(told(&*store).await, (vec![], vec![]));
}

/// Sealed anew, hashed anew or removed: an older key is then free to go.
pub async fn a_key_is_no_longer_told_after_the_last_value_that_names_it(store: Arc<dyn KeyedStore>, _: ManualClock) {
    let (ada, bob) =
        (account(&*store, "ada", peppered("old-key1")).await, account(&*store, "bob", peppered("old-key1")).await);
    for credential in [totp(1, "old-key1"), totp(2, "old-key1"), codes(3, "old-key1")] {
        assert!(CredentialStore::insert(&*store, &credential).await.unwrap());
    }
    let both = (texts(&["new-key1", "old-key1"]), texts(&["new-key1", "old-key1"]));
    let change = UserChange { password_hash: Some(Some(peppered("new-key1"))), ..UserChange::default() };
    update(&*store, &ada, &change).await;
    let payload = totp(1, "new-key1").payload;
    assert!(CredentialStore::update_if(&*store, &totp(1, "old-key1"), &payload).await.unwrap().is_some());
    assert_eq!(told(&*store).await, both);
    assert!(store.remove(&TenantId::default(), CredentialId(Uuid::from_u128(2))).await.unwrap());
    assert_eq!(told(&*store).await, both);
    assert!(store.remove(&TenantId::default(), CredentialId(Uuid::from_u128(3))).await.unwrap());
    update(&*store, &bob, &UserChange { password_hash: Some(None), ..UserChange::default() }).await;
    assert_eq!(told(&*store).await, (texts(&["new-key1"]), texts(&["new-key1"])));
}

/// A store that is down says so: with no answer it must not look as if no key were needed.
pub async fn a_store_that_is_down_says_so(store: Arc<dyn KeyedStore>, _: ManualClock) {
    assert_unavailable(store.data_keys_in_use().await);
}
