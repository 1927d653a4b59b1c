//! Clients that begin a body and do not end it: both frameworks answer them and close, in time.

use std::net::SocketAddr;
use std::time::Duration;

use auth_system::auth_core::port::Clock as _;
use auth_system::system::SystemClock;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::conventions::ROWS;
use crate::door::Driver;
use crate::parity::{serve_actix, serve_axum};
use crate::place::Store;
use crate::world::{Ground, World, post};

const GROUND: Ground = Ground { store: Store::Memory, driver: Driver::Bare };
const CLIENTS: usize = 100;

async fn world() -> World {
    GROUND.world_with(|config| config.body_timeout = Duration::from_secs(1)).await
}

async fn servers(world: &World) -> [SocketAddr; 2] {
    [serve_axum(&world.auth).await, serve_actix(&world.auth)]
}

/// Begins a request whose body never ends, and returns all that comes back until the server closes.
async fn answer(
    address: SocketAddr,
    (method, path): (Method, &'static str),
    drip: impl AsyncFnOnce(OwnedWriteHalf) + Send + 'static,
) -> String {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!("{method} /api/auth/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json");
    writing.write_all(format!("{head}\r\ncontent-length: 1000\r\n\r\n{{").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = async {
        // Whether the server closes in good order is its own affair.
        let _ = reading.read_to_end(&mut bytes).await;
    };
    let both = async { tokio::join!(read, drip(writing)) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the server closes");
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn timed_out(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"body_timeout\""), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body_is_answered_with_408_and_its_connection_closed() {
    let world = world().await;
    for address in servers(&world).await {
        let start = SystemClock.monotonic();
        let held = async |writing: OwnedWriteHalf| {
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(writing);
        };
        let clients = (0..CLIENTS).map(|_| tokio::spawn(answer(address, (Method::POST, "login/"), held)));
        let clients: Vec<_> = clients.collect();
        for client in clients {
            timed_out(&client.await.unwrap());
        }
        let took = SystemClock.monotonic() - start;
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_now_and_then_gains_a_client_no_time() {
    let world = world().await;
    for address in servers(&world).await {
        let start = SystemClock.monotonic();
        let drip = async move |mut writing: OwnedWriteHalf| {
            while SystemClock.monotonic() - start < Duration::from_secs(15) && writing.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timed_out(&answer(address, (Method::POST, "signup/"), drip).await);
        let took = SystemClock.monotonic() - start;
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_endpoint_waits_for_a_body_that_does_not_come() {
    let world = world().await;
    for address in servers(&world).await {
        let ask = |(method, path): (Method, &'static str)| {
            let drip = async |writing: OwnedWriteHalf| {
                tokio::time::sleep(Duration::from_secs(4)).await;
                drop(writing);
            };
            tokio::spawn(async move { (path, answer(address, (method, path), drip).await) })
        };
        for client in ROWS.map(ask) {
            let (path, answer) = client.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_body_in_time_is_read() {
    let world = world().await;
    world.send(post("login/").json(serde_json::json!({}))).await.refused(400, "invalid_fields");
}
