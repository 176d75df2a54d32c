//! Names that aren't members yet: they wait for room, for an atom, or until their host has answered a probe. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::changes::Listed;

/// The minimum, however small `max_members` is.
const LEAST: usize = 64;

/// Names waiting longer than this are reported.
const LONG: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) node: Listed,
    /// The queries that have listed it, one bit each.
    pub(super) sources: u64,
    /// Those whose latest successful answer lacks it.
    pub(super) missed: u64,
    /// Whether its host has answered a probe.
    pub(super) answered: bool,
    /// When it was last listed.
    pub(super) seen: Duration,
    since: Duration,
    failures: u32,
    /// Whether a probe of its host is due. It isn't if another one would tell nothing new.
    due: bool,
}

impl Candidate {
    /// Was it probed, and has nothing ever answered?
    pub(super) fn in_vain(&self) -> bool {
        self.failures > 0 && !self.answered
    }
}

#[derive(Debug)]
pub(super) struct Candidates {
    by_name: HashMap<String, Candidate>,
    most: usize,
    /// Those whose probe is due, the most promising first. Some may no longer be candidates.
    due: VecDeque<String>,
    /// Those being probed. Some may no longer be candidates, or be new ones of the same name.
    under_way: HashSet<String>,
}

impl Candidates {
    /// Keeps about as many candidates as there may be members.
    pub(super) fn new(max_members: usize) -> Self {
        Self {
            by_name: HashMap::new(),
            most: max_members.max(LEAST),
            due: VecDeque::new(),
            under_way: HashSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many probes are due.
    pub(super) fn due(&self) -> usize {
        self.due.len()
    }

    /// How many are due or under way.
    pub(super) fn probing(&self) -> usize {
        self.due.len() + self.under_way.len()
    }

    /// Has it waited in vain or long, or may it, with so many others waiting?
    pub(super) fn is_late(&self, now: Duration, name: &str) -> bool {
        self.by_name.len() > self.most / 2
            || self
                .by_name
                .get(name)
                .is_some_and(|candidate| candidate.failures > 0 || now.saturating_sub(candidate.since) >= LONG)
    }

    /// Records that an answer lists it.
    pub(super) fn see(&mut self, now: Duration, source: u64, node: Listed) -> &mut Candidate {
        let candidate = self.by_name.entry(node.name.clone()).or_insert_with(|| Candidate {
            node: node.clone(),
            sources: 0,
            missed: 0,
            answered: false,
            seen: now,
            since: now,
            failures: 0,
            due: false,
        });
        candidate.sources |= source;
        candidate.missed &= !source;
        candidate.seen = now;
        if !node.addresses.is_empty() {
            candidate.node.addresses = node.addresses;
        }
        candidate
    }

    /// Records a complete answer to a query. Its listed names are seen after this.
    pub(super) fn miss(&mut self, source: u64) {
        for candidate in self.by_name.values_mut() {
            candidate.missed |= candidate.sources & source;
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Candidate> {
        self.by_name.get(name)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Candidate> {
        self.by_name.remove(name)
    }

    /// Schedules a probe of its host, unless enough is known about it.
    pub(super) fn want_probe(&mut self, name: &str) {
        if let Some(candidate) = self.by_name.get_mut(name)
            && !candidate.answered
            && !self.under_way.contains(name)
        {
            candidate.due = true;
        }
    }

    /// Those last listed before `now`, the latest first.
    pub(super) fn seen_before(&self, now: Duration) -> Vec<String> {
        let mut names: Vec<_> = self
            .by_name
            .iter()
            .filter(|(_, candidate)| candidate.seen < now)
            .collect();
        names.sort_unstable_by_key(|(_, candidate)| Reverse(candidate.seen));
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Forgets the names that haven't been listed for `keep`, and those beyond the limit: first those listed longest
    /// ago, and among these the ones probed in vain. Then queues the probes that are due.
    pub(super) fn tidy(&mut self, now: Duration, keep: Duration) {
        self.by_name
            .retain(|_, candidate| now.saturating_sub(candidate.seen) < keep);
        let order = |candidate: &Candidate| (!candidate.answered, Reverse(candidate.seen), candidate.failures);
        if self.by_name.len() > self.most {
            let mut ranks: Vec<_> = self
                .by_name
                .iter()
                .map(|(name, candidate)| (order(candidate), name.clone()))
                .collect();
            ranks.select_nth_unstable(self.most);
            for (_, name) in ranks.drain(self.most..) {
                self.by_name.remove(&name);
            }
        }
        let mut due: Vec<_> = self
            .by_name
            .iter()
            .filter(|(_, candidate)| candidate.due)
            .map(|(name, candidate)| (candidate.failures, Reverse(candidate.seen), name.clone()))
            .collect();
        due.sort_unstable();
        self.due = due.into_iter().map(|(_, _, name)| name).collect();
    }

    /// The name whose probe starts now.
    pub(super) fn next_probe(&mut self) -> Option<&Listed> {
        while let Some(name) = self.due.pop_front() {
            if let Some(candidate) = self.by_name.get_mut(&name)
                && std::mem::take(&mut candidate.due)
            {
                self.under_way.insert(name.clone());
                return self.by_name.get(&name).map(|candidate| &candidate.node);
            }
        }
        None
    }

    /// Records the end of a probe. The next one is due when the name is listed again.
    pub(super) fn probed(&mut self, name: &str, answered: bool) {
        self.under_way.remove(name);
        if let Some(candidate) = self.by_name.get_mut(name) {
            candidate.answered |= answered;
            candidate.failures += u32::from(!answered);
        }
    }
}
