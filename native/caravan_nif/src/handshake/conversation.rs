//! What is said in a handshake, and what follows from it. Pure: bytes come in, bytes go out.

use super::{DIGEST, Identity, Status, digest};
use crate::node_name::MAX_NAME;

/// The longest message is the challenge, with the longest name.
const MAX_MESSAGE: usize = 32 + MAX_NAME;

/// How much of what isn't Erlang is worth telling.
const MAX_BANNER: usize = 80;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A node, and what it made of our cookie.
    Node(Identity, Cookie),
    /// A node that goes no further.
    Rejected(Status),
    /// Something that speaks TLS, with the alert that it sent.
    Tls(Option<u8>),
    /// Something that isn't an Erlang node: the first bytes it sent.
    NotErlang(Vec<u8>),
    /// It closed the connection while we waited.
    HungUp(Stage),
    /// It said nothing for as long as we waited.
    Silent(Stage),
}

/// What a node made of our cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// It wasn't shown.
    Untested,
    /// It has the same.
    Same,
    /// It has another one.
    Other,
}

/// What we wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Whether the handshake may go on.
    Status,
    /// The challenge, with the name.
    Challenge,
    /// Whether our cookie is the right one.
    Proof,
}

/// What a part of the conversation has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is more to come.
    Wait,
    /// The node has told its name. To go on, prove that we have the cookie.
    Named,
    /// That was all.
    End(Finding),
}

/// A conversation with whatever listens there.
#[derive(Debug)]
pub struct Conversation {
    stage: Stage,
    received: Vec<u8>,
    /// Who it is, and the number to be answered.
    peer: Option<(Identity, u32)>,
    /// The answer that proves that the peer has the cookie, too.
    expected: [u8; DIGEST],
}

impl Conversation {
    /// The beginning, and what to send.
    #[must_use]
    pub fn start(asker: &str) -> (Self, Vec<u8>) {
        let conversation = Self {
            stage: Stage::Status,
            received: Vec::new(),
            peer: None,
            expected: [0; DIGEST],
        };
        (conversation, super::send_name(asker))
    }

    /// Takes what has come.
    pub fn receive(&mut self, bytes: &[u8]) -> Step {
        self.received.extend(bytes);
        while let Some(message) = self.next_message() {
            let Some(message) = message else {
                return Step::End(self.not_erlang());
            };
            match self.hear(&message) {
                Step::Wait => {}
                step => return step,
            }
        }
        Step::Wait
    }

    /// The node that has told its name.
    pub fn identity(&self) -> Option<&Identity> {
        self.peer.as_ref().map(|(identity, _)| identity)
    }

    /// Whether nothing at all has come.
    pub fn is_unanswered(&self) -> bool {
        self.stage == Stage::Status && self.received.is_empty()
    }

    /// What to send to prove that we have the cookie, once the node has told its name. `challenge` should not be known
    /// beforehand. A node that has another cookie logs that; one that has the same is linked until we hang up.
    pub fn prove(&mut self, cookie: &[u8], challenge: u32) -> Vec<u8> {
        let theirs = self.peer.as_ref().map_or(0, |(_, number)| *number);
        self.stage = Stage::Proof;
        self.expected = digest(cookie, challenge);
        super::challenge_reply(cookie, theirs, challenge)
    }

    /// What is known if nothing more is sent.
    #[must_use]
    pub fn named(&self) -> Finding {
        self.with_cookie(Cookie::Untested)
    }

    /// What is known once the other end has closed the connection.
    #[must_use]
    pub fn closed(&self) -> Finding {
        match self.stage {
            Stage::Proof => self.with_cookie(Cookie::Other),
            _ if !self.received.is_empty() => self.not_erlang(),
            stage => Finding::HungUp(stage),
        }
    }

    /// What is known once time has run out.
    #[must_use]
    pub fn timed_out(&self) -> Finding {
        Finding::Silent(self.stage)
    }

    fn with_cookie(&self, cookie: Cookie) -> Finding {
        match &self.peer {
            Some((identity, _)) => Finding::Node(identity.clone(), cookie),
            None => Finding::Silent(self.stage),
        }
    }

    /// The next message, if it is complete; within, `None` if it can't be one.
    fn next_message(&mut self) -> Option<Option<Vec<u8>>> {
        let length = match *self.received.as_slice() {
            // No message is as long as that.
            [high, ..] if high > MAX_MESSAGE.to_be_bytes()[size_of::<usize>() - 2] => return Some(None),
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => return None,
        };
        if length > MAX_MESSAGE {
            return Some(None);
        }
        let end = 2 + length;
        if self.received.len() < end {
            return None;
        }
        let message = self.received[2..end].to_vec();
        self.received.drain(..end);
        Some(Some(message))
    }

    fn hear(&mut self, message: &[u8]) -> Step {
        let understood = match self.stage {
            Stage::Status => super::read_status(message).map(|status| match status {
                Status::Ok => {
                    self.stage = Stage::Challenge;
                    Step::Wait
                }
                refusal => Step::End(Finding::Rejected(refusal)),
            }),
            Stage::Challenge => super::read_challenge(message).map(|peer| {
                self.peer = Some(peer);
                Step::Named
            }),
            Stage::Proof => super::read_challenge_ack(message).map(|proof| {
                let same = proof == self.expected;
                Step::End(self.with_cookie(if same { Cookie::Same } else { Cookie::Other }))
            }),
        };
        understood.unwrap_or_else(|| Step::End(Finding::NotErlang(banner(message))))
    }

    fn not_erlang(&self) -> Finding {
        match *self.received.as_slice() {
            // An alert, or another record, of any version (RFC 8446, 5.1): type, version, length, level, description.
            [0x15, 3, ..] => Finding::Tls(self.received.get(6).copied()),
            [0x16, 3, ..] => Finding::Tls(None),
            _ => Finding::NotErlang(banner(&self.received)),
        }
    }
}

fn banner(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(MAX_BANNER)].to_vec()
}

#[cfg(test)]
mod tests;
