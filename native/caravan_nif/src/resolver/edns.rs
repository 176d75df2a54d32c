//! Which servers answer without EDNS only: those that are older than it, and those behind a firewall that drops what it
//! doesn't know.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// How often such a server is asked with EDNS all the same: it may just have lost a packet, or the firewall may be gone.
const CHECK: Duration = Duration::from_secs(60);

/// How many servers are remembered. Any beyond are asked with EDNS first, in vain.
const MOST: usize = 64;

static MANNERS: Lazy<Mutex<Manners>> = Lazy::new(Mutex::default);

/// How to ask a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Edns,
    Plain,
    /// Without EDNS, and with it besides, to see whether that is answered now.
    PlainUntilChecked,
}

/// What a server has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It has answered a question with EDNS.
    Edns,
    /// It has said that it doesn't know EDNS.
    NoEdns,
    /// It has answered one without EDNS after one with it had brought nothing, which may have been lost.
    Silence,
}

/// How to ask `server` now.
pub(super) fn of(server: SocketAddr) -> Manner {
    manners().of(server, Instant::now())
}

/// Notes what `server` has shown.
pub(super) fn note(server: SocketAddr, shown: Shown) {
    manners().note(server, shown, Instant::now());
}

fn manners() -> MutexGuard<'static, Manners> {
    MANNERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The servers to be asked without EDNS. Pure.
#[derive(Default)]
struct Manners {
    plain: HashMap<SocketAddr, Plain>,
}

struct Plain {
    noted: Instant,
    /// When it is next tried with EDNS.
    check_at: Instant,
}

impl Manners {
    fn of(&mut self, server: SocketAddr, now: Instant) -> Manner {
        match self.plain.get_mut(&server) {
            None => Manner::Edns,
            Some(plain) if now < plain.check_at => Manner::Plain,
            Some(plain) => {
                plain.check_at = now + CHECK;
                Manner::PlainUntilChecked
            }
        }
    }

    fn note(&mut self, server: SocketAddr, shown: Shown, now: Instant) {
        let check_at = match shown {
            Shown::Edns => {
                self.plain.remove(&server);
                return;
            }
            Shown::NoEdns => now + CHECK,
            // One lost packet may be all there was to it.
            Shown::Silence => now,
        };
        let plain = Plain {
            noted: now,
            check_at,
        };
        self.plain.entry(server).or_insert(plain).noted = now;
        if self.plain.len() > MOST {
            let oldest = self.plain.iter().min_by_key(|(_, plain)| plain.noted);
            if let Some(server) = oldest.map(|(server, _)| *server) {
                self.plain.remove(&server);
            }
        }
    }
}

#[cfg(test)]
mod tests;
