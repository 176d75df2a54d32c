//! The messages of Erlang's distribution handshake, as whoever dials sees them (`erl_dist_protocol`, version 6;
//! `dist_util.erl`). Pure.
//!
//! We speak as a hidden node with a name of our own. The other node tells its name before it asks for a cookie.

pub mod conversation;
pub mod flags;

use crate::node_name::{MAX_NAME, host_of};

/// The fields of a challenge before the name: tag, flags, challenge, creation, length of the name.
const CHALLENGE_HEAD: usize = 1 + 8 + 4 + 4 + 2;

/// What a digest is in: MD5.
const DIGEST: usize = 16;

/// How a node identifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its full name.
    pub name: String,
    /// New each time the node starts.
    pub creation: u32,
    /// What it can do.
    pub flags: u64,
}

/// What a node says when it hears our name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The handshake goes on.
    Ok,
    /// It allows only certain nodes, or misses something in our flags.
    NotAllowed,
    /// It has a link or a handshake under our name already.
    Busy,
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

/// A message with its length before it.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut message = u16::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// The message that begins a handshake, sent as a hidden node called `name`.
pub fn send_name(name: &str) -> Vec<u8> {
    let mut body = vec![b'N'];
    body.extend(flags::OURS.to_be_bytes());
    // The creation; ours doesn't matter.
    body.extend(1_u32.to_be_bytes());
    body.extend(u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
    body.extend(name.as_bytes());
    framed(&body)
}

/// Reads the answer to that; `None` for anything else.
pub fn read_status(message: &[u8]) -> Option<Status> {
    match message {
        b"sok" | b"sok_simultaneous" => Some(Status::Ok),
        b"snot_allowed" => Some(Status::NotAllowed),
        b"snok" | b"salive" => Some(Status::Busy),
        _ => None,
    }
}

/// Reads the challenge that follows: who it comes from, and the number to be answered. `None` for anything else.
pub fn read_challenge(message: &[u8]) -> Option<(Identity, u32)> {
    let (head, rest) = message
        .split_at_checked(CHALLENGE_HEAD)
        .filter(|(head, _)| head[0] == b'N')?;
    let number = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let length = usize::from(u16::from_be_bytes([head[17], head[18]]));
    let odd = |char: char| char.is_control() || char.is_whitespace();
    let name = std::str::from_utf8(rest.get(..length)?).ok()?;
    let identity = Identity {
        // It ends up in a log.
        name: Some(name).filter(|name| !name.contains(odd))?.to_owned(),
        creation: number(13)?,
        flags: u64::from(number(1)?) << 32 | u64::from(number(5)?),
    };
    Some((identity, number(9)?))
}

/// The answer to a challenge, and a challenge of ours.
fn challenge_reply(cookie: &[u8], theirs: u32, ours: u32) -> Vec<u8> {
    let mut body = vec![b'r'];
    body.extend(ours.to_be_bytes());
    body.extend(digest(cookie, theirs));
    framed(&body)
}

/// Reads the answer to our challenge; `None` for anything else.
fn read_challenge_ack(message: &[u8]) -> Option<[u8; DIGEST]> {
    message.strip_prefix(b"a")?.try_into().ok()
}

/// What proves that one has the cookie.
fn digest(cookie: &[u8], challenge: u32) -> [u8; DIGEST] {
    let mut context = md5::Context::new();
    context.consume(cookie);
    context.consume(challenge.to_string());
    context.finalize().0
}

#[cfg(test)]
mod tests;
