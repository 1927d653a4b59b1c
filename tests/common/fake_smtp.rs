//! A mail server for one test: takes mails, keeps a record, and misbehaves on demand. It ends when it is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Implicit,
    StartTls,
    Plaintext,
}

/// What the server does instead of its usual reply.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Reply(&'static str),
    Close,
    /// Replies as usual, and is gone after the next line.
    CloseAfter,
    Silence,
}

pub(crate) struct FakeServer {
    pub(crate) port: u16,
    /// The server's certificate, to be trusted by `ca=`.
    pub(crate) ca: NamedTempFile,
    shared: Arc<Shared>,
    /// The one that accepts; it owns the conversations.
    accepting: JoinHandle<()>,
}

struct Shared {
    mode: Mode,
    tls: TlsAcceptor,
    /// By how a command begins; each happens once. `GREETING` and `MESSAGE` count as commands.
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    record: Mutex<Vec<String>>,
    taken: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl FakeServer {
    pub(crate) async fn start(mode: Mode, faults: &[(&'static str, Fault)]) -> Self {
        Self::start_as("localhost", mode, faults).await
    }

    pub(crate) async fn start_as(name: &str, mode: Mode, faults: &[(&'static str, Fault)]) -> Self {
        Self::start_on(0, name, mode, faults).await
    }

    /// Port 0 is any that is free.
    pub(crate) async fn start_on(port: u16, name: &str, mode: Mode, faults: &[(&'static str, Fault)]) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let ca = NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), cert.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.serialize_der().try_into().unwrap())
            .unwrap();
        let shared = Arc::new(Shared {
            mode,
            tls: TlsAcceptor::from(Arc::new(config)),
            faults: Mutex::new(faults.iter().copied().collect()),
            record: Mutex::default(),
            taken: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, ca, shared, accepting }
    }

    /// Plans a fault beside those that did not happen yet.
    pub(crate) fn misbehave(&self, at: &'static str, fault: Fault) {
        self.shared.faults.lock().unwrap().push_back((at, fault));
    }

    /// Each command and each message, `tls: ` before those that came encrypted.
    pub(crate) fn record(&self) -> Vec<String> {
        self.shared.record.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The recipients of the messages that this server has and did not refuse, told the client or not.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// The messages that came so far.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.record().into_iter().filter(|entry| entry.contains("Message-ID:")).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        conversations.spawn(async move {
            // A client that goes away is part of some tests.
            let _ = match shared.mode {
                Mode::Implicit => match shared.tls.accept(stream).await {
                    Ok(stream) => converse(Box::new(stream), true, &shared).await,
                    Err(error) => Err(error),
                },
                _ => converse(Box::new(stream), false, &shared).await,
            };
        });
    }
}

async fn converse(stream: Box<dyn Stream>, mut encrypted: bool, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut verb = "GREETING".to_owned();
    let (mut line, mut recipient) = (String::new(), String::new());
    loop {
        let usual = match verb.as_str() {
            "GREETING" => "220 localhost at your service",
            "EHLO" if !encrypted && shared.mode == Mode::StartTls => "250-localhost\r\n250 STARTTLS",
            "EHLO" if encrypted => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "STARTTLS" => "220 go ahead",
            // The user `ada` with the password `hunter2`.
            "AUTH" if line.trim_end() == "AUTH PLAIN AGFkYQBodW50ZXIy" => "235 welcome",
            "AUTH" => "535 wrong",
            "DATA" => "354 go ahead",
            _ => "250 fine",
        };
        let fault = {
            let heard = if line.starts_with(&verb) { line.as_str() } else { verb.as_str() };
            let mut faults = shared.faults.lock().unwrap();
            let next = faults.iter().position(|(at, _)| heard.starts_with(at));
            next.and_then(|next| faults.remove(next)).map(|(_, fault)| fault)
        };
        if let Some((_, address)) = line.split_once("RCPT TO:") {
            recipient = address.trim().trim_matches(['<', '>']).to_owned();
        }
        // An answer counts once it is on its way: the server may be dropped right after.
        let has_message = verb == "MESSAGE" && !matches!(fault, Some(Fault::Reply(_)));
        if has_message && fault.is_some() {
            shared.taken.lock().unwrap().push(recipient.clone());
        }
        let reply = match fault {
            None | Some(Fault::CloseAfter) => usual,
            Some(Fault::Reply(reply)) => reply,
            Some(Fault::Close) => return Ok(()),
            Some(Fault::Silence) => std::future::pending().await,
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        stream.flush().await?;
        if has_message && fault.is_none() {
            shared.taken.lock().unwrap().push(recipient.clone());
        }
        if verb == "STARTTLS" && reply.starts_with("220") {
            let secured = shared.tls.accept(stream.into_inner()).await?;
            stream = BufReader::new(Box::new(secured));
            encrypted = true;
        }
        let message = verb == "DATA" && reply.starts_with("354");
        line.clear();
        loop {
            if stream.read_line(&mut line).await? == 0 || matches!(fault, Some(Fault::CloseAfter)) {
                return Ok(());
            }
            if !message || line.ends_with("\r\n.\r\n") {
                break;
            }
        }
        verb = if message { "MESSAGE".to_owned() } else { line.split_whitespace().next().unwrap_or("").to_owned() };
        let mark = if encrypted { "tls: " } else { "" };
        shared.record.lock().unwrap().push(format!("{mark}{}", line.trim_end()));
    }
}
