//! The reference store keeps what every store promises.

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
