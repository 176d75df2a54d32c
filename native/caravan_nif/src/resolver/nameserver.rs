//! How a name server is written: an address, and a port unless it is 53. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::error::Error;

/// The port of DNS servers.
pub(super) const PORT: u16 = 53;

/// Parses `192.0.2.1`, `192.0.2.1:8600`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:8600`.
///
/// # Errors
/// `InvalidOption` for anything else.
pub fn nameserver(text: &str) -> Result<SocketAddr, Error> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']');
    let address = |ip: IpAddr| SocketAddr::new(ip, PORT);
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(address))
        .or_else(|| bracketed()?.parse().ok().map(IpAddr::V6).map(address))
        .filter(|server| server.port() != 0)
        .ok_or_else(|| Error::InvalidOption {
            option: "nameservers",
            expected: "addresses with an optional port, such as \"127.0.0.1:8600\" or \"[::1]:53\"".into(),
            got: text.into(),
        })
}

#[cfg(test)]
mod tests;
