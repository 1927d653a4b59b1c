//! Ports for servers that are started a moment later.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A free port of the loopback interface, which this process hands out once.
///
/// It lies below the range from which Linux takes the ports of outgoing connections. A port of that range may be taken
/// by any connection before its server listens.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run beside each other begin at places of their own.
    let start = u16::try_from(std::process::id() % u32::from(COUNT / 40)).unwrap() * 40;
    let candidates = std::iter::repeat_with(|| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let mut candidates = candidates.take(usize::from(COUNT));
    candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
