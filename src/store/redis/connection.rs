//! The connection to one server: shared by all calls, made when one is needed, replaced when it is dead.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value,
};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::call::Call;
use super::error::{Trouble, is_dead};

/// How long connecting takes at most, and how long one command.
const TURN: Duration = Duration::from_millis(500);
/// How long nobody tries to connect again after it failed once, then twice as long each time up to the other: meanwhile
/// all calls fail at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// After how long without a call a connection is asked whether it still lives. Servers and firewalls close idle ones,
/// and a command that found out by itself could not be sent again: it may have been counted.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    client: Client,
    state: Mutex<State>,
}

enum State {
    /// Not connected; why, if the last try failed.
    None(Option<Failed>),
    Open(Open),
}

struct Failed {
    error: RedisError,
    at: Instant,
    pause: Duration,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Tells this connection from its successors.
    since: Instant,
    last_used: Instant,
    home: Arc<Home>,
}

/// The runtime that a connection was made on, where a task of the crate reads its answers. It may end before others that
/// use the connection, as that of a worker of actix-web does when a handler took the worker down.
struct Home(AbortHandle);

impl Home {
    fn here() -> Self {
        Self(tokio::spawn(pending::<()>()).abort_handle())
    }

    fn is_gone(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, state: Mutex::new(State::None(None)) }
    }

    /// A connection with the same settings to another server.
    pub(super) fn to(&self, host: String, port: u16) -> Result<Self, RedisError> {
        let settings = self.client.get_connection_info().clone();
        let address = match settings.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
            // What was for this machine alone, a password say, is not sent to others.
            _ => return Err((ErrorKind::Client, "a cluster is not followed from a socket in the file system").into()),
        };
        Client::open(settings.set_addr(address)).map(Self::new)
    }

    /// The name or the number of the server's machine, unless it is this one by a path.
    pub(super) fn host(&self) -> Option<&str> {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Sends a command that changes nothing.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.send(async |connection| command.query_async(connection).await).await.map_err(RedisError::from)
    }

    /// Runs a script by its name, and once more with its text if the server does not know it, or a command. After
    /// `asking` a node of a cluster also serves a slot that it is about to get.
    pub(super) async fn call(&self, call: &Call, asking: bool) -> Result<Value, Trouble> {
        self.send(async |connection| {
            let answer = once(connection, &call.command, asking).await;
            match (&answer, call.script) {
                (Err(error), Some(script)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.prepare_invoke().load_async(connection).await?;
                    once(connection, &call.command, asking).await
                }
                _ => answer,
            }
        })
        .await
    }

    async fn send<T>(
        &self,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Trouble> {
        let mut open = self.open().await.map_err(Trouble::Unreachable)?;
        let answer = command(&mut open.connection).await;
        if let Err(error) = &answer
            && is_dead(error)
        {
            self.give_up(&open).await;
        }
        answer.map_err(Trouble::Answer)
    }

    /// A connection that lives. One caller at a time makes one; the others wait for it, or fail as it does.
    async fn open(&self) -> Result<Open, RedisError> {
        let mut state = self.state.lock().await;
        if let State::Open(open) = &mut *state {
            let fresh = open.last_used.elapsed() < IDLE;
            if !open.home.is_gone() && (fresh || redis::cmd("PING").exec_async(&mut open.connection).await.is_ok()) {
                open.last_used = Instant::now();
                return Ok(open.clone());
            }
            *state = State::None(None);
        }
        let pause = match &*state {
            State::None(Some(failed)) if failed.at.elapsed() < failed.pause => return Err(failed.error.clone()),
            State::None(Some(failed)) => LONGEST_PAUSE.min(2 * failed.pause),
            _ => FIRST_PAUSE,
        };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TURN)).set_response_timeout(Some(TURN));
        // First, for a runtime of one thread ends its tasks in the order that they began: this one before the crate's. On
        // others a call that comes at that very moment may still fail.
        let home = Arc::new(Home::here());
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                let now = Instant::now();
                let open = Open { connection, since: now, last_used: now, home };
                *state = State::Open(open.clone());
                Ok(open)
            }
            Err(error) => {
                *state = State::None(Some(Failed { error: error.clone(), at: Instant::now(), pause }));
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

/// Sends a command once.
async fn once(connection: &mut MultiplexedConnection, command: &Cmd, asking: bool) -> Result<Value, RedisError> {
    if !asking {
        return command.query_async(connection).await;
    }
    // Both in one piece: ASKING holds for the next command, which must not be that of another caller.
    let mut both = redis::pipe();
    both.cmd("ASKING").add_command(command.clone());
    match connection.send_packed_commands(&both, 1, 1).await?.pop() {
        Some(answer) => answer.extract_error(),
        None => Err((ErrorKind::Parse, "no answer to the second of two commands").into()),
    }
}
