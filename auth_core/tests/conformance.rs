//! The reference store keeps what every store promises, by itself and as a shared trait object.

use std::sync::Arc;

use auth_core::conformance;
use auth_core::memory::MemoryStore;
use auth_core::testing::ManualClock;

async fn store(clock: ManualClock) -> (MemoryStore, ()) {
    (MemoryStore::new(Arc::new(clock)), ())
}

conformance::user_store!(store);
conformance::usernames!(store);
conformance::tenants!(store);
conformance::session_store!(store);
conformance::mail_outbox!(store);
conformance::attempt_store!(store);
conformance::credential_store!(store);
conformance::pending_session_store!(store);
conformance::user_directory!(store);
conformance::data_key_use!(store);

mod shared {
    use auth_core::conformance::data_key_use::KeyedStore;
    use auth_core::conformance::user_directory::Directory;
    use auth_core::port::{AttemptStore, CredentialStore, MailOutbox, PendingSessionStore, SessionStore, UserStore};

    use super::*;

    macro_rules! shared {
        ($port:ident) => {
            async |clock| (Arc::new(MemoryStore::new(Arc::new(clock))) as Arc<dyn $port>, ())
        };
    }

    conformance::user_store!(shared!(UserStore));
    conformance::session_store!(shared!(SessionStore));
    conformance::mail_outbox!(shared!(MailOutbox));
    conformance::attempt_store!(shared!(AttemptStore));
    conformance::credential_store!(shared!(CredentialStore));
    conformance::pending_session_store!(shared!(PendingSessionStore));
    conformance::user_directory!(shared!(Directory));
    conformance::data_key_use!(shared!(KeyedStore));
}
