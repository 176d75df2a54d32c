//! Whether this process was suspended until just now: by a signal, a debugger, or the freezer of its container.
//!
//! A heartbeat tells: nothing ran during a gap in it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use crate::sync::Mutex;

/// The time between heartbeats.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// A gap this long means that the process was suspended. Peers give up a node after 0.75 of `net_ticktime` at the
/// earliest.
const SUSPENDED: Duration = Duration::from_secs(2);

static MONITOR: Lazy<Monitor> = Lazy::new(Monitor::new);
static START: Lazy<Instant> = Lazy::new(Instant::now);

/// How much of `grace` is left since this process resumed, usually nothing. Calling this counts as a heartbeat, too.
pub fn remaining(grace: Duration) -> Duration {
    MONITOR.remaining(grace, || START.elapsed())
}

/// The heartbeat that all threads share.
struct Monitor(Mutex<Heartbeat>);

impl Monitor {
    fn new() -> Self {
        Self(Mutex::new(Heartbeat::default()))
    }

    fn remaining(&self, grace: Duration, clock: impl FnOnce() -> Duration) -> Duration {
        let mut heartbeat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: a thread suspended between the two would record an old time after newer ones, and the
        // next beat would see a gap that never was.
        let now = clock();
        heartbeat.beat(now);
        heartbeat.remaining(grace, now)
    }
}

/// The latest beat, and the latest end of a gap. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Heartbeat {
    last: Option<Duration>,
    resumed: Option<Duration>,
}

impl Heartbeat {
    fn beat(&mut self, now: Duration) {
        if self.last.is_some_and(|last| now.saturating_sub(last) >= SUSPENDED) {
            self.resumed = Some(now);
        }
        self.last = Some(now);
    }

    fn remaining(&self, grace: Duration, now: Duration) -> Duration {
        self.resumed
            .map_or(Duration::ZERO, |at| grace.saturating_sub(now.saturating_sub(at)))
    }
}

#[cfg(all(test, caravan_loom))]
mod models;

#[cfg(test)]
mod tests;
