//! What `resolv.conf` says, read as the C library reads it (resolv.conf(5)). Pure.
//!
//! hickory's own parser gives up on a file without servers and on a search list with one bad name, rejects the scope of
//! an IPv6 address, and knows no default domain.

use std::net::IpAddr;
use std::time::Duration;

use crate::endpoint;

/// The C library uses no more.
const MAX_SERVERS: usize = 3;

/// Servers, search list and options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// Each with the scope of its address, if any: the interface of `fe80::1%eth0`.
    pub(super) servers: Vec<(IpAddr, Option<String>)>,
    search: Vec<String>,
    ndots: usize,
    /// How long to wait for a server before the next one is queried.
    pub(super) timeout: Duration,
    /// How often each server is queried.
    pub(super) attempts: usize,
    /// TCP at once.
    pub(super) tcp: bool,
}

impl ResolvConf {
    /// Parses the file; whatever can't be parsed is skipped. Without a search list, the host's own name provides it.
    pub(super) fn parse(text: &str, hostname: &str) -> Self {
        let domain = hostname.trim().split_once('.').map(|(_, domain)| domain);
        let mut conf = Self {
            servers: Vec::new(),
            search: domain.and_then(search_domain).into_iter().collect(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            tcp: false,
        };
        for line in text.lines() {
            let mut words = line
                .split_ascii_whitespace()
                .take_while(|word| !word.starts_with(['#', ';']));
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                // The last of either counts.
                Some("domain") => conf.search = words.take(1).filter_map(search_domain).collect(),
                Some("search") => conf.search = words.filter_map(search_domain).collect(),
                Some("options") => words.for_each(|word| conf.set(word)),
                _ => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf
    }

    fn set(&mut self, option: &str) {
        let (key, value) = option.split_once(':').unwrap_or((option, ""));
        let number = value.parse::<u32>().ok();
        match (key, number) {
            ("ndots", Some(dots)) => self.ndots = dots.min(15) as usize,
            ("timeout", Some(seconds)) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
            }
            ("attempts", Some(count)) => self.attempts = count.clamp(1, 5) as usize,
            ("use-vc", _) => self.tcp = true,
            _ => {}
        }
    }

    /// The names to try, in order: the name as given first with `ndots` dots or more, otherwise after the search list.
    pub(super) fn candidates(&self, name: String) -> Vec<String> {
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let mut names: Vec<String> = self
            .search
            .iter()
            .map(|domain| match domain.as_str() {
                "" => name.clone(),
                domain => format!("{name}.{domain}"),
            })
            .filter(|name| endpoint::is_host(name))
            .collect();
        if dots >= self.ndots {
            names.retain(|candidate| *candidate != name);
            names.insert(0, name);
        } else if !names.contains(&name) {
            names.push(name);
        }
        names
    }
}

/// An address, optionally with a scope.
fn server(word: &str) -> Option<(IpAddr, Option<String>)> {
    match word.split_once('%') {
        None => Some((word.parse().ok()?, None)),
        Some((ip, scope)) => {
            let ip = ip.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?;
            (!scope.is_empty()).then(|| (ip, Some(scope.to_owned())))
        }
    }
}

/// A domain in lower case without its last dot: empty for the root, `None` for an invalid domain.
fn search_domain(word: &str) -> Option<String> {
    let domain = word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase();
    (domain.is_empty() || endpoint::is_host(&domain)).then_some(domain)
}

#[cfg(test)]
mod tests;
