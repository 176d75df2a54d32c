//! Whom to link with, unless it is everybody: the members that rank best and can be reached. Pure.
//!
//! All others are spares. A spare is a name and its rank here, and nothing in the VM: no atom, no peer, no packet.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::changes::{Changes, Listed, Refusal, Vm};
use super::joining::{Pass, Verdict};
use super::rank::{NameHash, rank};
use super::{Member, Membership};

/// How many names are probed at once.
const PROBED_AT_ONCE: usize = 32;

/// After this many names probed in vain, it must be this node that reaches nobody.
const MOST_IN_VAIN: usize = 1_024;

/// How long a name probed in vain is passed over.
const IN_VAIN: Duration = Duration::from_secs(30);

/// What has become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is linked, whichever side dialed.
    Linked,
    /// Its link is gone.
    Unlinked,
    /// A dial has failed, or the node says that it leaves. It counts as out of reach until it is linked.
    OutOfReach,
}

/// What changed among the members that the VM knows: the picks, and the spares that are linked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LinkChanges {
    /// New picks: to be linked.
    pub picked: Vec<String>,
    /// Members that are no longer picks: no longer to be dialed.
    pub spared: Vec<String>,
    /// Spares that are linked.
    pub linked: Vec<String>,
    /// Those of the members that the VM knows.
    pub expired: Vec<String>,
    /// Those of the members that the VM knows.
    pub withdrawn: Vec<String>,
    /// Those of the members that the VM knows.
    pub moved: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    pick: bool,
    linked: bool,
    out_of_reach: bool,
}

#[derive(Debug)]
pub(super) struct Picks {
    own: NameHash,
    /// How many picks within reach it takes.
    wanted: usize,
    /// All members, best first.
    by_rank: BTreeSet<(Reverse<u64>, Arc<str>)>,
    /// Picks and linked members.
    known: HashMap<Arc<str>, Known>,
    /// Former picks that were out of reach. They must answer a probe before they are picked again: a dial of a peer that
    /// the VM has forgotten would be its first, and its failure in the log again.
    unreached: HashSet<Arc<str>>,
    changes: LinkChanges,
}

impl Picks {
    pub(super) fn new(own: &str, wanted: usize) -> Self {
        Self {
            own: NameHash::of(own),
            wanted,
            by_rank: BTreeSet::new(),
            known: HashMap::new(),
            unreached: HashSet::new(),
            changes: LinkChanges::default(),
        }
    }

    fn place(&self, name: &Arc<str>) -> (Reverse<u64>, Arc<str>) {
        (Reverse(rank(self.own, NameHash::of(name))), Arc::clone(name))
    }

    /// A new member.
    pub(super) fn join(&mut self, name: &Arc<str>) {
        self.by_rank.insert(self.place(name));
    }

    /// No longer a member.
    pub(super) fn leave(&mut self, name: &Arc<str>) {
        self.by_rank.remove(&self.place(name));
        self.unreached.remove(name);
        if self.known.remove(name).is_some() {
            self.changes.expired.push(name.to_string());
        }
    }

    /// A member that answers lack: it is to be disconnected.
    pub(super) fn withdraw(&mut self, name: &Arc<str>) {
        if let Some(known) = self.known.get_mut(name) {
            known.pick = false;
            if !known.linked {
                self.known.remove(name);
            }
            self.changes.withdrawn.push(name.to_string());
        }
    }

    /// It has answered a probe.
    pub(super) fn answered(&mut self, name: &str) {
        self.unreached.remove(name);
    }

    fn hear(&mut self, name: &Arc<str>, what: Reach) {
        if what == Reach::Linked {
            self.unreached.remove(name);
        }
        match (self.known.get_mut(name), what) {
            (Some(known), Reach::Linked) => {
                known.linked = true;
                known.out_of_reach = false;
            }
            (None, Reach::Linked) => {
                let linked = Known {
                    linked: true,
                    ..Known::default()
                };
                self.known.insert(Arc::clone(name), linked);
                self.changes.linked.push(name.to_string());
            }
            (Some(known), Reach::Unlinked) => {
                known.linked = false;
                if !known.pick {
                    self.known.remove(name);
                }
            }
            (Some(known), Reach::OutOfReach) => known.out_of_reach = true,
            (None, Reach::Unlinked | Reach::OutOfReach) => (),
        }
    }

    /// Passes on what an answer changed of the members that the VM knows.
    fn note(&mut self, changes: &Changes) {
        for name in &changes.returned {
            if self.known.contains_key(name.as_str()) {
                self.changes.linked.push(name.clone());
            }
        }
        let known = |name: &&String| self.known.contains_key(name.as_str());
        self.changes.moved.extend(changes.moved.iter().filter(known).cloned());
    }

    /// The picks that aren't among these, best first, and whether they are out of reach.
    fn beyond(&self, chosen: &[Arc<str>]) -> Vec<(Arc<str>, bool)> {
        let others = self
            .known
            .iter()
            .filter(|(name, known)| known.pick && !chosen.contains(name));
        let mut others: Vec<_> = others
            .map(|(name, known)| (self.place(name), known.out_of_reach))
            .collect();
        others.sort_unstable();
        others.into_iter().map(|((_, name), out)| (name, out)).collect()
    }

