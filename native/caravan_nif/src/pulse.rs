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
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(500);

    fn felt(beats: &[u64]) -> Pulse {
        let mut pulse = Pulse::default();
        for &ms in beats {
            pulse.beat(Duration::from_millis(ms));
        }
        pulse
    }

    #[test]
    fn a_steady_pulse_asks_for_no_time() {
        let pulse = felt(&[9_000, 9_500, 10_000, 11_900]);
        assert_eq!(
            pulse.left(HALF, Duration::from_millis(11_900)),
            Duration::ZERO
        );
    }

    #[test]
    fn after_a_gap_there_is_time_from_its_end_on() {
        let pulse = felt(&[1_000, 3_000, 3_100]);
        for (now, left) in [(3_000, 500), (3_100, 400), (3_500, 0), (99_000, 0)] {
            assert_eq!(
                pulse.left(HALF, Duration::from_millis(now)),
                Duration::from_millis(left)
            );
        }
    }
}
