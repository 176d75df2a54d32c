//! From endpoints to node names: fills the template, and refuses names that are invalid, unreachable or not allowed.
//! Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::endpoint::Endpoint;
use crate::membership::{Listed, Refusal};
use crate::node_name::{self, PortRules, host_of};
use crate::template::{Template, TemplateValues};

/// How a topology names the nodes of its endpoints, and which it allows.
#[derive(Debug)]
pub struct Naming {
    /// The base of the names.
    pub sname: String,
    /// The template of the names.
    pub template: Template,
    /// The networks that nodes may be in; empty for all.
    pub allow: Vec<IpNet>,
    /// Whether addresses of both families are looked up, so that those of the other family are no mistake.
    pub both_families: bool,
}

/// This node, as far as needed to recognize it in DNS.
pub struct OwnNode<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it uses long names: it can't connect to nodes that don't do the same. `None` if links are not Erlang's
    /// own, and this doesn't matter.
    pub long_names: Option<bool>,
    /// The port that its peers dial, if they do.
    pub port: Option<u16>,
    /// Whether another port of its host is mapped to it: then the addresses of its host are its own.
    pub mapped: bool,
    /// Whether dialing an address leads to this machine.
    pub is_here: &'a dyn Fn(IpAddr) -> bool,
    /// Whether a name is known to be another node's, from an earlier link: then DNS is wrong about its address.
    pub is_other: &'a dyn Fn(&str) -> bool,
}

/// The names of an answer's endpoints.
#[derive(Debug, Default)]
pub struct NodeNames {
    /// The nodes, each once.
    pub listed: Vec<Listed>,
    /// The refused names.
    pub refused: Vec<(String, Refusal)>,
    /// Names that lead to this node: its own, and one of the others, if there are any.
    pub itself: Vec<String>,
}

/// A node by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub at: Endpoint,
}

/// How an option conflicts with this node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The topology names nodes by address, but this one is named by host.
    ByHost,
    /// This node's host has capitals, but DNS names come in lower case.
    Capitals(String),
    /// The topology's options would give this node another name.
    OtherName(String),
}

impl Naming {
    /// The names of the nodes at `endpoints`. `ipv6` tells which family is dialed.
    pub fn names(&self, endpoints: &[Endpoint], own: &OwnNode<'_>, rules: &PortRules, ipv6: bool) -> NodeNames {
        let mut names = Collected::new(self, own, rules, ipv6, endpoints);
        // Address records carry no port, so nodes found through them share ours.
        let own_port = node_name::dist_port(own.name.as_bytes(), rules).ok();
        for endpoint in endpoints {
            let port = match endpoint.host {
                Some(_) => endpoint.port,
                None => endpoint.port.or(own_port),
            };
            if let (Some(host), None) = (&endpoint.host, port)
                && self.template.needs_port()
            {
                names.refuse(host.clone(), Refusal::NoPort);
                continue;
            }
            let allowed = self.allowed(&endpoint.addresses);
            // The name has to wait for an address; the host is among the unresolved.
            let of_family = |ip: &&IpAddr| ip.is_ipv6() == ipv6;
            let address = allowed.iter().find(of_family).or(allowed.first());
            let address = address.or(endpoint.addresses.first()).copied();
            let name = self.template.render(&TemplateValues {
                sname: &self.sname,
                port,
                host: endpoint.host.as_deref(),
                ip: address,
            });
            if let Some(name) = name {
                names.add(name, &endpoint.addresses, allowed);
            }
        }
        names.done()
    }

    /// The same for nodes that are known by name: each with where it is.
    pub fn given(&self, nodes: &[Named], own: &OwnNode<'_>, rules: &PortRules, ipv6: bool) -> NodeNames {
        let mut names = Collected::new(self, own, rules, ipv6, &[]);
        for Named { name, at } in nodes {
            let elsewhere = |port| node_name::dist_port(name.as_bytes(), rules).is_ok_and(|dialed| dialed != port);
            if at.port.is_some_and(elsewhere) {
                names.refuse(name.clone(), Refusal::OtherPort);
            } else {
                names.add(name.clone(), &at.addresses, self.allowed(&at.addresses));
            }
        }
        names.done()
    }

    /// How the options conflict with this node's name, so that its peers can't find it as it finds them.
    pub fn mismatch(&self, own: &str, rules: &PortRules) -> Option<Mismatch> {
        let host = host_of(own);
        let address = host.parse::<IpAddr>().ok();
        // Others don't look for a tool's node or an invalid name.
        let port = node_name::dist_port(own.as_bytes(), rules).ok()?;
        if self.template.has_ip() && address.is_none() {
            return Some(Mismatch::ByHost);
        }
        let name = self.template.render(&TemplateValues {
            sname: &self.sname,
            port: Some(port),
            host: Some(&host.to_ascii_lowercase()),
            ip: address,
        })?;
        if name == own {
            None
        } else if name.eq_ignore_ascii_case(own) {
            Some(Mismatch::Capitals(host.to_owned()))
        } else {
            Some(Mismatch::OtherName(name))
        }
    }

    /// Whether an endpoint's name, or whether it is allowed, depends on its addresses.
    pub fn needs_addresses(&self) -> bool {
        self.template.has_ip() || !self.allow.is_empty()
    }

