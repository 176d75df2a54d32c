//! The system's configuration: `resolv.conf` and the hosts file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::{Hosts, system_conf};

pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
pub(super) const HOSTS: &str = "/etc/hosts";

/// The system's configuration, read again when one of its files changes.
pub(super) struct System {
    pub(super) config: ResolverConfig,
    pub(super) options: ResolverOpts,
    pub(super) hosts: Hosts,
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
}
