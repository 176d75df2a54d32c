//! From endpoints to node names: the template filled, and refused what is no name or not allowed. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::addresses::Network;
use crate::endpoint::Endpoint;
use crate::membership::{Listed, Refusal};
use crate::node_name::{self, Filling, PortRules, Template};

/// How a topology names the nodes of its endpoints, and which it lets in.
#[derive(Debug)]
pub struct Naming {
    /// The base of the names.
    pub sname: String,
    /// The form of the names.
    pub template: Template,
    /// The networks that nodes may be in; none for all.
    pub allow: Vec<Network>,
    /// Addresses of both families are asked for, so those of the other one are no mistake.
    pub both_families: bool,
}

impl Naming {
    /// The nodes at `endpoints`, each once, and the names that are refused. `ipv6` is the family that is dialled.
    pub fn names(
        &self,
        endpoints: &[Endpoint],
        self_name: &str,
        rules: &PortRules,
        ipv6: bool,
    ) -> (Vec<Listed>, Vec<(String, Refusal)>) {
        // Address records carry no port, so nodes found by them share ours.
        let own_port = node_name::dist_port(self_name.as_bytes(), rules).ok();
        let mut listed: HashMap<String, Listed> = HashMap::with_capacity(endpoints.len());
        let mut refused = Vec::new();
        for endpoint in endpoints {
            let allowed = self.allowed(&endpoint.addresses);
            let filling = |ip| Filling {
                sname: &self.sname,
                port: endpoint.port.or(own_port),
                host: endpoint.host.as_deref(),
                ip,
            };
            // Without an address the name has to wait for one; the host is among the unresolved.
            let of_family = |ip: &&IpAddr| ip.is_ipv6() == ipv6;
            let address = allowed.iter().find(of_family).or(allowed.first());
            let address = address.or(endpoint.addresses.first()).copied();
            let Some(name) = self.template.fill(&filling(address)) else {
                continue;
            };
            if !node_name::is_name(&name) || node_name::dist_port(name.as_bytes(), rules).is_err() {
                refused.push((name, Refusal::InvalidName));
                continue;
            }
            let literal = host_of(&name).parse::<IpAddr>();
            if literal.as_ref().is_ok_and(|ip| ip.is_ipv6() != ipv6) {
                if !self.both_families {
                    refused.push((name, Refusal::OtherFamily));
                }
                continue;
            }
            let (host, mut addresses) = match literal {
                // It is dialled as it stands, whatever addresses DNS has for it.
                Ok(literal) => (None, self.allowed(&[literal])),
                Err(_) => (Some(host_of(&name).to_owned()), allowed),
            };
            // A host without an address that may be dialled would be looked up elsewhere.
            let dialled = host.is_none() || addresses.iter().any(|ip| ip.is_ipv6() == ipv6);
            if !self.allow.is_empty() && (addresses.is_empty() || !dialled) {
                refused.push((name, Refusal::NotAllowed));
                continue;
            }
            if !dialled {
                // The look-up of the other family may have failed: this takes no known address away.
                addresses.clear();
            }
            listed
                .entry(name.clone())
                .and_modify(|known| known.addresses.extend(&addresses))
                .or_insert(Listed {
                    name,
                    host,
                    addresses,
                });
        }
        (listed.into_values().collect(), refused)
    }

    /// Whether an endpoint's name, or its being let in, depends on its addresses.
    pub fn needs_addresses(&self) -> bool {
        self.template.has_ip() || !self.allow.is_empty()
    }

    fn allowed(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = addresses.to_vec();
        if !self.allow.is_empty() {
            addresses.retain(|ip| self.allow.iter().any(|network| network.contains(*ip)));
        }
        addresses
    }
}

/// The part of a node name behind the `@`.
pub fn host_of(name: &str) -> &str {
    name.split_once('@').map_or("", |(_, host)| host)
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
