//! The client's address: the rightmost hop that is not one of our own proxies.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Walks `X-Forwarded-For` from the right, as far as each hop is trusted. Whatever stands left of the first stranger
/// was written by strangers.
pub(crate) fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut current = peer.map(|address| address.to_canonical())?;
    let hops = headers.get_all("x-forwarded-for").iter().rev();
    // Bytes, for what a stranger wrote left of our proxies' own part need not be text.
    let hops = hops.flat_map(|header| header.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_trusted(&current) {
            break;
        }
        // A proxy of ours wrote nonsense: the last address that makes sense is the client.
        let Some(address) = parse_hop(hop) else { break };
        current = address;
    }
    Some(current)
}

/// Whether a peer looks like a proxy of the operator's that the settings do not trust: it forwards for others, from an
/// address that no client out there has.
pub(crate) fn is_untrusted_proxy(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let forwards = || ["x-forwarded-for", "forwarded"].iter().any(|name| headers.contains_key(*name));
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.map(|address| address.to_canonical());
    peer.is_some_and(|peer| forwards() && is_private(peer) && !is_trusted(&peer))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // RFC 6598 as well: providers of containers use it for their own networks.
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// An address, maybe with a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|net| net.parse().ok()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(value));
        }
        client_address(peer.parse().ok(), &headers, &trusted).map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client("::ffff:10.0.0.1", &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client("fd00::1", &["[2001:db8::7]:443"]), "2001:db8::7");
    }

    #[test]
    fn a_private_peer_that_forwards_is_a_proxy_to_be_trusted() {
        let proxy = |peer: &str, header: &'static str| {
            let trusted = ["10.9.0.0/16".parse().ok()].into_iter().flatten().collect::<Vec<IpNet>>();
            let mut headers = HeaderMap::new();
            headers.append(header, http::HeaderValue::from_static("192.0.2.1"));
            is_untrusted_proxy(peer.parse().ok(), &headers, &trusted)
        };
        for peer in ["127.0.0.1", "::1", "10.0.0.1", "172.17.0.1", "192.168.0.1", "169.254.0.1", "100.64.0.1"] {
            assert!(proxy(peer, "x-forwarded-for") && proxy(peer, "forwarded"), "{peer}");
            assert!(!proxy(peer, "x-real-ip"), "{peer}");
        }
        for peer in ["fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(proxy(peer, "forwarded"), "{peer}");
        }
        for peer in ["192.0.2.1", "2001:db8::1", "10.9.0.1", "100.128.0.1", "172.32.0.1", "no peer"] {
            assert!(!proxy(peer, "x-forwarded-for"), "{peer}");
        }
    }

    #[test]
    fn nonsense_ends_the_walk_at_the_last_known_hop() {
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.1, , 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
