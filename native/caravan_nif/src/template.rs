//! Node names made from a template. Pure.

use std::net::IpAddr;

use crate::error::Error;
use crate::node_name::{self, MAX_NAME, MAX_ORDINAL, PortRules, is_name, split_number};

/// A node name with placeholders: `{sname}-{port}@{host}`.
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
    Number(Number),
}

/// The pattern of the port in names like this node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    base_port: u16,
    own: OwnNumber,
}

/// The number in the name. With leading zeros, the length is kept; otherwise it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnNumber {
    Missing,
    Ordinal { length: usize },
    Port { length: usize },
}

impl Number {
    /// What names a node on this port, and as the own name does, if that can be.
    fn text(self, port: Option<u16>) -> Option<String> {
        let ordinal = |port: u16| {
            let ordinal = port.checked_sub(self.base_port)?;
            (u64::from(ordinal) <= MAX_ORDINAL).then_some(ordinal)
        };
        match (self.own, port) {
            (OwnNumber::Missing, None) => Some(String::new()),
            (_, None) => None,
            (OwnNumber::Missing, Some(port)) if port == self.base_port => Some(String::new()),
            (OwnNumber::Missing, Some(port)) => Some(format!("-{port}")),
            (OwnNumber::Port { length }, Some(port)) => Some(format!("{port:0length$}")),
            (OwnNumber::Ordinal { length }, Some(port)) => Some(match ordinal(port) {
                Some(ordinal) => format!("{ordinal:0length$}"),
                None => port.to_string(),
            }),
        }
    }
}

/// The values for a template's placeholders.
#[derive(Debug, Clone, Copy)]
pub struct TemplateValues<'a> {
    /// The base of the name.
    pub sname: &'a str,
    /// The port, if known.
    pub port: Option<u16>,
    /// The host name, if known.
    pub host: Option<&'a str>,
    /// The address, if known.
    pub ip: Option<IpAddr>,
}

impl Template {
    /// The template of a topology's names, from its options; `None` if they name none: then names are like this node's own.
    ///
    /// # Errors
    /// `InvalidOption` for an invalid template, for one that needs a host if the records carry none, and for an invalid
    /// base.
    pub fn of_options(sname: Option<&str>, template: Option<&str>, by_host: bool) -> Result<Option<Self>, Error> {
        let form = match (template, sname) {
            (Some(text), _) => Self::parse(text)?,
            (None, Some(_)) => Self::with_sname(by_host),
            (None, None) => return Ok(None),
        };
        if form.has_host() && !by_host {
            return Err(Error::InvalidOption {
                option: "node_name",
                expected: "no {host} unless type is :srv, since address records name no host; use {ip}".into(),
                got: template.unwrap_or_default().into(),
            });
        }
        match sname {
            Some(sname) if !form.takes_sname(sname) => Err(Error::InvalidOption {
                option: "node_sname",
                expected: "characters allowed in a node name: letters, digits, - and _".into(),
                got: sname.into(),
            }),
            _ => Ok(Some(form)),
        }
    }

    /// The template of names like this node's own, whose part before the `@` is `base`.
    ///
    /// An SRV record carries the peer's port, which replaces this node's, in the same notation. Address records carry
    /// none, so such peers share this node's port, and with it the whole base.
    pub fn like(base: &str, by_host: bool, rules: &PortRules) -> Self {
        let text = |text: &str| Part::Text(text.to_owned());
        if !by_host {
            return Self::of([text(base), text("@"), Part::Ip]);
        }
        // If all nodes share a port, records can't tell numbers apart.
        if rules.dist_port.is_some() {
            return Self::of([text(base), text("@"), Part::Host]);
        }
        let (stem, digits) = split_number(base);
        let length = if digits.starts_with('0') { digits.len() } else { 0 };
        let own = match node_name::number_at_end(base.as_bytes()) {
            None => OwnNumber::Missing,
            Some(..=MAX_ORDINAL) => OwnNumber::Ordinal { length },
            Some(_) => OwnNumber::Port { length },
        };
        let number = Part::Number(Number {
            base_port: rules.base_port,
            own,
        });
        Self::of([text(stem), number, text("@"), Part::Host])
    }

