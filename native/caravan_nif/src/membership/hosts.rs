//! The hosts of the members. Several nodes may share a host, and each query may list different ones. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
struct Host {
    addresses: Arc<[IpAddr]>,
    members: usize,
}

#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Host>);

impl Hosts {
    /// A host's addresses, updated with those in an answer, unless it has none; and whether members on the host had
    /// others before.
    pub(super) fn locate(&mut self, name: &str, addresses: Vec<IpAddr>) -> (Arc<[IpAddr]>, bool) {
        let host = self.0.entry(name.to_owned()).or_insert_with(|| Host {
            addresses: Arc::from([]),
            members: 0,
        });
        let other = !addresses.is_empty() && *host.addresses != *addresses;
        if other {
            host.addresses = addresses.into();
        }
        (Arc::clone(&host.addresses), other && host.members > 0)
    }

    /// Whether members are on it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds a member to a host that was located.
    pub(super) fn retain(&mut self, name: &str) {
        if let Some(host) = self.0.get_mut(name) {
            host.members += 1;
        }
    }

    /// Removes a member; returns whether it was the last on its host.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(host) = self.0.get_mut(name) else {
            return false;
        };
        host.members -= 1;
        let last = host.members == 0;
        if last {
            self.0.remove(name);
        }
        last
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> HashMap<String, usize> {
        let count = |(name, host): (&String, &Host)| (name.clone(), host.members);
        self.0.iter().map(count).collect()
    }
}
