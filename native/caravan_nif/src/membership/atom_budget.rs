//! How many atoms a topology may make: they are never freed, and DNS may be hostile. Pure: the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

/// The time in which an empty budget is full again.
const REFILL: Duration = Duration::from_secs(3_600);

/// After this long, a name that led nowhere is no longer held against DNS.
const FORGIVEN: Duration = Duration::from_secs(24 * 3_600);

/// A token bucket of atoms that refills evenly.
#[derive(Debug)]
pub(super) struct AtomBudget {
    size: usize,
    /// When it is full again.
    full_at: Duration,
    /// Names that became atoms on trust and have led nowhere yet, and when they became atoms.
    unproven: HashMap<Box<str>, Duration>,
}

impl AtomBudget {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            full_at: Duration::ZERO,
            unproven: HashMap::new(),
        }
    }

    /// Is an atom left?
    pub(super) fn has_any(&self, now: Duration) -> bool {
        self.spent(now) + self.price() <= REFILL
    }

    /// Is more than half of it left?
    pub(super) fn has_half(&self, now: Duration) -> bool {
        self.spent(now) < REFILL / 2
    }

    /// May another name be trusted before anything has answered there? Names that lead nowhere never get more than half
    /// a budget, however long they come, unless they are forgiven.
    pub(super) fn trusts(&self) -> bool {
        self.unproven.len() < self.size.div_ceil(2)
    }

    /// Spends an atom.
    pub(super) fn spend(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + self.price();
    }

    /// Spends an atom on a name where nothing has answered yet.
    pub(super) fn trust(&mut self, now: Duration, name: &str) {
        self.spend(now);
        self.unproven.insert(name.into(), now);
    }

    /// Forgets the trusted names that have led somewhere meanwhile.
    pub(super) fn settle(&mut self, has_answered: impl Fn(&str) -> bool) {
        self.unproven.retain(|name, _| !has_answered(name));
    }

    /// Forgives those of long ago: where no probe can prove later names, these would wait forever.
    pub(super) fn forgive(&mut self, now: Duration) {
        self.unproven.retain(|_, at| now.saturating_sub(*at) < FORGIVEN);
    }

    fn spent(&self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now)
    }

    fn price(&self) -> Duration {
        REFILL / u32::try_from(self.size).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
