//! Node names (`base-PORT@host`): the port that a name stands for, and names made from a template. Pure.

use std::net::IpAddr;

use crate::error::Error;

/// The longest node name the VM can hold, in characters (an atom's limit).
pub const MAX_NAME: usize = 255;

/// The port of a name without digits, and the one that ordinals are added to.
pub const DEFAULT_BASE_PORT: u16 = 4370;

const EXPECTED: &str = "a node name such as likes-service-3434@host";

/// How names become ports in this VM (`-caravan base_port N`, `-caravan dist_port N`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRules {
    /// Added to ordinals, and the port of names without digits.
    pub base_port: u16,
    /// One port for every node; names are then not parsed.
    pub dist_port: Option<u16>,
}

impl Default for PortRules {
    fn default() -> Self {
        Self {
            base_port: DEFAULT_BASE_PORT,
            dist_port: None,
        }
    }
}

/// The distribution port of a node named `base` or `base@host`.
///
/// # Errors
/// `InvalidName` (empty, too long, not printable ASCII, more than one `@`), `ToolNode`, `PortOutOfRange`.
pub fn dist_port(name: &[u8], rules: &PortRules) -> Result<u16, Error> {
    let base = base(name)?;
    if is_tool(base) {
        return Err(Error::ToolNode {
            name: name.to_vec(),
        });
    }
    if let Some(port) = rules.dist_port {
        return Ok(port);
    }
    let port = match number_at_end(base) {
        None => u64::from(rules.base_port),
        Some(number @ 0..=1023) => u64::from(rules.base_port) + number,
        Some(number) => number,
    };
    u16::try_from(port).map_err(|_| Error::PortOutOfRange {
        name: name.to_vec(),
        port,
        base_port: rules.base_port,
    })
}

/// The error for a term that has no text of single bytes; `got` shows it.
#[cold]
pub fn no_text(got: String) -> Error {
    Error::InvalidName {
        expected: EXPECTED,
        got: got.into_bytes(),
        reason: "it is no atom, charlist or binary, or has a character outside ASCII",
    }
}

/// The part before the `@` of a name that is fit to be one.
fn base(name: &[u8]) -> Result<&[u8], Error> {
    let (base, rest) = name.split_at(plain(name));
    let fit = match rest {
        [] => true,
        [b'@', host @ ..] => !host.is_empty() && plain(host) == host.len(),
        _ => false,
    };
    if fit && !base.is_empty() && name.len() <= MAX_NAME {
        Ok(base)
    } else {
        Err(Error::InvalidName {
            expected: EXPECTED,
            got: name.to_vec(),
            reason: fault(name),
        })
    }
}

/// How many characters stand before the first `@`, space, or character outside printable ASCII.
fn plain(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !byte.is_ascii_graphic() || *byte == b'@')
        .unwrap_or(text.len())
}

#[cold]
fn fault(name: &[u8]) -> &'static str {
    match name {
        [] => "it is empty",
        _ if name.len() > MAX_NAME => "it is longer than 255 characters",
        _ if !name.iter().all(u8::is_ascii_graphic) => {
            "it has a space or a character outside ASCII"
        }
        [b'@', ..] => "nothing stands before the @",
        [.., b'@'] if name.iter().filter(|byte| **byte == b'@').count() == 1 => {
            "nothing stands after the @"
        }
        _ => "it has more than one @",
    }
}

/// `rem-` or `rpc-`, 1 to 4 hex digits and a dash: what `bin/app remote` and `bin/app rpc` put before a release's name
/// (`rel/overlays` of Mix, `RELEASE_NODE`). Anchored, so that `theorem-4370` and `rpc-4370` are ordinary names.
fn is_tool(base: &[u8]) -> bool {
    let Some(rest) = base
        .strip_prefix(b"rem-")
        .or_else(|| base.strip_prefix(b"rpc-"))
    else {
        return false;
    };
    let digits = rest
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    (1..=4).contains(&digits) && rest.get(digits) == Some(&b'-')
}

