//! A server that answers as a test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct FakeNode {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl FakeNode {
    /// The answer to a command is told by its name, in the bytes of the protocol. Without one the connection ends.
    pub(crate) async fn start(answer: impl Fn(u16, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, seen) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let log = seen.clone();
        let running = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let mut client = BufReader::new(client);
                    while let Some(name) = command(&mut client).await {
                        log.lock().unwrap().push(name.clone());
                        let answer = match &*name {
                            "CLIENT" | "PING" => Some("+OK\r\n".to_owned()),
                            name => answer(port, name),
                        };
                        let Some(answer) = answer else { return };
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { port, seen, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// How often it was given a command.
    pub(crate) fn seen(&self, name: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| *seen == name).count()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The name of the next command.
async fn command(client: &mut BufReader<TcpStream>) -> Option<String> {
    let count = number(client).await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(client).await? + "\r\n".len()];
        client.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word).trim_end().to_owned());
    }
    words.into_iter().next()
}

/// That of a line such as `*3` or `$11`.
async fn number(client: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}
