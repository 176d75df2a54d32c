//! Whoever listens and isn't a node: how long not to bother it. Pure; the time is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The first rest. It may be a node that is too busy to answer.
const FIRST: Duration = Duration::from_secs(10);

/// The longest rest.
const LONGEST: Duration = Duration::from_mins(10);

/// The places where strangers listen: how long each of them rests, and until when.
#[derive(Debug, Default)]
pub(super) struct Strangers(HashMap<(String, u16), (Duration, Instant)>);

impl Strangers {
    /// Is the place better not asked now?
    pub(super) fn rest(&self, host: &str, port: u16, now: Instant) -> bool {
        self.0
            .get(&(host.to_owned(), port))
            .is_some_and(|(_, until)| now < *until)
    }

    /// A stranger was met: it rests twice as long as the last time.
    pub(super) fn met(&mut self, host: &str, port: u16, now: Instant) {
        // Those that nobody has asked about since are forgotten.
        self.0.retain(|_, (rest, until)| now < *until + *rest);
        let rest = match self.0.get(&(host.to_owned(), port)) {
            Some((rest, _)) => LONGEST.min(*rest * 2),
            None => FIRST,
        };
        self.0.insert((host.to_owned(), port), (rest, now + rest));
    }

    /// Nobody listens there any longer, or a node does.
    pub(super) fn gone(&mut self, host: &str, port: u16) {
        self.0.remove(&(host.to_owned(), port));
    }
}

#[cfg(test)]
mod tests;
