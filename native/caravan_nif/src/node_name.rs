//! Node names (`base-PORT@host`): the port that a name stands for. Pure.

use crate::error::Error;
use crate::tools;

/// The longest node name the VM can hold, in characters (an atom's limit).
pub const MAX_NAME: usize = 255;

/// The port of a name without digits, and the one that ordinals are added to.
pub const DEFAULT_BASE_PORT: u16 = 4370;

const EXPECTED: &str = "a node name such as likes-service-3434@host";

/// The highest number that is an ordinal: the ports up to it need privileges.
pub const MAX_ORDINAL: u64 = 1023;

/// The ports of nodes named by `peer`: below those that Linux uses for outgoing connections.
const PEER_PORTS: std::ops::Range<u64> = 20_000..32_768;

/// How names become ports in this VM (`-caravan base_port N`, `-caravan dist_port N`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRules {
    /// Added to ordinals; also the port of names without digits.
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
#[inline]
pub fn dist_port(name: &[u8], rules: &PortRules) -> Result<u16, Error> {
    let base = base(name)?;
    if let Some(tool) = tools::tool(base) {
        return Err(Error::ToolNode {
            name: name.to_vec(),
            whose: tool.whose,
        });
    }
    if let Some(port) = peer_port(base).or(rules.dist_port) {
        return Ok(port);
    }
    let port = match number_at_end(base) {
        None => u64::from(rules.base_port),
        Some(number @ 0..=MAX_ORDINAL) => u64::from(rules.base_port) + number,
        Some(number) => number,
    };
    u16::try_from(port).map_err(|_| Error::PortOutOfRange {
        name: name.to_vec(),
        port,
        base_port: rules.base_port,
        taken: taken_for_port(base),
    })
}

/// The port of the node of this name, which must be complete.
///
/// # Errors
/// Those of [`dist_port`], and `InvalidName` without a host or with characters that no node has in its name.
pub fn full(name: &str, rules: &PortRules) -> Result<u16, Error> {
    let port = dist_port(name.as_bytes(), rules)?;
    if is_name(name) {
        return Ok(port);
    }
    Err(Error::InvalidName {
        expected: EXPECTED,
        got: name.as_bytes().to_vec(),
        reason: if host_of(name).is_empty() {
            "it has no host"
        } else {
            "names are made of letters, digits, - and _, and hosts may have dots"
        },
    })
}

/// How this VM listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listening {
    /// The port, if it differs from the one that peers dial (`-caravan listen_port N`).
    pub port: Option<u16>,
    /// Any free port: nobody dials a hidden node, and its name often says nothing about ports.
    pub anywhere: bool,
}

/// The port that the node `name` should listen on; 0 for any free one.
///
/// # Errors
/// Those of [`dist_port`] except `ToolNode`, and `NoOuterPort`.
pub fn listen_port(name: &[u8], rules: &PortRules, listening: Listening) -> Result<u16, Error> {
    match dist_port(name, rules) {
        Err(Error::ToolNode { .. }) => Ok(0),
        Ok(_) | Err(Error::PortOutOfRange { .. }) if listening.anywhere => Ok(0),
        Ok(port) => match listening.port {
            None => Ok(port),
            Some(inner) if rules.dist_port.is_some() || has_number(name) => Ok(inner),
            Some(_) => Err(Error::NoOuterPort { name: name.to_vec() }),
        },
        Err(error) => Err(error),
    }
}

/// The port that this node's peers dial, if they do.
pub fn outer_port(name: &[u8], rules: &PortRules, listening: Listening) -> Option<u16> {
    dist_port(name, rules).ok().filter(|_| !listening.anywhere)
}

/// Whether `own` is the name of a tool that connects to the node `name`, with or without its host:
/// `rpc-1a-app-3434@host` for `app-3434@host`.
pub fn asks(own: &[u8], name: &[u8]) -> bool {
    let at = |text: &[u8]| text.iter().position(|byte| *byte == b'@').unwrap_or(text.len());
    let (base, host) = own.split_at(at(own));
    let (asked, asked_host) = name.split_at(at(name));
    tools::target_base(base) == Some(asked) && (asked_host.is_empty() || asked_host == host)
}

fn has_number(name: &[u8]) -> bool {
    base(name).is_ok_and(|base| peer_port(base).is_none() && number_at_end(base).is_some())
}

