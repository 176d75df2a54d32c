//! Addresses: the networks a topology allows, and the book of addresses found for hosts. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::error::Error;

/// A network such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads a network in CIDR notation (RFC 4632); an address alone is a network of one.
    ///
    /// # Errors
    /// `InvalidOption` when the text is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network = address.parse::<IpAddr>().ok().and_then(|address| {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok())?;
            (prefix <= bits).then_some(Self { address, prefix })
        });
        network.ok_or_else(|| Error::InvalidOption {
            option: "allow",
            expected: "networks such as \"10.0.0.0/8\" or \"fd00::/8\"".into(),
            got: text.into(),
        })
    }

    /// Whether `ip` is in this network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                (network.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                (network.to_bits() ^ ip.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Who put an address into the book: one membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Tells owners apart.
    pub id: u64,
    /// Only some networks are allowed to it, so its addresses go before those that others found for a host.
    pub bound: bool,
}

type Entries = Vec<(Owner, Arc<[IpAddr]>)>;

/// The addresses that discovery found for hosts, for `:caravan_epmd` to dial.
///
/// An entry stays while its owner names the host, so that dialling works through a DNS outage and with a TTL of 0.
#[derive(Debug, Default)]
pub struct Book {
    hosts: HashMap<Box<str>, Entries>,
}

impl Book {
    /// Notes the addresses of a host, in place of what `owner` noted before.
    pub fn put(&mut self, owner: Owner, host: &str, addresses: Arc<[IpAddr]>) {
        let entries = self
            .hosts
            .entry(host.to_ascii_lowercase().into())
            .or_default();
        match entries.iter_mut().find(|(other, _)| *other == owner) {
            Some(entry) => entry.1 = addresses,
            None if owner.bound => entries.insert(0, (owner, addresses)),
            None => entries.push((owner, addresses)),
        }
    }

    /// Forgets what `owner` noted of a host.
    pub fn remove(&mut self, owner: Owner, host: &str) {
        let host = host.to_ascii_lowercase();
        if let Some(entries) = self.hosts.get_mut(host.as_str()) {
            entries.retain(|(other, _)| *other != owner);
            if entries.is_empty() {
                self.hosts.remove(host.as_str());
            }
        }
    }

    /// Forgets all that `owner` noted.
    pub fn remove_owner(&mut self, owner: Owner) {
        self.hosts.retain(|_, entries| {
            entries.retain(|(other, _)| *other != owner);
            !entries.is_empty()
        });
    }

    /// The addresses of a host in the wanted family.
    pub fn get(&self, host: &str, ipv6: bool) -> impl Iterator<Item = IpAddr> {
        // Host names compare without case; they come in lower case, so a copy is the exception.
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
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        let net = |text| Network::parse(text).unwrap();
        assert!(net("10.0.0.0/8").contains(ip("10.255.1.2")));
        assert!(!net("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(net("0.0.0.0/0").contains(ip("203.0.113.1")));
        assert!(!net("0.0.0.0/0").contains(ip("::1")));
        assert!(net("fd00::/8").contains(ip("fdaa::3")));
        assert!(!net("fd00::/8").contains(ip("2001:db8::1")));
        assert!(
            net("127.0.0.1").contains(ip("127.0.0.1"))
                && !net("127.0.0.1").contains(ip("127.0.0.2"))
        );
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "host",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }

    fn owner(id: u64) -> Owner {
        Owner { id, bound: false }
    }

    #[test]
    fn the_book_keeps_families_and_owners_apart() {
        let mut book = Book::default();
        book.put(owner(1), "N1.test", [ip("10.0.0.1"), ip("::1")].into());
        book.put(owner(2), "n1.test", [ip("10.0.0.2")].into());
        assert_eq!(
            book.get("n1.test", false).collect::<Vec<_>>(),
            [ip("10.0.0.1"), ip("10.0.0.2")]
        );
        assert_eq!(book.get("n1.TEST", true).collect::<Vec<_>>(), [ip("::1")]);
        book.remove(owner(1), "N1.test");
        assert_eq!(
            book.get("n1.test", false).collect::<Vec<_>>(),
            [ip("10.0.0.2")]
        );
        book.remove_owner(owner(2));
        assert_eq!(book.hosts.len(), 0);
    }

    #[test]
    fn what_is_allowed_goes_before_what_others_found() {
        let mut book = Book::default();
        let bound = Owner { id: 2, bound: true };
        book.put(owner(1), "n1.test", [ip("192.0.2.1")].into());
        book.put(bound, "n1.test", [ip("10.0.0.1")].into());
        book.put(owner(1), "n1.test", [ip("192.0.2.2")].into());
        assert_eq!(book.get("n1.test", false).next(), Some(ip("10.0.0.1")));
        book.remove_owner(bound);
        assert_eq!(book.get("n1.test", false).next(), Some(ip("192.0.2.2")));
    }
}
