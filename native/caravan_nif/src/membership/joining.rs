//! Who becomes a member, and who makes room. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::changes::{Changes, Listed, Refusal, Vm};
use super::{Member, Membership};

/// A member that has never answered keeps its place this long: it has to be dialed first.
const GRACE: Duration = Duration::from_secs(2);

/// The context of applying one answer, or the outcomes of some probes, and the resulting changes.
pub(super) struct Pass<'a, V> {
    pub(super) now: Duration,
    pub(super) changes: Changes,
    vm: &'a V,
    atoms_made: usize,
    settled: bool,
    idle: Option<Idle>,
}

/// The members that have never answered.
struct Idle {
    /// Those to make room first come first; without the newest ones.
    may_go: VecDeque<Arc<str>>,
    any: bool,
}

pub(super) enum Verdict {
    /// Make it a member. `proven`: something has answered there.
    Member {
        proven: bool,
    },
    /// Let it wait until its host has answered a probe, or until others are proven.
    Unproven(Refusal),
    Refused(Refusal),
}

impl<'a, V: Vm> Pass<'a, V> {
    pub(super) fn new(now: Duration, vm: &'a V) -> Self {
        Self {
            now,
            changes: Changes::default(),
            vm,
            atoms_made: 0,
            settled: false,
            idle: None,
        }
    }
}

impl<V: Vm> Pass<'_, V> {
    pub(super) fn has_answered(&self, name: &str) -> bool {
        self.vm.has_answered(name)
    }
}

impl Membership {
    /// An answer lists a name that isn't a member.
    pub(super) fn candidate(&mut self, pass: &mut Pass<'_, impl Vm>, source: u64, node: Listed) {
        let name = node.name.clone();
        let answered = self.candidates.see(pass.now, source, node).answered;
        match self.judge(pass, &name, answered) {
            Verdict::Member { proven } => self.admit(pass, &name, proven),
            Verdict::Unproven(reason) => {
                pass.changes.waiting += 1;
                if self.limits.probes {
                    self.candidates.want_probe(&name);
                }
                if self.candidates.is_late(pass.now, &name) {
                    pass.changes.refused.push((name, reason));
                }
            }
            Verdict::Refused(reason) => {
                // If there is no room for it, it is new again the next time it is listed.
                if reason == Refusal::MaxMembers {
                    self.candidates.remove(&name);
                }
                pass.changes.refused.push((name, reason));
            }
        }
    }

    /// Whatever room this answer leaves goes to names that are not in it, the last seen first.
    pub(super) fn admit_waiting(&mut self, pass: &mut Pass<'_, impl Vm>) {
        if self.candidates.is_empty() {
            return;
        }
        for name in self.candidates.seen_before(pass.now) {
            // A member that is to be a pick.
            if self.members.contains_key(name.as_str()) {
                continue;
            }
            match self.readmit(pass, &name) {
                Verdict::Member { .. } | Verdict::Unproven(_) => (),
                Verdict::Refused(_) => break,
            }
        }
        self.candidates.tidy(pass.now, self.limits.expire_after);
    }

    /// Applies the outcomes of probes: which names were probed, and whether their hosts answered.
    pub fn probed(&mut self, now: Duration, ended: &[(String, bool)], vm: &impl Vm) -> Changes {
        let mut pass = Pass::new(now, vm);
        for (name, answered) in ended {
            self.candidates.probed(name, *answered);
            if !answered {
                continue;
            }
            if let Some(member) = self.members.get_mut(name.as_str()) {
                member.proven = true;
                self.candidates.remove(name);
                if let Some(picks) = &mut self.picks {
                    picks.answered(name);
                }
            } else {
                self.readmit(&mut pass, name);
            }
        }
        self.choose(&mut pass);
        pass.changes
    }

    /// The name whose probe starts now, its host, and the host's addresses as far as DNS has told.
    pub fn next_probe(&mut self) -> Option<Listed> {
        self.candidates.next_probe().cloned()
    }

    /// How many probes are due.
    pub fn due(&self) -> usize {
        self.candidates.due()
    }

    /// How many names of an answer may become members soon: once they are probed or, if nothing can be, once the
    /// trusted ones are linked.
    pub fn waiting(&self, changes: &Changes) -> usize {
        if self.limits.probes {
            self.candidates.probing()
        } else {
            changes.waiting
        }
    }

    fn readmit(&mut self, pass: &mut Pass<'_, impl Vm>, name: &str) -> Verdict {
        let Some(candidate) = self.candidates.get(name) else {
            return Verdict::Unproven(Refusal::NoAnswer);
        };
        let verdict = self.judge(pass, name, candidate.answered);
        if let Verdict::Member { proven } = verdict {
            self.admit(pass, name, proven);
        }
        verdict
    }

