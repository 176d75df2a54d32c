//! Where a topology's names come from: DNS, the nodes of this machine, or a list.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::Discovery;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::handshake::flags;
use crate::known_nodes;
use crate::local_host;
use crate::naming::{Mismatch, Named, Naming, NodeNames, OwnNode};
use crate::node_name::{self, PortRules, host_of};
use crate::resolver::{self, Lookup, Missing, Recall, Spec, Transport, Type};
use crate::scan;
use crate::settings::{Settings, settings};

/// Who is asked.
pub enum Source {
    /// DNS; everything about a lookup except its query.
    Dns(Spec),
    /// Whatever listens on these ports of this machine.
    Local(RangeInclusive<u16>),
    /// Nobody: these are the nodes.
    Nodes(Vec<String>),
}

impl Source {
    /// The nodes of this machine, on the first `count` ports from `base_port` on.
    pub fn local(count: u16) -> Self {
        Self::Local(scan::ports(count))
    }

    /// The records that are looked up, if any are.
    pub(super) fn record_type(&self) -> Option<Type> {
        match self {
            Self::Dns(spec) => Some(spec.record_type),
            Self::Local(_) | Self::Nodes(_) => None,
        }
    }

    /// How options conflict with the name `own`: only those that make names can.
    pub(super) fn mismatch(&self, naming: &Naming, own: &str) -> Option<Mismatch> {
        self.record_type()?;
        naming.mismatch(own, &settings().rules)
    }

    pub(super) fn check(&self, queries: &[String]) -> Result<(), Error> {
        match self {
            Self::Dns(_) => queries.iter().try_for_each(|query| resolver::name(query).map(drop)),
            Self::Local(_) => Ok(()),
            Self::Nodes(nodes) => nodes
                .iter()
                .try_for_each(|node| node_name::full(node, &settings().rules).map(drop)),
        }
    }
}

impl Discovery {
    /// What the source says to query number `index`, and the names, unless they are the known ones.
    pub(super) async fn find(&self, index: u32, self_name: &str) -> Result<(Lookup, Option<NodeNames>), Error> {
        match &self.source {
            Source::Dns(spec) => {
                let spec = Spec {
                    query: self.query(index).to_owned(),
                    recall: self.recall(index, self_name),
                    ..spec.clone()
                };
                let lookup = resolver::lookup(spec.into()).await?;
                // Before the lock, since a scheduler may wait for that.
                let names = (!lookup.unchanged).then(|| {
                    self.named(self_name, |own, rules, ipv6| {
                        self.naming.names(&lookup.endpoints, own, rules, ipv6)
                    })
                });
                Ok((lookup, names))
            }
            Source::Local(ports) => Ok(self.local(ports.clone(), self_name).await),
            Source::Nodes(nodes) => Ok(self.listed(nodes, self_name)),
        }
    }

    fn recall(&self, index: u32, self_name: &str) -> Recall {
        match self.state().known.get(index as usize) {
            Some(Some(known)) if known.self_name == self_name => Recall::Known(known.digest),
            _ => Recall::On,
        }
    }

    async fn local(&self, ports: RangeInclusive<u16>, self_name: &str) -> (Lookup, Option<NodeNames>) {
        let start = Instant::now();
        let Settings { rules, listening, ipv6 } = settings();
        let address = local_host::loopback(ipv6);
        // We know who listens there.
        let own = node_name::listen_port(self_name.as_bytes(), &rules, listening).unwrap_or(0);
        let others = ports.filter(|port| *port != own);
        let found = scan::scan(&address.to_string(), others, self_name, scan::PATIENCE).await;
        // A hidden node is no peer.
        let visible = found
            .nodes
            .into_iter()
            .filter(|node| node.flags & flags::PUBLISHED != 0);
        let nodes: Vec<Named> = visible
            .map(|node| Named {
                at: Endpoint::at(vec![address], Some(node.port)),
                name: node.name,
            })
            .collect();
        let endpoints = nodes.iter().map(|node| node.at.clone()).collect();
        let mut lookup = Lookup::elsewhere(endpoints, address.to_string(), Transport::Handshake, start.elapsed());
        lookup.incomplete = found.failed.map(Missing::Records);
        let mut names = self.named(self_name, |own, rules, ipv6| {
            self.naming.given(&nodes, own, rules, ipv6)
        });
        names.itself.push(self_name.to_owned());
        for node in &names.listed {
            known_nodes::note_answer(&node.name);
        }
        (lookup, Some(names))
    }

    fn listed(&self, nodes: &[String], self_name: &str) -> (Lookup, Option<NodeNames>) {
        let rules = settings().rules;
        let named = |name: &String| Named {
            at: place(name, &rules),
            name: name.clone(),
        };
        let nodes: Vec<Named> = nodes.iter().map(named).collect();
        let endpoints = nodes.iter().map(|node| node.at.clone()).collect();
        let lookup = Lookup::elsewhere(endpoints, "the option :nodes".into(), Transport::Given, Duration::ZERO);
        let names = self.named(self_name, |own, rules, ipv6| {
            self.naming.given(&nodes, own, rules, ipv6)
        });
        (lookup, Some(names))
    }

    /// Calls `names` with this node as it is now.
    fn named(&self, self_name: &str, names: impl FnOnce(&OwnNode<'_>, &PortRules, bool) -> NodeNames) -> NodeNames {
        let Settings { rules, listening, ipv6 } = settings();
        let own = OwnNode {
            name: self_name,
            long_names: self.long_names,
            port: node_name::outer_port(self_name.as_bytes(), &rules, listening).filter(|_| self.long_names.is_some()),
            mapped: listening.port.is_some(),
            is_here: &|address| local_host::is_local(address, self.bound),
            is_other: &known_nodes::was_linked,
        };
        names(&own, &rules, ipv6)
    }
}

/// Where the node of this name should be; the system knows the addresses of its host.
fn place(name: &str, rules: &PortRules) -> Endpoint {
    let host = host_of(name);
    let literal = host.parse().ok();
    Endpoint {
        host: literal.is_none().then(|| host.to_owned()),
        ..Endpoint::at(Vec::from_iter(literal), node_name::full(name, rules).ok())
    }
}
