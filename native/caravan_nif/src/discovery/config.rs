//! A topology's options, and their check.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Source;
use crate::error::Error;
use crate::membership::MAX_QUERIES;
use crate::naming::Naming;
use crate::node_name;
use crate::resolver::Type;
use crate::settings::settings;
use crate::template::{self, Template};

/// What a topology looks up and how it names the nodes: the same on every node.
pub struct DiscoveryConfig {
    /// The queries; of what isn't DNS there is one, with a name for people.
    pub queries: Vec<String>,
    /// Who is asked.
    pub source: Source,
    /// The base of the names, unless it is this node's own.
    pub sname: Option<String>,
    /// The template of the names, unless they are like this node's own.
    pub template: Option<String>,
    /// The networks that nodes may be in; empty for all.
    pub allow: Vec<String>,
    /// A member missing from successful answers for so long is dropped.
    pub expire_after: Duration,
    /// A member missing from successful answers for so long is reported as withdrawn.
    pub withdraw_after: Option<Duration>,
    /// The most members, and about as many atoms an hour.
    pub max_members: usize,
    /// How many members this node picks to link with; `None` for all.
    pub links: Option<usize>,
}

/// On whose behalf a topology looks up names.
pub struct OwnIdentity {
    /// This node's name.
    pub name: String,
    /// Whether it uses long names; `None` if its links are not Erlang's own.
    pub long_names: Option<bool>,
    /// The address that it listens on, if it is just one.
    pub bound: Option<IpAddr>,
    /// Whether a node listens where its name says, so that a probe tells whether it is there.
    pub probes: bool,
}

impl DiscoveryConfig {
    /// Checks everything that can be wrong with the options, whatever this node is called.
    ///
    /// # Errors
    /// `InvalidOption` for an invalid template, base or network, and for too many queries; `InvalidName` for an invalid
    /// query; those of a node's name for one that is listed.
    pub fn check(&self) -> Result<(), Error> {
        self.checked().map(drop)
    }

    /// How the node `own` names the others.
    ///
    /// # Errors
    /// Those of [`DiscoveryConfig::check`].
    pub(super) fn naming(&self, own: &str) -> Result<Naming, Error> {
        let (template, allow) = self.checked()?;
        let (base, _) = node_name::split(own);
        let own_sname = || template::own_sname(base, self.by_host()).to_owned();
        Ok(Naming {
            sname: self.sname.clone().unwrap_or_else(own_sname),
            template: template.unwrap_or_else(|| Template::like(base, self.by_host(), &settings().rules)),
            both_families: self.source.record_type() == Some(Type::Ip),
            allow,
        })
    }

    fn checked(&self) -> Result<(Option<Template>, Vec<IpNet>), Error> {
        if self.queries.is_empty() || self.queries.len() > MAX_QUERIES {
            return Err(Error::InvalidOption {
                option: "query",
                expected: format!("1 to {MAX_QUERIES} names"),
                got: format!("{} names", self.queries.len()),
            });
        }
        self.source.check(&self.queries)?;
        let (sname, template) = (self.sname.as_deref(), self.template.as_deref());
        let template = Template::of_options(sname, template, self.by_host())?;
        let allow = self.allow.iter().map(|text| network(text));
        Ok((template, allow.collect::<Result<_, _>>()?))
    }

    /// SRV records name hosts; the others only have addresses.
    fn by_host(&self) -> bool {
        self.source.record_type() == Some(Type::Srv)
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
