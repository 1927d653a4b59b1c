//! A world whose stores or hasher fail when told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth_system::auth_core::port::{HashError, PasswordHasher, Ticket, Verdict};
use auth_system::auth_core::testing::InsecurePlainHasher;
use auth_system::auth_core::types::{Password, PasswordHash};
use auth_system::{Auth, AuthBuilder, Config};

pub(crate) use crate::common::Fault;
use crate::common::Faults as StoreFaults;
use crate::world::{self, World};

/// The switches. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    pub(crate) stores: StoreFaults,
    busy: Arc<Mutex<Option<Duration>>>,
}

impl Faults {
    /// What a store says when it fails; clients must never read it.
    pub(crate) const CAUSE: &str = StoreFaults::CAUSE;

    /// The same world with these switches built in.
    pub(crate) fn around(&self, world: World, configure: impl FnOnce(&mut Config)) -> World {
        let mut config = world::config();
        configure(&mut config);
        let auth = self.builder(&world, config).without_workers().build().unwrap();
        world.around(auth)
    }

    /// The parts of a world behind these switches.
    pub(crate) fn builder(&self, world: &World, config: Config) -> AuthBuilder {
        let ports = world.auth.system().ports();
        Auth::builder(config)
            .users(self.stores.around(&ports.users))
            .sessions(self.stores.around(&ports.sessions))
            .outbox(self.stores.around(&ports.outbox))
            .attempts(self.stores.around(&ports.attempts))
            .credentials(self.stores.around(&ports.credentials))
            .pending_sessions(self.stores.around(&ports.pending))
            .hasher(Busy { hasher: world.hasher.clone(), faults: self.clone() })
            .mailer(world.mailer.clone())
            .events(world.events.clone())
            .clock(world.clock.clone())
    }

    /// The hasher turns everybody away for so long, or nobody.
    pub(crate) fn busy(&self, retry_after: Option<Duration>) {
        *self.busy.lock().unwrap() = retry_after;
    }
}

struct Busy {
    hasher: InsecurePlainHasher,
    faults: Faults,
}

#[async_trait]
impl PasswordHasher for Busy {
    fn admit(&self, lane: u128) -> Result<Ticket, HashError> {
        let busy = *self.faults.busy.lock().unwrap();
        busy.map_or_else(|| self.hasher.admit(lane), |retry_after| Err(HashError::Overloaded { retry_after }))
    }

    async fn hash(&self, ticket: Ticket, password: &Password) -> Result<PasswordHash, HashError> {
        self.hasher.hash(ticket, password).await
    }

    async fn verify(
        &self,
        ticket: Ticket,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        self.hasher.verify(ticket, password, hash).await
    }
}
