//! The first messages of Erlang's distribution handshake, up to the node's name: no cookie has been used by then
//! (`erl_dist_protocol`, version 6). Pure.

use std::fmt;

use crate::node_name::{MAX_NAME, host_of};

/// The flags that a node must have since OTP 25; the digest stands for all of them (`dist.hrl`).
const MANDATORY_25: u64 = 0x4 | 0x10 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x2_0000 | 0x4_0000;
const MANDATORY_25_DIGEST: u64 = 0x400_0000;

/// Those that OTP 26 added: `DFLAG_UNLINK_ID` and `DFLAG_V4_NC`. A node rejects and logs a peer without them.
const MANDATORY_26: u64 = 0x200_0000 | (0x4 << 32);

const HANDSHAKE_23: u64 = 0x100_0000;

/// The fields of a challenge before the name: tag, flags, challenge, creation, length of the name.
const CHALLENGE_HEAD: usize = 1 + 8 + 4 + 4 + 2;

/// How a node identifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its full name.
    pub name: String,
    /// New each time the node starts.
    pub creation: u32,
}

/// Why a handshake ended before a name came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeError {
    /// The node allows only certain nodes, and not this one.
    NotAllowed,
    /// The node is busy with a handshake of ours.
    Busy,
    /// What came is not a handshake.
    NotErlang,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllowed => "the node there allows only certain nodes (net_kernel:allow/1), and this one isn't among them",
            Self::Busy => "the node there is busy with another handshake from this node",
            Self::NotErlang => {
                "what listens there doesn't speak plain Erlang distribution: it is a node that uses TLS (start both with the same \
                 -proto_dist) or not a node at all"
            }
        })
    }
}

/// The name under which the node `own` asks. It isn't its own, so that asking doesn't interfere with a link between the
/// two, and it is always the same, since it becomes an atom there.
pub fn asker(own: &str) -> String {
    const PREFIX: &str = "caravan-";
    if own.len() + PREFIX.len() <= MAX_NAME {
        return format!("{PREFIX}{own}");
    }
    format!("caravan@{}", host_of(own))
}

/// The message that begins a handshake, sent as a hidden node called `name`; its length goes first.
pub fn send_name(name: &str) -> Vec<u8> {
    let flags = MANDATORY_25 | MANDATORY_25_DIGEST | MANDATORY_26 | HANDSHAKE_23;
    let mut body = vec![b'N'];
    body.extend(flags.to_be_bytes());
    // The creation; ours doesn't matter.
    body.extend(1_u32.to_be_bytes());
    body.extend(u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
    body.extend(name.as_bytes());
    let mut message = u16::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// Reads the answer to that: may the handshake continue?
///
/// # Errors
/// Why it may not.
pub fn read_status(message: &[u8]) -> Result<(), HandshakeError> {
    match message {
        b"sok" | b"sok_simultaneous" => Ok(()),
        b"snot_allowed" => Err(HandshakeError::NotAllowed),
        b"snok" | b"salive" => Err(HandshakeError::Busy),
        _ => Err(HandshakeError::NotErlang),
    }
}

/// Reads the challenge that follows: it carries the name.
///
/// # Errors
/// `NotErlang` for anything else.
pub fn read_challenge(message: &[u8]) -> Result<Identity, HandshakeError> {
    let (head, rest) = message
        .split_at_checked(CHALLENGE_HEAD)
        .filter(|(head, _)| head[0] == b'N')
        .ok_or(HandshakeError::NotErlang)?;
    let length = usize::from(u16::from_be_bytes([head[17], head[18]]));
    let odd = |char: char| char.is_control() || char.is_whitespace();
    let name = rest
        .get(..length)
        .and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| !name.contains(odd))
        .ok_or(HandshakeError::NotErlang)?;
    Ok(Identity {
        name: name.to_owned(),
        creation: u32::from_be_bytes([head[13], head[14], head[15], head[16]]),
    })
}

#[cfg(test)]
mod tests;
