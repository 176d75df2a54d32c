//! A topology's options, and their check.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::Error;
use crate::membership::{Limits, MAX_QUERIES};
use crate::naming::Naming;
use crate::resolver::{self, Spec, Type};
use crate::settings::settings;
use crate::template::Template;

/// What a topology looks up and how it names the nodes.
pub struct DiscoveryConfig {
    /// The queries.
    pub queries: Vec<String>,
    /// Everything about a lookup except its query.
    pub spec: Spec,
    /// This node's name.
    pub own: String,
    /// Whether it uses long names; `None` if its links are not Erlang's own.
    pub long_names: Option<bool>,
    /// The address that it listens on, if it is just one.
    pub bound: Option<IpAddr>,
    /// The base of the names, unless it is this node's own.
    pub sname: Option<String>,
    /// The template of the names, unless they are like this node's own.
    pub template: Option<String>,
    /// The networks that nodes may be in; empty for all.
    pub allow: Vec<String>,
    /// How many members are kept, and for how long.
    pub limits: Limits,
}

impl DiscoveryConfig {
    /// Checks everything that can be wrong with the options; returns how to name the nodes.
    ///
    /// # Errors
    /// `InvalidOption` for an invalid template, base or network, and for too many queries; `InvalidName` for an invalid
    /// query.
    pub fn check(&self) -> Result<Naming, Error> {
        if self.queries.is_empty() || self.queries.len() > MAX_QUERIES {
            return Err(Error::InvalidOption {
                option: "query",
                expected: format!("1 to {MAX_QUERIES} names"),
                got: format!("{} names", self.queries.len()),
            });
        }
        for query in &self.queries {
            resolver::name(query)?;
        }
        let (template, sname) = Template::of_topology(
            &self.own,
            self.sname.as_deref(),
            self.template.as_deref(),
            self.spec.record_type == Type::Srv,
            &settings().rules,
        )?;
        let allow = self.allow.iter().map(|text| network(text));
        Ok(Naming {
            sname,
            template,
            both_families: self.spec.record_type == Type::Ip,
            allow: allow.collect::<Result<_, _>>()?,
        })
    }
}

/// Parses a network in CIDR notation (RFC 4632); a single address is a network of one.
fn network(text: &str) -> Result<IpNet, Error> {
    let network = text.parse();
    let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| Error::InvalidOption {
        option: "allow",
        expected: "networks such as \"10.0.0.0/8\" or \"fd00::/8\"".into(),
        got: text.into(),
    })
}

#[cfg(test)]
mod tests;
