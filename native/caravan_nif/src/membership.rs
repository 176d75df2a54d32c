//! Membership: which nodes discovery currently lists. A soft-state set; the time is an argument. Pure.

mod atom_budget;
mod candidates;
mod changes;
mod hosts;
mod joining;
mod picks;
mod rank;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use self::atom_budget::AtomBudget;
use self::candidates::Candidates;
pub use self::changes::{Changes, Limits, Listed, Listing, Refusal, Told, Vm};
use self::hosts::Hosts;
use self::joining::Pass;
use self::picks::Picks;
pub use self::picks::{LinkChanges, Reach};

/// The most queries that a topology can have; each has a bit.
pub const MAX_QUERIES: usize = 64;

#[derive(Debug)]
struct Member {
    host: Option<String>,
    /// Its host's addresses when it was last listed.
    addresses: Arc<[IpAddr]>,
    /// The queries that have ever listed it, one bit each.
    sources: u64,
    /// Those whose latest successful answer lacks it.
    missed: u64,
    /// Those whose latest two do: a single one may be a random subset.
    absent: u64,
    missing_since: Option<Duration>,
    withdrawn: bool,
    /// When it became a member.
    since: Duration,
    /// Whether something had answered there by then.
    proven: bool,
}

/// The set of members of one topology.
#[derive(Debug)]
pub struct Membership {
    limits: Limits,
    members: HashMap<Arc<str>, Member>,
    /// Whom to be linked with, unless that is everybody.
    picks: Option<Picks>,
    hosts: Hosts,
    candidates: Candidates,
    budget: AtomBudget,
    /// An upper bound on the members that the latest answer to one of their queries lacks.
    missing: usize,
    /// The queries that failed, or were answered only partly, since their last complete answer.
    failed: u64,
    /// When each query was last answered completely.
    answered: [Duration; MAX_QUERIES],
}

impl Membership {
    /// An empty set.
    pub fn new(limits: Limits) -> Self {
        Self {
            candidates: Candidates::new(limits.max_members),
            budget: AtomBudget::new(limits.max_members),
            limits,
            members: HashMap::new(),
            picks: None,
            hosts: Hosts::default(),
            missing: 0,
            failed: 0,
            answered: [Duration::ZERO; MAX_QUERIES],
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(AsRef::as_ref)
    }

    /// The host and the addresses of a member.
    pub fn location(&self, name: &str) -> Option<(Option<&str>, Arc<[IpAddr]>)> {
        self.members
            .get(name)
            .map(|member| (member.host.as_deref(), Arc::clone(&member.addresses)))
    }

    /// Applies a successful answer at time `now`. An incomplete one only adds.
    pub fn answer(&mut self, now: Duration, answer: Listing, self_name: &str, vm: &impl Vm) -> Changes {
        let source = 1 << answer.query;
        let mut pass = Pass::new(now, vm);
        if answer.incomplete {
            self.failed(answer.query);
        } else {
            // Listed members lose these bits again below.
            for member in self.members.values_mut() {
                member.absent |= member.missed & source;
                member.missed |= member.sources & source;
            }
            self.candidates.miss(source);
        }
        for node in answer.listed {
            // This node's name may have capitals in its host; DNS names come in lower case.
            if !node.name.eq_ignore_ascii_case(self_name) {
                self.listed(&mut pass, source, node);
            }
        }
        self.admit_waiting(&mut pass);
        if !answer.incomplete {
            self.missing(now, answer.query, &mut pass.changes);
        }
        self.choose(&mut pass);
        pass.changes
    }

    /// Records that a query failed: until it is answered again, no member that it has listed is missing.
    pub fn failed(&mut self, query: u32) {
        self.failed |= 1 << query;
    }

    /// Records that a query got the same answer as before, when all its names were or became members: this concerns
    /// only the missing members and those that wait.
    pub fn again(&mut self, now: Duration, query: u32, vm: &impl Vm) -> Changes {
        let source = 1 << query;
        let mut pass = Pass::new(now, vm);
        self.admit_waiting(&mut pass);
        if self.missing > 0 {
            for member in self.members.values_mut() {
                member.absent |= member.missed & source;
            }
            self.missing(now, query, &mut pass.changes);
        } else {
            self.answered(now, query);
        }
        self.choose(&mut pass);
        pass.changes
    }

    fn listed(&mut self, pass: &mut Pass<'_, impl Vm>, source: u64, node: Listed) {
        let Some(member) = self.members.get_mut(node.name.as_str()) else {
            self.candidate(pass, source, node);
            return;
        };
        let mut addresses = node.addresses;
        addresses.sort_unstable();
        addresses.dedup();
        member.sources |= source;
        member.missed &= !source;
        member.absent &= !source;
        member.missing_since = None;
        if std::mem::take(&mut member.withdrawn) {
            pass.changes.returned.push(node.name.clone());
        }
        if let Some(name) = &member.host {
            let (addresses, other) = self.hosts.locate(name, addresses);
            pass.changes.reread |= other;
            if !Arc::ptr_eq(&member.addresses, &addresses) {
                member.addresses = addresses;
                pass.changes.moved.push(node.name);
            }
        }
    }

    fn answered(&mut self, now: Duration, query: u32) {
        self.failed &= !(1 << query);
        self.answered[query as usize] = now;
    }

    fn missing(&mut self, now: Duration, query: u32, changes: &mut Changes) {
        let limits = &self.limits;
        let source: u64 = 1 << query;
        // The time while the query failed doesn't count, since nobody knows who was there.
        let unknown = if self.failed & source == 0 {
            Duration::ZERO
        } else {
            now.saturating_sub(self.answered[query as usize])
        };
        let failed = self.failed & !source;
        let Self {
            hosts,
            picks,
            candidates,
            ..
        } = self;
        let mut missing_now = 0;
        self.members.retain(|name, member| {
            missing_now += usize::from(member.missed != 0);
            // What other queries find says nothing about this member.
            if member.missed != member.sources || member.sources & source == 0 {
                return true;
            }
            let since = member.missing_since.map_or(now, |since| now.min(since + unknown));
            member.missing_since = Some(since);
            let missing = now.saturating_sub(since);
            if member.absent != member.sources || member.sources & failed != 0 {
                return true;
            }
            if !member.withdrawn && limits.withdraw_after.is_some_and(|after| missing >= after) {
                member.withdrawn = true;
                changes.withdrawn.push(name.to_string());
                if let Some(picks) = picks.as_mut() {
                    picks.withdraw(name);
                }
            }
            let stays = missing < limits.expire_after;
            if !stays {
                missing_now -= 1;
                changes.expired.push(name.to_string());
                if let Some(picks) = picks {
                    picks.leave(name);
                    candidates.remove(name);
                }
                if let Some(host) = &member.host
                    && hosts.release(host)
                {
                    changes.gone.push(host.clone());
                }
            }
            stays
        });
        self.missing = missing_now;
        self.answered(now, query);
    }
}

#[cfg(test)]
mod tests;
