//! Which servers answer only without EDNS: those that predate it, and those behind a firewall that drops what it
//! doesn't know.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// How often such a server is queried with EDNS nevertheless: it may only have lost a packet, or the firewall may be
/// gone.
const RECHECK: Duration = Duration::from_secs(60);

/// How many servers are remembered. Others are queried with EDNS first, in vain.
const MAX_SERVERS: usize = 64;

static SUPPORT: Lazy<Mutex<EdnsSupport>> = Lazy::new(Mutex::default);

/// How to query a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Edns,
    Plain,
    /// Both without EDNS and with it, to see whether the latter is answered now.
    PlainUntilChecked,
}

/// What a reply, or the lack of one, shows about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It has answered a query with EDNS.
    Edns,
    /// It has said that it doesn't know EDNS.
    NoEdns,
    /// It has answered a query without EDNS after one with it got no answer, which may have been lost.
    Silence,
}

/// How to query `server` now.
pub(super) fn mode(server: SocketAddr) -> Mode {
    support().mode(server, Instant::now())
}

/// Notes what is now known of `server`.
pub(super) fn note(server: SocketAddr, evidence: Evidence) {
    support().note(server, evidence, Instant::now());
}

fn support() -> MutexGuard<'static, EdnsSupport> {
    SUPPORT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The servers to query without EDNS. Pure.
#[derive(Default)]
struct EdnsSupport {
    plain: HashMap<SocketAddr, Plain>,
}

struct Plain {
    noted: Instant,
    /// When it is next tried with EDNS.
    check_at: Instant,
}

impl EdnsSupport {
    fn mode(&mut self, server: SocketAddr, now: Instant) -> Mode {
        match self.plain.get_mut(&server) {
            None => Mode::Edns,
            Some(plain) if now < plain.check_at => Mode::Plain,
            Some(plain) => {
                plain.check_at = now + RECHECK;
                Mode::PlainUntilChecked
            }
        }
    }

    fn note(&mut self, server: SocketAddr, evidence: Evidence, now: Instant) {
        let check_at = match evidence {
            Evidence::Edns => {
                self.plain.remove(&server);
                return;
            }
            Evidence::NoEdns => now + RECHECK,
            // One lost packet may be all there was to it.
            Evidence::Silence => now,
        };
        let plain = Plain { noted: now, check_at };
        self.plain.entry(server).or_insert(plain).noted = now;
        if self.plain.len() > MAX_SERVERS {
            let oldest = self.plain.iter().min_by_key(|(_, plain)| plain.noted);
            if let Some(server) = oldest.map(|(server, _)| *server) {
                self.plain.remove(&server);
            }
        }
    }
}

#[cfg(test)]
mod tests;
