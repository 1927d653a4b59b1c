//! Settings that are possible and dangerous: `build()` logs one warning for each.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Config;

impl Config {
    /// Logs one warning for each dangerous setting. `frontend` and `allowed` are origins as browsers spell them.
    pub(crate) fn warn_of_footguns(&self, frontend: &str, allowed: &[String]) {
        if is_exposed(frontend) {
            tracing::warn!(
                target: "auth",
                setting = "frontend_url",
                "the front-end is reached by plain http: others on the way read passwords and mailed links, and browsers drop \
                 cookies with `Secure`. Set an https address"
            );
        }
        let listed: Vec<_> = allowed.iter().filter(|origin| *origin != frontend && is_exposed(origin)).collect();
        if !listed.is_empty() {
            tracing::warn!(
                target: "auth",
                setting = "allowed_origins",
                origins = ?listed,
                "pages that are reached by plain http may send credentials: others on the way can change these pages. List \
                 https origins alone"
            );
        }
        let on_loopback = is_loopback(frontend) && allowed.iter().all(|origin| is_loopback(origin));
        if !(self.cookies.secure || on_loopback) {
            tracing::warn!(
                target: "auth",
                setting = "cookies.secure",
                "browsers send the cookies by plain http, too, and other hosts of the domain can set them. Leave `Secure` on \
                 where the front-end is not on loopback"
            );
        }
        if !self.cookies.http_only {
            tracing::warn!(
                target: "auth",
                setting = "cookies.http_only",
                "any script on a page of the front-end can read the tokens in the cookies. Leave `HttpOnly` on"
            );
        }
    }
}

/// Whether these networks together hold every address of a family.
pub(super) fn hold_every_address(networks: &[IpNet]) -> bool {
    IpNet::aggregate(&networks.to_vec()).iter().any(|network| network.prefix_len() == 0)
}

/// Whether others can read along on the way to an origin.
fn is_exposed(origin: &str) -> bool {
    origin.starts_with("http://") && !is_loopback(origin)
}

/// Whether an origin is the machine's own: requests to it leave no network card.
fn is_loopback(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or(""),
    };
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_hosts_that_only_look_like_it() {
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://app.localhost",
            "http://127.0.0.1:8080",
            "http://127.1.2.3",
            "http://[::1]:3000",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(origin), "{origin}");
        }
        for origin in [
            "http://localhost.example.org",
            "http://notlocalhost",
            "http://128.0.0.1",
            "http://0.0.0.0:3000",
            "http://192.168.1.7",
            "http://[::]:80",
            "http://[2001:db8::1]",
            "https://app.example.org",
        ] {
            assert!(!is_loopback(origin), "{origin}");
        }
    }

    #[test]
    fn networks_that_together_hold_every_address_are_seen() {
        let hold = |networks: &[&str]| {
            let networks: Vec<IpNet> = networks.iter().filter_map(|network| network.parse().ok()).collect();
            hold_every_address(&networks)
        };
        for all in [
            &["0.0.0.0/0"][..],
            &["::/0"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["128.0.0.0/1", "10.0.0.0/8", "0.0.0.0/2", "64.0.0.0/2"],
            &["::/1", "8000::/1"],
            &["0.0.0.0/1", "8000::/1", "0.0.0.0/1", "::/1"],
        ] {
            assert!(hold(all), "{all:?}");
        }
        for some in [&[][..], &["0.0.0.0/1"], &["0.0.0.0/1", "8000::/1"], &["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"]] {
            assert!(!hold(some), "{some:?}");
        }
    }
}