    /// The template of names whose base is given.
    pub fn with_sname(by_host: bool) -> Self {
        let text = |text: &str| Part::Text(text.to_owned());
        if by_host {
            Self::of([Part::Sname, text("-"), Part::Port, text("@"), Part::Host])
        } else {
            Self::of([Part::Sname, text("@"), Part::Ip])
        }
    }

    fn of(parts: impl Into<Vec<Part>>) -> Self {
        let mut parts = parts.into();
        parts.retain(|part| *part != Part::Text(String::new()));
        Self { parts }
    }

    /// Reads a template.
    ///
    /// # Errors
    /// `InvalidOption` for an unknown placeholder, an unclosed brace, or a text that does not make one `base@host`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::InvalidOption {
            option: "node_name",
            expected: "one base@host with the placeholders {sname}, {port}, {host} and {ip}, such as \"{sname}-{port}@{host}\"".into(),
            got: text.into(),
        }
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            let (placeholder, after) = after
                .strip_prefix('{')
                .and_then(|placeholder| placeholder.split_once('}'))
                .ok_or_else(invalid)?;
            parts.push(Part::Text(before.into()));
            parts.push(match placeholder {
                "sname" => Part::Sname,
                "port" => Part::Port,
                "host" => Part::Host,
                "ip" => Part::Ip,
                _ => return Err(invalid()),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        let template = Self::of(parts);
        // Filled with plain values it must make a valid node name: this catches a missing @ and odd characters alike.
        if template.render_sample("a").is_some_and(|name| is_name(&name)) {
            Ok(template)
        } else {
            Err(invalid())
        }
    }

    /// Whether names can be made with this base. A long base is fine, since hosts may be shorter.
    pub fn takes_sname(&self, sname: &str) -> bool {
        self.render_sample(sname)
            .is_some_and(|name| name.len() > MAX_NAME || is_name(&name))
    }

    fn render_sample(&self, sname: &str) -> Option<String> {
        self.render(&TemplateValues {
            sname,
            port: Some(1024),
            host: Some("h"),
            ip: Some(IpAddr::from([127, 0, 0, 1])),
        })
    }

    /// Whether names need a port.
    pub fn needs_port(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Port => true,
            Part::Number(number) => number.own != OwnNumber::Missing,
            _ => false,
        })
    }

    /// Whether the template has the placeholder `{host}`.
    pub fn has_host(&self) -> bool {
        self.parts.contains(&Part::Host)
    }

    /// Whether the template has the placeholder `{ip}`.
    pub fn has_ip(&self) -> bool {
        self.parts.contains(&Part::Ip)
    }

    /// The text with its placeholders filled; `None` when a placeholder's value is not known.
    pub fn render(&self, values: &TemplateValues<'_>) -> Option<String> {
        let mut name = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Sname => name.push_str(values.sname),
                Part::Port => name.push_str(&values.port?.to_string()),
                Part::Host => name.push_str(values.host?),
                Part::Ip => name.push_str(&values.ip?.to_string()),
                Part::Number(number) => name.push_str(&number.text(values.port)?),
            }
        }
        Some(name)
    }
}

/// The value of `{sname}` unless an option sets it. Address records carry no port, so such peers share this node's port,
/// and with it the whole base.
pub fn own_sname(base: &str, by_host: bool) -> &str {
    if by_host { sname_of(base) } else { base }
}

/// This node's base without its number and the `-` or `_` before it: the value of a template's `{sname}` if `{port}`
/// holds the number. A base that is only a number is kept.
pub fn sname_of(base: &str) -> &str {
    let (stem, _) = split_number(base);
    let sname = stem.strip_suffix(['-', '_']).unwrap_or(stem);
    if sname.is_empty() || stem == base { base } else { sname }
}

#[cfg(test)]
mod tests;