    /// Makes these the picks.
    fn settle(&mut self, picks: &[Arc<str>]) {
        let known = &mut self.known;
        let before: Vec<Arc<str>> = known
            .iter()
            .filter(|(_, known)| known.pick)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in &before {
            if let Some(known) = known.get_mut(name) {
                known.pick = false;
            }
        }
        for name in picks {
            known.entry(Arc::clone(name)).or_default().pick = true;
        }
        for name in &before {
            if known.get(name).is_some_and(|known| !known.pick) {
                self.changes.spared.push(name.to_string());
            }
        }
        let unreached = &mut self.unreached;
        known.retain(|name, known| {
            let stays = known.pick || known.linked;
            if !stays && known.out_of_reach {
                unreached.insert(Arc::clone(name));
            }
            stays
        });
        let new = picks.iter().filter(|name| !before.contains(name));
        self.changes.picked = new.map(ToString::to_string).collect();
        let picked = &self.changes.picked;
        self.changes.linked.retain(|name| !picked.contains(name));
    }
}

impl Membership {
    /// Lets this node pick `wanted` members to link with, instead of all.
    #[must_use]
    pub fn with_picks(mut self, own: &str, wanted: usize) -> Self {
        self.picks = Some(Picks::new(own, wanted));
        self
    }

    /// Takes in what has become of nodes, which need not be members.
    pub fn reach(&mut self, now: Duration, heard: &[(String, Reach)], vm: &impl Vm) -> Changes {
        let mut pass = Pass::new(now, vm);
        if let Some(picks) = &mut self.picks {
            for (name, what) in heard {
                if let Some((name, _)) = self.members.get_key_value(name.as_str()) {
                    picks.hear(name, *what);
                }
            }
        }
        self.choose(&mut pass);
        pass.changes
    }

    /// Picks again: the best within reach, as many as are wanted. Better ones that are out of reach stay picks, so that
    /// they are dialed again, and take their place once they are back. Once as many are out of reach, the names may be
    /// mostly dead. A dial of each would take long, so from then on, names are probed first, many at once. Until they have
    /// answered, worse picks stay: what isn't known to be there takes nobody's place.
    pub(super) fn choose(&mut self, pass: &mut Pass<'_, impl Vm>) {
        let Some(mut picks) = self.picks.take() else {
            return;
        };
        picks.note(&pass.changes);
        let mut chosen = Vec::new();
        let (mut reachable, mut out_of_reach) = (0, 0);
        let (mut unproven, mut in_vain, mut refused) = (0, 0, false);
        for (_, name) in &picks.by_rank {
            if reachable == picks.wanted || unproven == PROBED_AT_ONCE || in_vain == MOST_IN_VAIN {
                break;
            }
            let Some(member) = self.members.get(name).filter(|member| !member.withdrawn) else {
                continue;
            };
            let known = picks.known.get(name).copied();
            if known.is_none() {
                let unreached = picks.unreached.contains(name);
                let proven = !unreached && (member.proven || pass.has_answered(name));
                let doubtful = self.limits.probes && !proven && (unreached || out_of_reach >= picks.wanted);
                let verdict = if doubtful {
                    Verdict::Unproven(Refusal::NoAnswer)
                } else {
                    self.worth_an_atom(pass, name, proven)
                };
                match verdict {
                    Verdict::Member { .. } => (),
                    Verdict::Unproven(_) => {
                        let may_answer = self.probe_pick(pass, name);
                        unproven += usize::from(may_answer);
                        in_vain += usize::from(!may_answer);
                        continue;
                    }
                    // A worse one may be an atom already.
                    Verdict::Refused(reason) => {
                        if !mem::replace(&mut refused, true) {
                            pass.changes.refused.push((name.to_string(), reason));
                        }
                        in_vain += 1;
                        continue;
                    }
                }
            }
            let out = known.is_some_and(|known| known.out_of_reach);
            out_of_reach += usize::from(out);
            reachable += usize::from(!out);
            chosen.push(Arc::clone(name));
        }
        for (name, out) in picks.beyond(&chosen) {
            if reachable == picks.wanted {
                break;
            }
            reachable += usize::from(!out);
            chosen.push(name);
        }
        if unproven > 0 {
            self.candidates.tidy(pass.now, self.limits.expire_after);
        }
        picks.settle(&chosen);
        pass.changes.links = Some(mem::take(&mut picks.changes));
        self.picks = Some(picks);
    }

    /// Has a name probed, unless it was a while ago, or is being probed. Returns whether it may still answer.
    fn probe_pick(&mut self, pass: &mut Pass<'_, impl Vm>, name: &Arc<str>) -> bool {
        let Some(member) = self.members.get(name) else {
            return false;
        };
        if !self.limits.probes {
            pass.changes.waiting += 1;
            return true;
        }
        match self.candidates.get(name) {
            Some(candidate) if !candidate.in_vain() => return true,
            Some(candidate) if pass.now.saturating_sub(candidate.seen) < IN_VAIN => return false,
            _ => (),
        }
        let Member {
            host,
            addresses,
            sources,
            ..
        } = member;
        let node = Listed {
            name: name.to_string(),
            host: host.clone(),
            addresses: addresses.to_vec(),
        };
        self.candidates.see(pass.now, *sources, node);
        self.candidates.want_probe(name);
        true
    }
}

#[cfg(test)]
mod tests;
