//! What is known of a cluster: its nodes, which slots they have, and what they say of each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crc::{CRC_16_XMODEM, Crc};
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use super::connection::Connection;

#[derive(Default)]
pub(super) struct Cluster {
    nodes: BTreeMap<Address, Arc<Connection>>,
    /// By the last slot of each range: the first one, and who has it.
    slots: BTreeMap<u16, (u16, Arc<Connection>)>,
}

/// The host and the port of a node.
pub(super) type Address = (String, u16);

impl Cluster {
    /// Whether any server has spoken of a cluster.
    pub(super) fn is_known(&self) -> bool {
        !self.nodes.is_empty()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.nodes.values()
    }

    /// The node at an address. The settings are those of the one that named it.
    pub(super) fn node(&mut self, address: Address, named_by: &Connection) -> Result<Arc<Connection>, RedisError> {
        if let Some(node) = self.nodes.get(&address) {
            return Ok(node.clone());
        }
        let node = Arc::new(named_by.to(address.0.clone(), address.1)?);
        self.nodes.insert(address, node.clone());
        Ok(node)
    }

    /// Who has the slot of a key, as far as that is known. For a slot that nobody has, any node, which will say so.
    pub(super) fn node_of(&self, key: &str) -> Option<&Arc<Connection>> {
        let slot = slot(key);
        let range = self.slots.range(slot..).next().filter(|(_, (first, _))| *first <= slot);
        range.or_else(|| self.slots.first_key_value()).map(|(_, (_, node))| node)
    }

    /// Replaces what is known by what a node answers to CLUSTER SLOTS. Connections that are still needed stay.
    pub(super) fn learn(&mut self, slots: &[Value], from: &Connection) -> Result<(), RedisError> {
        let ranges: Vec<_> = slots.iter().filter_map(|range| Range::read(range, from)).collect();
        if ranges.is_empty() {
            return Err((ErrorKind::Client, "a node of the cluster knows of no slots").into());
        }
        let mut known = Self::default();
        for Range { first, last, nodes } in ranges {
            for (number, address) in nodes.into_iter().enumerate() {
                let node = self.node(address.clone(), from)?;
                if number == 0 {
                    known.slots.insert(last, (first, node.clone()));
                }
                known.nodes.insert(address, node);
            }
        }
        *self = known;
        Ok(())
    }
}

/// Slots from the first to the last, and who has them: the master, then its replicas.
struct Range {
    first: u16,
    last: u16,
    nodes: Vec<Address>,
}

impl Range {
    fn read(range: &Value, from: &Connection) -> Option<Self> {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &**parts else { return None };
        let node = |node: &Value| {
            let Value::Array(parts) = node else { return None };
            let [host, Value::Int(port), ..] = &**parts else { return None };
            let host = match host {
                Value::BulkString(host) => str::from_utf8(host).ok()?,
                Value::Nil => "",
                _ => return None,
            };
            address(host, u16::try_from(*port).ok()?, from)
        };
        let nodes = [node(master)?].into_iter().chain(replicas.iter().filter_map(node)).collect();
        Some(Self { first: u16::try_from(*first).ok()?, last: u16::try_from(*last).ok()?, nodes })
    }
}

/// What a node answers instead of doing what it was asked for.
pub(super) enum Redirection {
    /// The slot is there.
    Moved(Address),
    /// The slot is about to move there, and the key is there already or will be.
    Ask(Address),
    /// Nobody serves the slot now.
    Wait,
}

impl Redirection {
    pub(super) fn of(error: &RedisError, from: &Connection) -> Option<Self> {
        let node = || {
            let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
            address(host, port.parse().ok()?, from)
        };
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => node().map(Self::Moved),
            ErrorKind::Server(ServerErrorKind::Ask) => node().map(Self::Ask),
            ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain) => Some(Self::Wait),
            _ => None,
        }
    }
}

/// Where a node is of which another one speaks: without a host, at its own.
fn address(host: &str, port: u16, from: &Connection) -> Option<Address> {
    let host = match host {
        "" => from.host()?,
        "?" => return None,
        host => host,
    };
    Some((host.to_owned(), port))
}

/// Which of the 16384 slots has a key; it holds no braces.
fn slot(key: &str) -> u16 {
    static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    CRC.checksum(key.as_bytes()) % 16384
}
