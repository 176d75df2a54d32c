//! What a topology's options say, and what is wrong with them.

use std::net::IpAddr;

use crate::error::Error;
use crate::membership::{Limits, MAX_QUERIES};
use crate::naming::Naming;
use crate::network::Network;
use crate::resolver::{self, Spec, Type};
use crate::settings::settings;
use crate::template::{self, Template};

/// What a topology looks up and how it names the nodes.
pub struct DiscoveryConfig {
    /// The queries.
    pub queries: Vec<String>,
    /// All but the query of each look-up.
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
    pub(super) fn check_queries(&self) -> Result<(), Error> {
        if self.queries.is_empty() || self.queries.len() > MAX_QUERIES {
            return Err(Error::InvalidOption {
                option: "query",
                expected: "1 to 64 names".into(),
                got: format!("{} names", self.queries.len()),
            });
        }
        self.queries
            .iter()
            .try_for_each(|query| resolver::name(query).map(drop))
    }

    pub(super) fn naming(&self) -> Result<Naming, Error> {
        let by_host = self.spec.record_type == Type::Srv;
        let base = self
            .own
            .split_once('@')
            .map_or(&*self.own, |(base, _)| base);
        let template = match (&self.template, &self.sname) {
            (Some(text), _) => Template::parse(text)?,
            (None, Some(_)) => Template::with_sname(by_host),
            (None, None) => Template::like(base, by_host, &settings().rules),
        };
        if template.has_host() && !by_host {
            return Err(Error::InvalidOption {
                option: "node_name",
                expected:
                    "no {host} unless type is :srv, since address records name no host; use {ip}"
                        .into(),
                got: self.template.clone().unwrap_or_default(),
            });
        }
        // Address records carry no port: such peers share this node's, and so its whole base.
        let own_sname = if by_host {
            template::sname_of(base)
        } else {
            base
        };
        let sname = self.sname.as_deref().unwrap_or(own_sname);
        if !template.takes_sname(sname) {
            return Err(Error::InvalidOption {
                option: "node_sname",
                expected: "what can stand in a node name: letters, digits, - and _".into(),
                got: sname.to_owned(),
            });
        }
        let allow = self.allow.iter().map(|text| Network::parse(text));
        Ok(Naming {
            sname: sname.to_owned(),
            template,
            both_families: self.spec.record_type == Type::Ip,
            allow: allow.collect::<Result<_, _>>()?,
        })
    }
}