    fn allowed(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = addresses.to_vec();
        if !self.allow.is_empty() {
            addresses.retain(|ip| self.allow.iter().any(|network| network.contains(&ip.to_canonical())));
        }
        addresses
    }
}

/// The names of one answer, as they are collected.
struct Collected<'a> {
    naming: &'a Naming,
    own: &'a OwnNode<'a>,
    rules: &'a PortRules,
    ipv6: bool,
    /// The addresses that this node's name leads to.
    own_addresses: Vec<IpAddr>,
    listed: HashMap<String, Listed>,
    names: NodeNames,
}

impl<'a> Collected<'a> {
    fn new(naming: &'a Naming, own: &'a OwnNode<'a>, rules: &'a PortRules, ipv6: bool, endpoints: &[Endpoint]) -> Self {
        Self {
            naming,
            own,
            rules,
            ipv6,
            own_addresses: own.addresses(endpoints),
            listed: HashMap::with_capacity(endpoints.len()),
            names: NodeNames::default(),
        }
    }

    fn refuse(&mut self, name: String, refusal: Refusal) {
        self.names.refused.push((name, refusal));
    }

    /// Lists the name, unless it is this node's or must be refused. Its host has these addresses, some of them allowed.
    fn add(&mut self, name: String, addresses: &[IpAddr], allowed: Vec<IpAddr>) {
        let (own, ipv6) = (self.own, self.ipv6);
        // This node's name may have capitals in its host; DNS names come in lower case.
        if name.eq_ignore_ascii_case(own.name) {
            self.names.is_itself(own.name.to_owned(), own);
            return;
        }
        let port = match node_name::dist_port(name.as_bytes(), self.rules) {
            Ok(port) if node_name::is_name(&name) => port,
            _ => return self.refuse(name, Refusal::InvalidName),
        };
        let literal = host_of(&name).parse::<IpAddr>();
        if literal.as_ref().is_ok_and(|ip| ip.is_ipv6() != ipv6) {
            if !self.naming.both_families {
                self.refuse(name, Refusal::OtherFamily);
            }
            return;
        }
        if let Some(refusal) = own.unlike(host_of(&name)) {
            return self.refuse(name, refusal);
        }
        let at: &[IpAddr] = match &literal {
            Ok(literal) => std::slice::from_ref(literal),
            Err(_) => addresses,
        };
        let mut dialled = at.iter().filter(|ip| ip.is_ipv6() == ipv6);
        if own.port == Some(port) && own.is_at(&name, &mut dialled, &self.own_addresses) {
            self.names.is_itself(name, own);
            return;
        }
        let (host, mut addresses) = match literal {
            // It is dialed as it is, whatever addresses DNS has for it.
            Ok(literal) => (None, self.naming.allowed(&[literal])),
            Err(_) => (Some(host_of(&name).to_owned()), allowed),
        };
        // The system would look up a host that has no allowed address.
        let dialled = host.is_none() || addresses.iter().any(|ip| ip.is_ipv6() == ipv6);
        if !self.naming.allow.is_empty() && (addresses.is_empty() || !dialled) {
            return self.refuse(name, Refusal::NotAllowed);
        }
        if !dialled {
            // The lookup of the other family may have failed, so this removes no known address.
            addresses.clear();
        }
        self.listed
            .entry(name.clone())
            .and_modify(|known| known.addresses.extend(&addresses))
            .or_insert(Listed { name, host, addresses });
    }

    fn done(mut self) -> NodeNames {
        self.names.listed = self.listed.into_values().collect();
        self.names
    }
}

impl NodeNames {
    fn is_itself(&mut self, name: String, own: &OwnNode<'_>) {
        let same = |known: &String| (known == own.name) == (name == own.name);
        if !self.itself.iter().any(same) {
            self.itself.push(name);
        }
    }
}

impl OwnNode<'_> {
    /// Why a node on `host` can't connect to this one, by OTP's rules (`inet_tcp_dist:splitnode/3`).
    fn unlike(&self, host: &str) -> Option<Refusal> {
        match (self.long_names, host.contains('.')) {
            (Some(true), false) if host.parse::<IpAddr>().is_err() => Some(Refusal::ShortName),
            (Some(false), true) => Some(Refusal::LongName),
            _ => None,
        }
    }

    /// Whether what listens on this node's port at one of the `addresses` is this node, whatever DNS calls it.
    fn is_at<'a>(&self, name: &str, mut addresses: impl Iterator<Item = &'a IpAddr>, own: &[IpAddr]) -> bool {
        !(self.is_other)(name) && addresses.any(|ip| own.contains(ip) || (!self.mapped && (self.is_here)(*ip)))
    }

    /// The addresses that this node's name leads to: its host's, if the host is an address or the port is mapped.
    /// Otherwise its sockets know better than DNS.
    fn addresses(&self, endpoints: &[Endpoint]) -> Vec<IpAddr> {
        let host = host_of(self.name);
        if let Ok(literal) = host.parse() {
            return vec![literal];
        }
        let is_own = |endpoint: &&Endpoint| {
            let named = endpoint.host.as_deref();
            self.mapped && named.is_some_and(|named| named.eq_ignore_ascii_case(host))
        };
        let own = endpoints.iter().filter(is_own);
        own.flat_map(|endpoint| endpoint.addresses.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests;