/// The error for a term that isn't text of single bytes; `got` shows the term.
#[cold]
pub fn no_text(got: String) -> Error {
    Error::InvalidName {
        expected: EXPECTED,
        got: got.into_bytes(),
        reason: "it is not an atom, charlist or binary, or has a character outside ASCII",
    }
}

/// The part before the `@`, if the name is valid.
#[inline]
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

/// How many characters precede the first `@`, space, or character outside printable ASCII.
#[inline]
fn plain(text: &[u8]) -> usize {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() & (*byte != b'@');
    // Most have none. Without an early exit, that is seen for many bytes at once.
    if text.iter().fold(true, |all, byte| all & is_plain(byte)) {
        return text.len();
    }
    text.iter().position(|byte| !is_plain(byte)).unwrap_or(text.len())
}

#[cold]
fn fault(name: &[u8]) -> &'static str {
    match name {
        [] => "it is empty",
        _ if name.len() > MAX_NAME => "it is longer than 255 characters",
        _ if !name.iter().all(u8::is_ascii_graphic) => "it has a space or a character outside ASCII",
        [b'@', ..] => "the part before the @ is empty",
        [.., b'@'] if name.iter().filter(|byte| **byte == b'@').count() == 1 => "the part after the @ is empty",
        _ => "it has more than one @",
    }
}

/// The port of a node named by OTP's `peer:random_name/0`, `peer-UNIQUE-OSPID`. All peers of a node share the last
/// number, which often isn't a valid port, so both numbers make the port. The peers of one node get adjacent ports.
///
/// Any free port wouldn't do: such nodes are visible, and `global` disconnects a node that others can't dial.
#[inline]
fn peer_port(base: &[u8]) -> Option<u16> {
    peer_number(base.strip_prefix(b"peer-")?)
}

#[cold]
fn peer_number(numbers: &[u8]) -> Option<u16> {
    let dash = numbers.iter().position(|byte| *byte == b'-')?;
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (unique, os_pid) = (number(&numbers[..dash])?, number(&numbers[dash + 1..])?);
    let place = os_pid.wrapping_mul(61).wrapping_add(unique) % (PEER_PORTS.end - PEER_PORTS.start);
    u16::try_from(PEER_PORTS.start + place).ok()
}

/// What the number at the end of a name may be if it is not a valid port.
#[cold]
fn taken_for_port(base: &[u8]) -> &'static str {
    let tail = base.rsplit(|byte| matches!(byte, b'-' | b'_')).next();
    let tail = tail.unwrap_or_default();
    let letters = tail.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let number = |digits: &[u8]| number_at_end(digits).unwrap_or(0);
    match tail.len() {
        7.. if letters > 0 && tail.iter().all(u8::is_ascii_hexdigit) => {
            " (the digits at the end of a hash are taken for a port)"
        }
        8..=14
            if letters == 0
                && (1970..2100).contains(&number(&tail[..4]))
                && (1..=12).contains(&number(&tail[4..6])) =>
        {
            " (the date at its end is taken for a port)"
        }
        _ => "",
    }
}

/// The number at the end of `base`; saturates, since too large is too large.
#[inline]
pub(crate) fn number_at_end(base: &[u8]) -> Option<u64> {
    let mut number = None;
    let mut unit: u64 = 1;
    for digit in base.iter().rev().take_while(|byte| byte.is_ascii_digit()) {
        let value = u64::from(digit - b'0').saturating_mul(unit);
        number = Some(value.saturating_add(number.unwrap_or(0)));
        unit = unit.saturating_mul(10);
    }
    number
}

/// The parts of a name before and after the `@`; without an `@` there is no host.
pub fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// The part of a node name after the `@`.
pub fn host_of(name: &str) -> &str {
    split(name).1
}

/// Splits a base into the part before its trailing digits and the digits.
pub(crate) fn split_number(base: &str) -> (&str, &str) {
    let stem = base.trim_end_matches(|char: char| char.is_ascii_digit());
    base.split_at(stem.len())
}

/// Whether the VM would take `name` as a node name: `base@host`, the base of letters, digits, `_` and `-`
/// (`net_kernel:valid_name_head/1`), the host of letters, digits, `_`, `-`, `.` and, for IPv6 addresses, `:`.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let (base, host) = split(name);
    name.len() <= MAX_NAME
        && !base.is_empty()
        && !host.is_empty()
        && base.bytes().all(plain)
        && host.bytes().all(|byte| plain(byte) || byte == b'.' || byte == b':')
}

#[cfg(test)]
mod tests;
