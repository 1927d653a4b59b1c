//! The connection: shared by all calls, made when one is needed, replaced when it is dead.

use std::time::Duration;

use auth_core::port::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::error::{Failure, is_dead};

/// How long a call takes at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long connecting takes at most, and how long one command.
const TURN: Duration = Duration::from_millis(500);
/// How long nobody tries to connect again after it failed: meanwhile all calls fail at once.
const PAUSE: Duration = Duration::from_millis(200);
/// After how long without a call a connection is asked whether it still lives. Servers and firewalls close idle ones,
/// and a command that found out by itself could not be sent again: it may have been counted.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    client: Client,
    state: Mutex<State>,
}

enum State {
    /// Not connected; the reason and the time if the last try failed.
    None(Option<(RedisError, Instant)>),
    Open(Open),
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Tells this connection from its successors.
    since: Instant,
    last_used: Instant,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, state: Mutex::new(State::None(None)) }
    }

    /// Runs one command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: Cmd) -> Result<T, StoreError> {
        self.call(async |connection| command.query_async(connection).await).await
    }

    /// Runs a script: by its name, and once more with its text if the server does not know it.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.call(async |connection| script.invoke_async(connection).await).await
    }

    async fn call<T: FromRedisValue>(
        &self,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<redis::Value, RedisError>,
    ) -> Result<T, StoreError> {
        let answer = timeout(PATIENCE, async {
            let mut open = self.open().await?;
            let answer = command(&mut open.connection).await;
            if let Err(error) = &answer
                && is_dead(error)
            {
                self.give_up(&open).await;
            }
            answer
        });
        let answer = match answer.await {
            Ok(answer) => answer.map_err(Failure::from)?,
            Err(_) => return Err(Failure::late().into()),
        };
        T::from_redis_value(answer).map_err(StoreError::corrupt)
    }

    /// A connection that lives. One caller at a time makes one; the others wait for it, or fail as it does.
    async fn open(&self) -> Result<Open, RedisError> {
        let mut state = self.state.lock().await;
        if let State::Open(open) = &mut *state {
            let fresh = open.last_used.elapsed() < IDLE;
            if fresh || redis::cmd("PING").exec_async(&mut open.connection).await.is_ok() {
                open.last_used = Instant::now();
                return Ok(open.clone());
            }
            *state = State::None(None);
        }
        if let State::None(Some((error, at))) = &*state
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TURN)).set_response_timeout(Some(TURN));
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                let now = Instant::now();
                let open = Open { connection, since: now, last_used: now };
                *state = State::Open(open.clone());
                Ok(open)
            }
            Err(error) => {
                *state = State::None(Some((error.clone(), Instant::now())));
                Err(error)
            }
        }
    }

    /// The next call is to connect anew, unless another one already has.
    async fn give_up(&self, dead: &Open) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Open(open) if open.since == dead.since) {
            *state = State::None(None);
        }
    }
}
