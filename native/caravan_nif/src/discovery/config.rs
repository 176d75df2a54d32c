//! What a topology's options say, and what is wrong with them.

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
    /// All but the query of each lookup.
    pub spec: Spec,
    /// This node's name.
    pub own: String,
    /// Whether it uses long names; `None` where its links are not Erlang's own.
    pub long_names: Option<bool>,
    /// The address that it listens on, where that is one only.
    pub bound: Option<IpAddr>,
    /// The base of the names, if it isn't the own one.
    pub sname: Option<String>,
    /// The form of the names, if it isn't that of the own one.
    pub template: Option<String>,
    /// The networks that nodes may be in; none for all.
    pub allow: Vec<String>,
    /// How long members are kept, and how many.
    pub limits: Limits,
}

impl DiscoveryConfig {
    /// Everything that can be wrong with the options; what is right says how to name the nodes.
    ///
    /// # Errors
    /// `InvalidOption` for a template, a base of names or a network that is none and for too many queries, `InvalidName`
    /// for a query that is no name.
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

/// Reads a network in CIDR notation (RFC 4632); an address alone is a network of one.
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
