//! What the hosts file says (hosts(5)). Pure.

use std::collections::HashMap;
use std::net::IpAddr;

/// The addresses of names.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads the file; lines that are not understood are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = HashMap::<_, Vec<_>>::new();
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let mut words = line.split_ascii_whitespace();
            let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for name in words {
                let name = name.strip_suffix('.').unwrap_or(name);
                hosts.entry(name.to_ascii_lowercase()).or_default().push(ip);
            }
        }
        Self(hosts)
    }

    /// The addresses of a name in lower case.
    pub(super) fn get(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_addresses_of_all_their_lines() {
        let hosts = Hosts::parse(
            "127.0.0.1\tlocalhost\n# 10.0.0.9 app\n10.0.0.1  App.Test app # app2\n::1 app\n\
             10.0.0.300 app\napp app\n10.0.0.2\nfe80::1%lo app\n\u{fffd}\n10.0.0.3 last",
        );
        let text =
            |name| -> Vec<String> { hosts.get(name).iter().map(IpAddr::to_string).collect() };
        assert_eq!(text("app"), ["10.0.0.1", "::1"]);
        assert_eq!(text("app.test"), ["10.0.0.1"]);
        assert_eq!(text("last"), ["10.0.0.3"]);
        assert_eq!(text("app2"), [""; 0]);
    }
}
