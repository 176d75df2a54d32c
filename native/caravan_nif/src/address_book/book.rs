//! The book of addresses found for hosts. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The owner of entries: one membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Tells owners apart.
    pub id: u64,
    /// Whether it is restricted to some networks; then its addresses for a host precede those of other owners.
    pub bound: bool,
}

type Entries = Vec<(Owner, Arc<[IpAddr]>)>;

/// The addresses that discovery found for hosts, for `:caravan_epmd` to dial.
///
/// An entry stays while its owner names the host, so that dialing works through a DNS outage and with a TTL of 0.
#[derive(Debug, Default)]
pub(super) struct Book {
    hosts: HashMap<Box<str>, Entries>,
}

impl Book {
    /// Records the addresses of a host, replacing what `owner` recorded before.
    pub(super) fn put(&mut self, owner: Owner, host: &str, addresses: Arc<[IpAddr]>) {
        let entries = self.hosts.entry(host.to_ascii_lowercase().into()).or_default();
        match entries.iter_mut().find(|(other, _)| *other == owner) {
            Some(entry) => entry.1 = addresses,
            None if owner.bound => entries.insert(0, (owner, addresses)),
            None => entries.push((owner, addresses)),
        }
    }

    /// Forgets what `owner` recorded for a host.
    pub(super) fn remove(&mut self, owner: Owner, host: &str) {
        let host = host.to_ascii_lowercase();
        if let Some(entries) = self.hosts.get_mut(host.as_str()) {
            entries.retain(|(other, _)| *other != owner);
            if entries.is_empty() {
                self.hosts.remove(host.as_str());
            }
        }
    }

    /// Forgets everything that `owner` recorded.
    pub(super) fn remove_owner(&mut self, owner: Owner) {
        self.hosts.retain(|_, entries| {
            entries.retain(|(other, _)| *other != owner);
            !entries.is_empty()
        });
    }

    /// The addresses of a host in the wanted family.
    pub(super) fn get(&self, host: &str, ipv6: bool) -> impl Iterator<Item = IpAddr> {
        // Host names are case-insensitive, but usually come in lower case, so a copy is the exception.
        let entries = match self.hosts.get(host) {
            None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.hosts.get(host.to_ascii_lowercase().as_str())
            }
            entries => entries,
        };
        entries
            .into_iter()
            .flatten()
            .flat_map(|(_, ips)| ips.iter().copied())
            .filter(move |ip| ip.is_ipv6() == ipv6)
    }
}

#[cfg(test)]
mod tests;
