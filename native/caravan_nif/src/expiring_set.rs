//! A set whose elements expire. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Elements, and when each was last inserted.
#[derive(Debug)]
pub struct ExpiringSet<T> {
    keep: Duration,
    inserted: HashMap<T, Instant>,
}

impl<T: Hash + Eq> ExpiringSet<T> {
    /// A set that drops elements that haven't been inserted for `keep`.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            inserted: HashMap::new(),
        }
    }

    /// Inserts an element at time `now`; returns whether it was there already.
    pub fn insert(&mut self, element: T, now: Instant) -> bool {
        let keep = self.keep;
        // Cheap enough each time: the set holds only what is inserted within `keep`.
        self.inserted.retain(|_, at| now.saturating_duration_since(*at) < keep);
        self.inserted.insert(element, now).is_some()
    }

    /// Whether it was inserted within `keep`.
    pub fn contains(&self, element: &T, now: Instant) -> bool {
        self.inserted
            .get(element)
            .is_some_and(|at| now.saturating_duration_since(*at) < self.keep)
    }

    /// One of those inserted within `keep` that fit.
    pub fn find(&self, now: Instant, fits: impl Fn(&T) -> bool) -> Option<&T> {
        self.inserted
            .iter()
            .find(|(element, at)| now.saturating_duration_since(**at) < self.keep && fits(element))
            .map(|(element, _)| element)
    }
}

#[cfg(test)]
mod tests;
