//! Whether this process was stopped until just now: by a signal, a debugger, or a container that was frozen.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// How often the pulse should be felt.
pub const BEAT: Duration = Duration::from_millis(500);

/// A process that feels none for this long was stopped. Peers give a node up after 0.75 of `net_ticktime` at the earliest.
const STOPPED: Duration = Duration::from_secs(2);

static PULSE: Lazy<Mutex<Pulse>> = Lazy::new(Mutex::default);
static START: Lazy<Instant> = Lazy::new(Instant::now);

/// Feels the pulse. Answers with how much is left of `time` since this process resumed: mostly nothing.
pub fn feel(time: Duration) -> Duration {
    let now = START.elapsed();
    let mut pulse = PULSE.lock().unwrap_or_else(PoisonError::into_inner);
    pulse.beat(now);
    pulse.left(time, now)
}

/// What was felt. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Pulse {
    last: Option<Duration>,
    went_on: Option<Duration>,
}

impl Pulse {
    fn beat(&mut self, now: Duration) {
        if self
            .last
            .is_some_and(|last| now.saturating_sub(last) >= STOPPED)
        {
            self.went_on = Some(now);
        }
        self.last = Some(now);
    }

    fn left(&self, time: Duration, now: Duration) -> Duration {
        self.went_on.map_or(Duration::ZERO, |at| {
            time.saturating_sub(now.saturating_sub(at))
        })
    }
}

#[cfg(test)]
mod tests;
