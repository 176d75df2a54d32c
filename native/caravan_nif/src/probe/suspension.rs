//! Whether this process was suspended until just now: by a signal, a debugger, or the freezer of its container.
//!
//! A heartbeat tells: a gap in it is the time in which nothing ran.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// How often the heart should beat.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// A gap this long means that the process was suspended. Peers give a node up after 0.75 of `net_ticktime` at the
/// earliest.
const SUSPENDED: Duration = Duration::from_secs(2);

static HEARTBEAT: Lazy<Mutex<Heartbeat>> = Lazy::new(Mutex::default);
static START: Lazy<Instant> = Lazy::new(Instant::now);

/// How much of `grace` is left since this process resumed: mostly nothing. This counts as a heartbeat, too.
pub fn remaining(grace: Duration) -> Duration {
    let now = START.elapsed();
    let mut heartbeat = HEARTBEAT.lock().unwrap_or_else(PoisonError::into_inner);
    heartbeat.beat(now);
    heartbeat.remaining(grace, now)
}

/// The latest beat, and the latest end of a gap. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Heartbeat {
    last: Option<Duration>,
    resumed: Option<Duration>,
}

impl Heartbeat {
    fn beat(&mut self, now: Duration) {
        if self
            .last
            .is_some_and(|last| now.saturating_sub(last) >= SUSPENDED)
        {
            self.resumed = Some(now);
        }
        self.last = Some(now);
    }

    fn remaining(&self, grace: Duration, now: Duration) -> Duration {
        self.resumed.map_or(Duration::ZERO, |at| {
            grace.saturating_sub(now.saturating_sub(at))
        })
    }
}

#[cfg(test)]
mod tests;
