//! What was noted a short while ago, and is forgotten by itself. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Things with the time at which each was last noted.
#[derive(Debug)]
pub struct Recent<T> {
    keep: Duration,
    noted: HashMap<T, Instant>,
}

impl<T: Hash + Eq> Recent<T> {
    /// Forgets what was noted longer ago than `keep`.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            noted: HashMap::new(),
        }
    }

    /// Notes a thing at time `now`. Was it there already?
    pub fn note(&mut self, thing: T, now: Instant) -> bool {
        let keep = self.keep;
        // So few that it may be done each time: no more than are noted in that while.
        self.noted
            .retain(|_, at| now.saturating_duration_since(*at) < keep);
        self.noted.insert(thing, now).is_some()
    }

    /// Was it noted lately?
    pub fn has(&self, thing: &T, now: Instant) -> bool {
        self.noted
            .get(thing)
            .is_some_and(|at| now.saturating_duration_since(*at) < self.keep)
    }
}

#[cfg(test)]
mod tests;
