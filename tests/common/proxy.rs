//! A server's port that a test can close.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Passes on what comes and goes. Dropped, it closes its port and every connection.
pub(crate) struct Proxy {
    url: String,
    is_open: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server that a URL names, `SCHEME://[USER@]HOST:PORT/...`.
    pub(crate) async fn start(url: &str) -> Self {
        let (_, rest) = url.split_once("://").unwrap();
        let server = rest.split('/').next().unwrap().rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let (is_open, open) = watch::channel(true);
        let running = tokio::spawn(async move {
            // Ends with this task.
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut open) = (server.clone(), open.clone());
                connections.spawn(async move {
                    let passing = async {
                        let mut server = TcpStream::connect(server).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        biased;
                        _ = open.wait_for(|open| !open) => {}
                        _ = passing => {}
                    }
                });
            }
        });
        Self { url, is_open, running }
    }

    /// The same URL by way of this port.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Closed, it ends every connection that there is, and each new one at once.
    pub(crate) fn set_open(&self, open: bool) {
        self.is_open.send_replace(open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}
