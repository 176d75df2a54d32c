//! Which node is where, as Caravan's epmd knows it: by the rule, from its own VM, or by registration. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Node;
use crate::node_name::{self, PortRules};

/// How many nodes may be registered at a time.
pub const MAX_REGISTERED: usize = 256;

/// The names of one host.
#[derive(Debug)]
pub struct Names {
    rules: PortRules,
    own: Node,
    /// The visible nodes on this host that this node is linked with, by the part before the `@`.
    peers: BTreeSet<String>,
    registered: BTreeMap<String, Node>,
}

impl Names {
    /// The names known to the node named `own` before the `@`, which listens on `port`.
    pub fn new(own: &str, port: u16, rules: PortRules) -> Self {
        Self {
            rules,
            own: Node::ordinary(own, port),
            peers: BTreeSet::new(),
            registered: BTreeMap::new(),
        }
    }

    /// This node.
    pub fn own(&self) -> &Node {
        &self.own
    }

    /// The link of the node `own` to `peer` has come up or gone. The VM also reports its own node.
    pub fn linked(&mut self, own: &str, peer: &str, up: bool) {
        let (name, host) = node_name::split(peer);
        if host.is_empty() || host != node_name::host_of(own) || name == self.own.name {
            return;
        }
        if up {
            self.peers.insert(name.into());
        } else {
            self.peers.remove(name);
        }
    }

    /// Registers the node, unless its name is taken or too many are registered. A peer may register: a plain node does
    /// so again when this server has taken over from the one it was registered with.
    pub fn register(&mut self, node: Node) -> bool {
        let free = node.name != self.own.name
            && !self.registered.contains_key(&node.name)
            && self.registered.len() < MAX_REGISTERED;
        if free {
            self.registered.insert(node.name.clone(), node);
        }
        free
    }

    /// Forgets a registered node.
    pub fn unregister(&mut self, name: &str) {
        self.registered.remove(name);
    }

    /// The node of this name. Unless it is known, its port follows from the name, whether or not there is such a node.
    pub fn find(&self, name: &str) -> Option<Cow<'_, Node>> {
        if name == self.own.name {
            return Some(Cow::Borrowed(&self.own));
        }
        match self.registered.get(name) {
            Some(node) => Some(Cow::Borrowed(node)),
            None => self.by_rule(name).map(|port| Cow::Owned(Node::ordinary(name, port))),
        }
    }

    /// The nodes that are up, and their ports.
    pub fn present(&self) -> impl Iterator<Item = (&str, u16)> {
        let own = (self.own.name.as_str(), self.own.port);
        let peers = self
            .peers
            .iter()
            .filter(|name| !self.registered.contains_key(*name))
            .filter_map(|name| Some((name.as_str(), self.by_rule(name)?)));
        let registered = self.registered.values();
        std::iter::once(own)
            .chain(peers)
            .chain(registered.map(|node| (node.name.as_str(), node.port)))
    }

    fn by_rule(&self, name: &str) -> Option<u16> {
        node_name::dist_port(name.as_bytes(), &self.rules).ok()
    }
}

#[cfg(test)]
mod tests;
