//! The connection to one server: shared by all calls, made when one is needed, replaced when it is dead.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::is_dead;

/// How long connecting takes at most, and how long one command.
const TURN: Duration = Duration::from_millis(500);
/// How long nobody tries to connect again after it failed once, then twice as long each time up to the other: meanwhile
/// all calls fail at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

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

    /// Sends a command. After `asking` a node of a cluster also serves a slot that it is about to get.
    pub(super) async fn send(&self, command: &Cmd, asking: bool) -> Result<Value, RedisError> {
        let mut open = self.open().await?;
        let answer = once(&mut open.connection, command, asking).await;
        if let Err(error) = &answer
            && is_dead(error)
        {
            self.give_up(&open).await;
        }
        answer
    }

    /// The connection, as far as anybody knows. One caller at a time makes one; the others wait for it, or fail as it does.
    async fn open(&self) -> Result<Open, RedisError> {
        let mut state = self.state.lock().await;
        if let State::Open(open) = &*state {
            return Ok(open.clone());
        }
        let pause = match &*state {
            State::None(Some(failed)) if failed.at.elapsed() < failed.pause => return Err(failed.error.clone()),
            State::None(Some(failed)) => LONGEST_PAUSE.min(2 * failed.pause),
            _ => FIRST_PAUSE,
        };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TURN)).set_response_timeout(Some(TURN));
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                let open = Open { connection, since: Instant::now() };
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
