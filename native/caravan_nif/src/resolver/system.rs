//! The system's configuration: `resolv.conf` and the hosts file.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, system_conf};

use super::records::{plain, text};
use crate::endpoint::{self, Record};

pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
pub(super) const HOSTS: &str = "/etc/hosts";

/// The system's configuration, read again when one of its files changes.
pub(super) struct System {
    config: ResolverConfig,
    pub(super) options: ResolverOpts,
    hosts: Hosts,
    changed: [Option<SystemTime>; 2],
}

impl System {
    pub(super) fn current() -> Result<Arc<Self>, String> {
        static LAST: Mutex<Option<Arc<System>>> = Mutex::new(None);
        let changed = [RESOLV_CONF, HOSTS].map(|file| {
            std::fs::metadata(file)
                .and_then(|data| data.modified())
                .ok()
        });
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = last.as_ref().filter(|system| system.changed == changed) {
            return Ok(Arc::clone(system));
        }
        let (config, options) =
            system_conf::read_system_conf().map_err(|error| format!("{RESOLV_CONF}: {error}"))?;
        let hosts = Hosts::from_system().unwrap_or_default();
        let system = Arc::new(Self {
            config,
            options,
            hosts,
            changed,
        });
        *last = Some(Arc::clone(&system));
        Ok(system)
    }
    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        let servers = self.config.name_servers().iter();
        servers
            .map(|server| SocketAddr::new(server.ip, 53))
            .collect()
    }

    /// The search list: as it is first for names with `ndots` dots or more, last for others (resolv.conf(5)).
    pub(super) fn candidates(&self, name: String) -> Vec<String> {
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let mut names: Vec<String> = self
            .config
            .search()
            .iter()
            .map(|domain| format!("{name}.{}", text(domain)))
            .filter(|name| endpoint::is_host(name))
            .collect();
        let place = if dots >= self.options.ndots {
            0
        } else {
            names.len()
        };
        names.insert(place, name);
        names
    }

    /// What the hosts file says of a name.
    pub(super) fn static_addresses(&self, name: &str, types: &[RecordType]) -> Vec<Record> {
        let Ok(name) = Name::from_ascii(format!("{name}.")) else {
            return Vec::new();
        };
        types
            .iter()
            .filter_map(|of| {
                self.hosts
                    .lookup_static_host(&Query::query(name.clone(), *of))
            })
            .flat_map(|found| plain(found.answers()))
            .collect()
    }
}
