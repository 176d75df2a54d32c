//! What `resolv.conf` says, read as the C library reads it (resolv.conf(5)). Pure.
//!
//! hickory's own reader gives up on a file without servers and on a search list with one bad name, takes no scope of an
//! IPv6 address, and knows no default domain.

use std::net::IpAddr;
use std::time::Duration;

use crate::endpoint;

/// The C library asks no more.
const MAX_SERVERS: usize = 3;

/// Servers, search list and options.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// Each with the scope of its address, if any: the interface of `fe80::1%eth0`.
    pub(super) servers: Vec<(IpAddr, Option<String>)>,
    search: Vec<String>,
    ndots: usize,
    /// How long to wait for a server before the next one is asked.
    pub(super) timeout: Duration,
    /// How often each server is asked.
    pub(super) attempts: usize,
    /// TCP at once.
    pub(super) tcp: bool,
}

impl ResolvConf {
    /// Reads the file; whatever is not understood is passed over. The host's own name gives the search list where the
    /// file has none.
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
                // The last one of either counts.
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

    /// The names to try, in order: as it is first with `ndots` dots or more, otherwise behind the search list.
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

/// An address, perhaps with a scope.
fn server(word: &str) -> Option<(IpAddr, Option<String>)> {
    match word.split_once('%') {
        None => Some((word.parse().ok()?, None)),
        Some((ip, scope)) => {
            let ip = ip.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?;
            (!scope.is_empty()).then(|| (ip, Some(scope.to_owned())))
        }
    }
}

/// A domain in lower case without its last dot: empty for the root, `None` for what is no domain.
fn search_domain(word: &str) -> Option<String> {
    let domain = word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase();
    (domain.is_empty() || endpoint::is_host(&domain)).then_some(domain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text, "host\n")
    }

    fn servers(text: &str) -> Vec<String> {
        let servers = parse(text).servers;
        servers.iter().map(|(ip, _)| ip.to_string()).collect()
    }

    #[test]
    fn servers_comments_and_nonsense() {
        let text = "; generated\n#nameserver 10.0.0.9\n  nameserver 10.0.0.1 # first\nnameserver\t::1\r\n\
                    nameserver x\nnameserver\nnameserver 10.0.0.300\n\u{fffd}\u{0}\nname server\nfamily inet4\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text), ["10.0.0.1", "::1", "fe80::1"]);
        assert_eq!(parse(text).servers[2].1.as_deref(), Some("eth0"));
        assert_eq!(
            servers("nameserver 10.0.0.1%eth0\nnameserver fe80::1%"),
            [""; 0]
        );
        assert_eq!(servers(""), [""; 0]);
    }

    #[test]
    fn options_have_the_c_librarys_bounds_and_unknown_ones_do_no_harm() {
        let conf = parse(
            "options ndots:5 timeout:1 attempts:3 use-vc rotate edns0 single-request trust-ad x:y",
        );
        assert_eq!((conf.ndots, conf.attempts, conf.tcp), (5, 3, true));
        assert_eq!(conf.timeout, Duration::from_secs(1));
        let conf = parse("options ndots:99 timeout:0 attempts:0\noptions timeout:x ndots");
        assert_eq!((conf.ndots, conf.attempts, conf.tcp), (15, 1, false));
        assert_eq!(conf.timeout, Duration::from_secs(1));
        assert_eq!(parse("options timeout:600").timeout.as_secs(), 30);
    }

    #[test]
    fn the_search_list() {
        let candidates = |text, name: &str| parse(text).candidates(name.to_owned());
        let list = "search A.test. a..b b.test a,b";
        assert_eq!(candidates(list, "x"), ["x.a.test", "x.b.test", "x"]);
        assert_eq!(candidates(list, "x.y"), ["x.y", "x.y.a.test", "x.y.b.test"]);
        assert_eq!(
            candidates("search a.test\noptions ndots:2", "x.y"),
            ["x.y.a.test", "x.y"]
        );
        assert_eq!(
            candidates("search a.test\noptions ndots:0", "x"),
            ["x", "x.a.test"]
        );
        assert_eq!(
            candidates("search a.test\ndomain b.test", "x")[0],
            "x.b.test"
        );
        assert_eq!(
            candidates("domain a.test\nsearch b.test", "x")[0],
            "x.b.test"
        );
        assert_eq!(candidates("search .", "x"), ["x"]);
        assert_eq!(candidates("search . a.test", "x"), ["x", "x.a.test"]);
        let long = format!("search {}", ["abcdefg"; 31].join("."));
        assert_eq!(candidates(&long, "abcdefgh"), ["abcdefgh"]);
    }

    #[test]
    fn the_hosts_own_domain_is_searched_where_the_file_names_none() {
        let candidates =
            |text| ResolvConf::parse(text, "node1.example.test\n").candidates("x".into());
        assert_eq!(candidates(""), ["x.example.test", "x"]);
        assert_eq!(candidates("search a.test"), ["x.a.test", "x"]);
        assert_eq!(parse("").candidates("x".into()), ["x"]);
    }

    proptest! {
        #[test]
        fn whatever_the_file_says_hosts_are_looked_up(
            words in "(search|domain|nameserver|options ndots:)[ a-z0-9.:%#-]{0,60}",
            noise in "\\PC{0,60}",
        ) {
            let conf = ResolvConf::parse(&format!("{noise}\n{words}\n"), &noise);
            let names = conf.candidates("x.y".into());
            prop_assert!(names.contains(&"x.y".to_owned()));
            prop_assert!(names.iter().all(|name| endpoint::is_host(name)));
            prop_assert!((1..=5).contains(&conf.attempts) && conf.servers.len() <= MAX_SERVERS);
        }
    }
}