    fn judge(&mut self, pass: &mut Pass<'_, impl Vm>, name: &str, answered: bool) -> Verdict {
        let proven = answered || pass.vm.has_answered(name);
        let full = self.members.len() >= self.limits.max_members;
        if full {
            // If nothing can be probed, waiting gains nothing. Nor does it for a spare: it isn't probed.
            let probes = self.limits.probes && self.picks.is_none();
            let idle = self.idle(pass);
            let may_have_room = if probes {
                idle.any
            } else {
                proven && !idle.may_go.is_empty()
            };
            if !may_have_room {
                return Verdict::Refused(Refusal::MaxMembers);
            }
        }
        // A spare costs no atom; a pick is judged when it is picked.
        if self.picks.is_some() {
            return Verdict::Member { proven };
        }
        if full && (!proven || self.idle(pass).may_go.is_empty()) {
            return if self.affords(pass, name) {
                Verdict::Unproven(Refusal::MaxMembers)
            } else {
                Verdict::Refused(Refusal::AtomLimit)
            };
        }
        self.worth_an_atom(pass, name, proven)
    }

    /// May the name become an atom? If it isn't one yet, the budget pays here.
    pub(super) fn worth_an_atom(&mut self, pass: &mut Pass<'_, impl Vm>, name: &str, proven: bool) -> Verdict {
        if !self.affords(pass, name) {
            return Verdict::Refused(Refusal::AtomLimit);
        }
        let is_atom = pass.vm.is_atom(name);
        if !is_atom && !proven && !self.trusts(pass) {
            return Verdict::Unproven(Refusal::NoAnswer);
        }
        if !is_atom {
            pass.atoms_made += 1;
            if proven {
                self.budget.spend(pass.now);
            } else {
                self.budget.trust(pass.now, name);
            }
        }
        Verdict::Member { proven }
    }

    /// Is it an atom, or is one left for it?
    fn affords(&self, pass: &Pass<'_, impl Vm>, name: &str) -> bool {
        let room = || pass.vm.atoms_left() > pass.atoms_made && self.budget.has_any(pass.now);
        pass.vm.is_atom(name) || room()
    }

    /// May one more name become an atom before anything has answered there?
    fn trusts(&mut self, pass: &mut Pass<'_, impl Vm>) -> bool {
        // If nothing can be probed, the links are the proof.
        if self.limits.probes && !self.budget.has_half(pass.now) {
            return false;
        }
        if !self.budget.trusts() && !std::mem::replace(&mut pass.settled, true) {
            self.budget.settle(|name| pass.vm.has_answered(name));
            if !self.limits.probes {
                self.budget.forgive(pass.now);
            }
        }
        self.budget.trusts()
    }

    fn idle<'p>(&self, pass: &'p mut Pass<'_, impl Vm>) -> &'p mut Idle {
        let (now, vm) = (pass.now, pass.vm);
        pass.idle.get_or_insert_with(|| {
            let mut idle: Vec<_> = self
                .members
                .iter()
                .filter(|(name, member)| !member.proven && !vm.has_answered(name))
                .map(|(name, member)| (member.missed == 0, member.since, name))
                .collect();
            let any = !idle.is_empty();
            idle.retain(|(_, since, _)| now.saturating_sub(*since) >= GRACE);
            idle.sort_unstable();
            let may_go = idle.into_iter().map(|(_, _, name)| Arc::clone(name)).collect();
            Idle { may_go, any }
        })
    }

    fn admit(&mut self, pass: &mut Pass<'_, impl Vm>, name: &str, proven: bool) {
        let Some(candidate) = self.candidates.remove(name) else {
            return;
        };
        if self.members.len() >= self.limits.max_members
            && let Some(idle) = self.idle(pass).may_go.pop_front()
        {
            self.make_room(&mut pass.changes, &idle);
        }
        let Listed {
            host, mut addresses, ..
        } = candidate.node;
        addresses.sort_unstable();
        addresses.dedup();
        let addresses = match &host {
            Some(host) => {
                // What the other members on the host have learned since is newer.
                if candidate.seen < pass.now && self.hosts.has(host) {
                    addresses.clear();
                }
                let (addresses, other) = self.hosts.locate(host, addresses);
                pass.changes.reread |= other;
                self.hosts.retain(host);
                addresses
            }
            None => addresses.into(),
        };
        let member = Member {
            host,
            addresses,
            sources: candidate.sources,
            missed: candidate.missed,
            absent: 0,
            missing_since: None,
            withdrawn: false,
            since: pass.now,
            proven,
        };
        // Answers may have dropped it while it waited.
        self.missing += usize::from(member.missed != 0);
        let key = Arc::from(name);
        if let Some(picks) = &mut self.picks {
            picks.join(&key);
        }
        self.members.insert(key, member);
        pass.changes.added.push(name.to_owned());
    }

    /// Evicts a member that has never answered. Known answers, which aren't read again, may still list it.
    fn make_room(&mut self, changes: &mut Changes, name: &str) {
        let Some((key, member)) = self.members.remove_entry(name) else {
            return;
        };
        if let Some(picks) = &mut self.picks {
            picks.leave(&key);
            self.candidates.remove(name);
        }
        changes.expired.push(name.to_owned());
        changes.reread = true;
        if let Some(host) = member.host
            && self.hosts.release(&host)
        {
            changes.gone.push(host);
        }
    }
}

#[cfg(test)]
mod tests;
