//! Membership: which node names discovery stands behind now. A soft-state set; the time is an argument. Pure.

mod hosts;
mod words;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use self::hosts::Hosts;
pub use self::words::{Answer, Changes, Limits, Listed, Refusal};

/// How many queries a topology has at the most: a bit each.
pub const MAX_QUERIES: usize = 64;

#[derive(Debug)]
struct Member {
    host: Option<String>,
    /// Its host's, as they were when it was last listed.
    addresses: Arc<[IpAddr]>,
    /// The queries that have ever listed it, a bit each.
    sources: u64,
    /// Those of them whose latest successful answer lacks it.
    missed: u64,
    /// Those of them whose latest two do: one alone may be a random subset.
    absent: u64,
    missing_since: Option<Duration>,
    withdrawn: bool,
}

/// The set of members of one topology.
#[derive(Debug)]
pub struct Membership {
    limits: Limits,
    members: HashMap<String, Member>,
    hosts: Hosts,
    /// How many atoms this topology may still make.
    atoms_left: usize,
    /// How many members the latest answer to one of their queries lacks, at the most.
    missing: usize,
    /// The queries that failed, or were answered in part, since they were last answered.
    failed: u64,
    /// When each query was last answered in whole.
    answered: [Duration; MAX_QUERIES],
}

impl Membership {
    /// An empty set.
    pub fn new(limits: Limits) -> Self {
        let atoms_left = limits.max_members.saturating_mul(2);
        Self {
            limits,
            members: HashMap::new(),
            hosts: Hosts::default(),
            atoms_left,
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

    /// The host and the addresses of a member.
    pub fn location(&self, name: &str) -> Option<(Option<&str>, Arc<[IpAddr]>)> {
        self.members
            .get(name)
            .map(|member| (member.host.as_deref(), Arc::clone(&member.addresses)))
    }

    /// Takes in a successful answer at time `now`. An incomplete one only adds.
    /// `is_atom` tells whether a name is an atom already and so costs none. Hosts that have
    /// no member any more are given to `gone`.
    pub fn answer(
        &mut self,
        now: Duration,
        answer: Answer,
        self_name: &str,
        is_atom: impl Fn(&str) -> bool,
        mut gone: impl FnMut(&str),
    ) -> Changes {
        let source = 1 << answer.query;
        let mut changes = Changes::default();
        if answer.incomplete {
            self.failed(answer.query);
        } else {
            // Whoever is listed loses these bits again below.
            for member in self.members.values_mut() {
                member.absent |= member.missed & source;
                member.missed |= member.sources & source;
            }
        }
        for node in answer.listed {
            // A host may have capitals in the own name; from DNS it comes without.
            if !node.name.eq_ignore_ascii_case(self_name) {
                self.listed(source, node, &is_atom, &mut changes);
            }
        }
        if !answer.incomplete {
            self.missing(now, answer.query, &mut changes, &mut gone);
        }
        changes
    }

    /// Takes in that a query failed: until it is answered again nobody whom it has listed is missing.
    pub fn failed(&mut self, query: u32) {
        self.failed |= 1 << query;
    }

    /// Takes in that a query was answered as it was before, when nothing was refused: only the missing members are
    /// concerned.
    pub fn again(&mut self, now: Duration, query: u32, mut gone: impl FnMut(&str)) -> Changes {
        let source = 1 << query;
        let mut changes = Changes::default();
        if self.missing > 0 {
            for member in self.members.values_mut() {
                member.absent |= member.missed & source;
            }
            self.missing(now, query, &mut changes, &mut gone);
        } else {
            self.answered(now, query);
        }
        changes
    }

    fn listed(
        &mut self,
        source: u64,
        node: Listed,
        is_atom: &impl Fn(&str) -> bool,
        changes: &mut Changes,
    ) {
        let mut addresses = node.addresses;
        addresses.sort_unstable();
        addresses.dedup();
        if let Some(member) = self.members.get_mut(&node.name) {
            member.sources |= source;
            member.missed &= !source;
            member.absent &= !source;
            member.missing_since = None;
            if std::mem::take(&mut member.withdrawn) {
                changes.returned.push(node.name.clone());
            }
            if let Some(name) = &member.host {
                let (addresses, other) = self.hosts.locate(name, addresses);
                changes.readdressed |= other;
                if !Arc::ptr_eq(&member.addresses, &addresses) {
                    member.addresses = addresses;
                    changes.moved.push(node.name);
                }
            }
            return;
        }
        if self.members.len() >= self.limits.max_members {
            changes.refused.push((node.name, Refusal::MaxMembers));
            return;
        }
        if !is_atom(&node.name) {
            if self.atoms_left == 0 {
                changes.refused.push((node.name, Refusal::AtomLimit));
                return;
            }
            self.atoms_left -= 1;
        }
        changes.added.push(node.name.clone());
        let addresses = match &node.host {
            Some(name) => {
                let (addresses, other) = self.hosts.locate(name, addresses);
                changes.readdressed |= other;
                self.hosts.enter(name);
                addresses
            }
            None => addresses.into(),
        };
        let member = Member {
            host: node.host,
            addresses,
            sources: source,
            missed: 0,
            absent: 0,
            missing_since: None,
            withdrawn: false,
        };
        self.members.insert(node.name, member);
    }

    fn answered(&mut self, now: Duration, query: u32) {
        self.failed &= !(1 << query);
        self.answered[query as usize] = now;
    }

    fn missing(
        &mut self,
        now: Duration,
        query: u32,
        changes: &mut Changes,
        gone: &mut impl FnMut(&str),
    ) {
        let limits = &self.limits;
        let source: u64 = 1 << query;
        // Nobody knows who was there while the query failed: that time does not count.
        let unknown = if self.failed & source == 0 {
            Duration::ZERO
        } else {
            now.saturating_sub(self.answered[query as usize])
        };
        let failed = self.failed & !source;
        let hosts = &mut self.hosts;
        let mut missing_now = 0;
        self.members.retain(|name, member| {
            missing_now += usize::from(member.missed != 0);
            // What other queries find says nothing of this member.
            if member.missed != member.sources || member.sources & source == 0 {
                return true;
            }
            let since = member
                .missing_since
                .map_or(now, |since| now.min(since + unknown));
            member.missing_since = Some(since);
            let missing = now.saturating_sub(since);
            if member.absent != member.sources || member.sources & failed != 0 {
                return true;
            }
            if !member.withdrawn && limits.withdraw_after.is_some_and(|after| missing >= after) {
                member.withdrawn = true;
                changes.withdrawn.push(name.clone());
            }
            let stays = missing < limits.expire_after;
            if !stays {
                missing_now -= 1;
                changes.expired.push(name.clone());
                if let Some(host) = &member.host
                    && hosts.leave(host)
                {
                    gone(host);
                }
            }
            stays
        });
        self.missing = missing_now;
        self.answered(now, query);
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "membership_properties.rs"]
mod properties;