/// The number that the digits at the end of `base` make; saturates, since only its being too large matters then.
fn number_at_end(base: &[u8]) -> Option<u64> {
    let mut number = None;
    let mut unit: u64 = 1;
    for digit in base.iter().rev().take_while(|byte| byte.is_ascii_digit()) {
        let value = u64::from(digit - b'0').saturating_mul(unit);
        number = Some(value.saturating_add(number.unwrap_or(0)));
        unit = unit.saturating_mul(10);
    }
    number
}

/// A node name with holes: `{sname}-{port}@{host}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Sname,
    Port,
    Host,
    Ip,
}

/// What fills a template's holes.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The base of the name.
    pub sname: &'a str,
    /// The port, where it is known.
    pub port: Option<u16>,
    /// The host name, where it is known.
    pub host: Option<&'a str>,
    /// The address, where it is known.
    pub ip: Option<IpAddr>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// `InvalidOption` for an unknown hole, an unclosed brace, or a text that does not make one `base@host`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::InvalidOption {
            option: "node_name",
            expected: "one base@host with the holes {sname}, {port}, {host} and {ip}, such as \"{sname}-{port}@{host}\"".into(),
            got: text.into(),
        }
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            let (hole, after) = after
                .strip_prefix('{')
                .and_then(|hole| hole.split_once('}'))
                .ok_or_else(invalid)?;
            parts.push(Part::Text(before.into()));
            parts.push(match hole {
                "sname" => Part::Sname,
                "port" => Part::Port,
                "host" => Part::Host,
                "ip" => Part::Ip,
                _ => return Err(invalid()),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text(String::new()));
        let template = Self { parts };
        // Filled with plain values it has to make a node name: this finds a missing @ and odd characters alike.
        if template
            .plainly_filled("a")
            .is_some_and(|name| is_name(&name))
        {
            Ok(template)
        } else {
            Err(invalid())
        }
    }

    /// Whether names can be made with this base; one that only makes them too long is fine for shorter hosts.
    pub fn takes_sname(&self, sname: &str) -> bool {
        self.plainly_filled(sname)
            .is_some_and(|name| name.len() > MAX_NAME || is_name(&name))
    }

    fn plainly_filled(&self, sname: &str) -> Option<String> {
        self.fill(&Filling {
            sname,
            port: Some(1024),
            host: Some("h"),
            ip: Some(IpAddr::from([127, 0, 0, 1])),
        })
    }

    /// Whether the template has the hole `{host}`.
    pub fn has_host(&self) -> bool {
        self.parts.contains(&Part::Host)
    }

    /// Whether the template has the hole `{ip}`.
    pub fn has_ip(&self) -> bool {
        self.parts.contains(&Part::Ip)
    }

    /// The text with its holes filled; `None` when a hole's value is not known.
    pub fn fill(&self, filling: &Filling<'_>) -> Option<String> {
        let mut name = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Sname => name.push_str(filling.sname),
                Part::Port => name.push_str(&filling.port?.to_string()),
                Part::Host => name.push_str(filling.host?),
                Part::Ip => name.push_str(&filling.ip?.to_string()),
            }
        }
        Some(name)
    }
}

/// Whether the VM would take `name` as a node name: `base@host`, the base of letters, digits, `_` and `-`
/// (`net_kernel:valid_name_head/1`), the host of letters, digits, `_`, `-`, `.` and, for IPv6 addresses, `:`.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.len() <= MAX_NAME
        && name.split_once('@').is_some_and(|(base, host)| {
            !base.is_empty()
                && !host.is_empty()
                && base.bytes().all(plain)
                && host
                    .bytes()
                    .all(|byte| plain(byte) || byte == b'.' || byte == b':')
        })
}

#[cfg(test)]
#[path = "node_name_tests.rs"]
mod tests;
