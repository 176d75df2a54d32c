//! One conversation, and what we choose to say in it. It is told what came, and tells what to send.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use crate::expiring_set::ExpiringSet;
use crate::handshake::conversation::{Conversation, Cookie, Finding, Step};
use crate::handshake::{self, Identity};

/// How long a node need not be shown a cookie again that it has refused: it would log that again.
const REFUSED: Duration = Duration::from_mins(10);

/// Who has refused which cookie: the node's life, and a hash of the cookie.
static REFUSALS: Lazy<Mutex<ExpiringSet<(String, u32, u64)>>> = Lazy::new(|| Mutex::new(ExpiringSet::new(REFUSED)));
static HASHER: Lazy<RandomState> = Lazy::new(RandomState::new);

/// What makes most of those answer that wait for a line.
const PROMPT: &[u8] = b"\r\n\r\n";

/// An interview under way.
#[derive(Debug)]
pub struct Interview {
    conversation: Conversation,
    cookie: Option<Vec<u8>>,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Move {
    /// Wait for more.
    Wait,
    /// Send this, then wait.
    Send(Vec<u8>),
    /// Hang up: this is what there is to know.
    End(Finding),
}

impl Interview {
    /// Begins one for the node `own`, which may have a cookie to compare, and says what to send.
    #[must_use]
    pub fn begin(own: &str, cookie: Option<Vec<u8>>) -> (Self, Vec<u8>) {
        let (conversation, hello) = Conversation::start(&handshake::asker(own));
        (Self { conversation, cookie }, hello)
    }

    /// Takes what has come.
    pub fn received(&mut self, bytes: &[u8]) -> Move {
        match self.conversation.receive(bytes) {
            Step::Wait => Move::Wait,
            Step::Named => self.named(),
            Step::End(finding) => Move::End(self.learnt(finding)),
        }
    }

    /// Half of the time is over. What is no node may wait for the end of a line, so it is sent one. A node that was just
    /// slow then takes it for the beginning of a long message; so it is asked for its name only.
    pub fn prompt(&mut self) -> Option<&'static [u8]> {
        self.conversation.is_unanswered().then(|| {
            self.cookie = None;
            PROMPT
        })
    }

    /// The other end has closed the connection.
    pub fn closed(&self) -> Finding {
        self.learnt(self.conversation.closed())
    }

    /// Time has run out.
    pub fn timed_out(&self) -> Finding {
        self.conversation.timed_out()
    }

    fn named(&mut self) -> Move {
        let (Some(cookie), Some(identity)) = (&self.cookie, self.conversation.identity()) else {
            return Move::End(self.conversation.named());
        };
        if has_refused(identity, cookie) {
            return Move::End(Finding::Node(identity.clone(), Cookie::Other));
        }
        // Each state has keys of its own, from the system's randomness.
        let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
        Move::Send(self.conversation.prove(cookie, u32::from_be_bytes([a, b, c, d])))
    }

    fn learnt(&self, finding: Finding) -> Finding {
        if let (Finding::Node(identity, Cookie::Other), Some(cookie)) = (&finding, &self.cookie) {
            note_refusal(&identity.name, identity.creation, cookie);
        }
        finding
    }
}

/// Records that the node has refused this cookie, which it has logged.
pub fn note_refusal(name: &str, creation: u32, cookie: &[u8]) {
    refusals().insert(key(name, creation, cookie), Instant::now());
}

/// The life of the node of this name that has refused this cookie.
#[must_use]
pub fn refuser(name: &str, cookie: &[u8]) -> Option<u32> {
    let cookie = HASHER.hash_one(cookie);
    let refusals = refusals();
    let found = refusals.find(Instant::now(), |(refuser, _, refused)| {
        refuser == name && *refused == cookie
    });
    found.map(|(_, creation, _)| *creation)
}

fn has_refused(identity: &Identity, cookie: &[u8]) -> bool {
    refusals().contains(&key(&identity.name, identity.creation, cookie), Instant::now())
}

fn key(name: &str, creation: u32, cookie: &[u8]) -> (String, u32, u64) {
    (name.to_owned(), creation, HASHER.hash_one(cookie))
}

fn refusals() -> MutexGuard<'static, ExpiringSet<(String, u32, u64)>> {
    REFUSALS.lock().unwrap_or_else(PoisonError::into_inner)
}
