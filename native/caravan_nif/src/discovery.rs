//! One topology's discovery: looks up queries, turns endpoints into node names, and updates the membership and the
//! address book.

mod config;
mod probing;
mod source;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use once_cell::sync::Lazy;

use crate::address_book;
use crate::address_book::Owner;
use crate::error::Error;
use crate::membership::{Changes, Limits, Listing, Membership, Reach, Vm};
use crate::naming::{Mismatch, Naming, NodeNames};
use crate::node_refs;
use crate::resolver::{Lookup, Missing};

pub use self::config::{DiscoveryConfig, OwnIdentity};
pub use self::probing::AdmissionReport;
use self::probing::Probes;
pub use self::source::Source;

static START: Lazy<Instant> = Lazy::new(Instant::now);
static NEXT_OWNER: AtomicU64 = AtomicU64::new(0);

/// A topology's membership, and what feeds it.
pub struct Discovery {
    queries: Vec<String>,
    source: Source,
    naming: Naming,
    long_names: Option<bool>,
    bound: Option<IpAddr>,
    /// How the options conflict with this node's name.
    pub mismatch: Option<Mismatch>,
    state: Mutex<State>,
    probes: Probes,
    owner: Owner,
}

struct State {
    membership: Membership,
    /// The last answer of each query, if nothing in it was refused.
    known: Vec<Option<Known>>,
}

/// An answer that the membership already holds.
struct Known {
    digest: u64,
    self_name: String,
    endpoints: usize,
    unresolved: Vec<String>,
    itself: Vec<String>,
}

/// What one poll found and changed.
pub struct PollReport {
    /// The lookup.
    pub lookup: Lookup,
    /// How many endpoints it found.
    pub endpoints: usize,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
    /// The names in it that lead to this node.
    pub itself: Vec<String>,
    /// What it changed.
    pub changes: Changes,
    /// The members now.
    pub members: usize,
    /// How many names could become members soon and wait: for a probe or, if nothing can be probed, for links.
    pub waiting: usize,
}

impl Discovery {
    /// An empty membership.
    ///
    /// # Errors
    /// Those of [`DiscoveryConfig::check`].
    pub fn new(config: DiscoveryConfig, own: &OwnIdentity) -> Result<Self, Error> {
        let naming = config.naming(&own.name)?;
        let membership = Membership::new(Limits {
            expire_after: config.expire_after,
            withdraw_after: config.withdraw_after,
            max_members: config.max_members,
            probes: own.probes,
        });
        let membership = match config.links {
            Some(links) => membership.with_picks(&own.name, links),
            None => membership,
        };
        let state = State {
            membership,
            known: config.queries.iter().map(|_| None).collect(),
        };
        Ok(Self {
            queries: config.queries,
            owner: Owner {
                id: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
                bound: !naming.allow.is_empty(),
            },
            mismatch: config.source.mismatch(&naming, &own.name),
            naming,
            long_names: own.long_names,
            bound: own.bound,
            source: config.source,
            state: Mutex::new(state),
            probes: Probes::default(),
        })
    }

    /// Query number `index`; empty if there is none.
    pub fn query(&self, index: u32) -> &str {
        self.queries.get(index as usize).map_or("", String::as_str)
    }

    /// Asks query number `index` and applies the answer; a failure changes nothing.
    ///
    /// # Errors
    /// Those of a lookup.
    pub async fn poll(&self, index: u32, self_name: &str, vm: &impl Vm) -> Result<PollReport, Error> {
        let place = index as usize;
        let (lookup, names) = self.find(index, self_name).await.inspect_err(|_| self.failed(index))?;
        let mut state = self.state();
        let now = START.elapsed();
        let State { membership, known } = &mut *state;
        let (changes, endpoints, unresolved, itself) = match (names, known.get(place)) {
            (None, Some(Some(known))) if lookup.digest == Some(known.digest) => (
                membership.again(now, index, vm),
                known.endpoints,
                known.unresolved.clone(),
                known.itself.clone(),
            ),
            // A poll that started later has ended before this one: the known answer is outdated, and nothing was read.
            (None, _) => (Changes::default(), 0, Vec::new(), Vec::new()),
            (Some(names), _) => {
                let NodeNames {
                    listed,
                    refused,
                    itself,
                } = names;
                let answer = Listing {
                    query: index,
                    listed,
                    incomplete: match lookup.incomplete {
                        Some(Missing::Records(_)) => true,
                        Some(Missing::Addresses(_)) => self.naming.needs_addresses(),
                        None => false,
                    },
                };
                let mut changes = membership.answer(now, answer, self_name, vm);
                changes.refused.extend(refused);
                // Refused or waiting names may find room later, and what seems to be this node by its address may
                // turn out to be another.
                let accepted = lookup.incomplete.is_none()
                    && itself.iter().all(|name| name == self_name)
                    && changes.refused.is_empty()
                    && changes.waiting == 0
                    && lookup.refused.count == 0;
                let learnt = lookup.digest.filter(|_| accepted).map(|digest| Known {
                    digest,
                    self_name: self_name.to_owned(),
                    endpoints: lookup.endpoints.len(),
                    unresolved: lookup.unresolved.clone(),
                    itself: itself.clone(),
                });
                if let Some(known) = known.get_mut(place) {
                    *known = learnt;
                }
                let unresolved = lookup.unresolved.clone();
                (changes, lookup.endpoints.len(), unresolved, itself)
            }
        };
        self.apply(&mut state, &changes);
        self.probes.more();
        Ok(PollReport {
            lookup,
            endpoints,
            unresolved,
            members: state.membership.len(),
            waiting: state.membership.waiting(&changes),
            itself,
            changes,
        })
    }

    fn failed(&self, index: u32) {
        // There is no such query. That is an error, too.
        if (index as usize) < self.queries.len() {
            self.state().membership.failed(index);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, state: &mut State, changes: &Changes) {
        if changes.reread {
            state.known.fill_with(|| None);
        }
        let here = changes.added.iter().chain(&changes.moved);
        let found = here.filter_map(|name| match state.membership.location(name)? {
            (Some(host), addresses) if !addresses.is_empty() => Some((host, addresses)),
            _ => None,
        });
        address_book::update(self.owner, &changes.gone, found);
        // A name that both came and went is gone.
        let wanted = changes.added.iter().chain(&changes.returned);
        node_refs::retain(self.owner.id, wanted.map(String::as_str));
        let unwanted = changes.expired.iter().chain(&changes.withdrawn);
        node_refs::release(self.owner.id, unwanted.map(String::as_str));
    }

    /// Takes in what has become of nodes. Changes nothing unless this node picks its links.
    pub fn reach(&self, heard: &[(String, Reach)], vm: &impl Vm) -> AdmissionReport {
        let mut state = self.state();
        let changes = state.membership.reach(START.elapsed(), heard, vm);
        self.apply(&mut state, &changes);
        self.probes.more();
        AdmissionReport {
            members: state.membership.len(),
            waiting: state.membership.waiting(&changes),
            changes,
        }
    }

    /// Is the node a member of another topology of this VM?
    pub fn others_want(&self, name: &str) -> bool {
        node_refs::held_by_others(self.owner.id, name)
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        address_book::remove_owner(self.owner);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        node_refs::release(self.owner.id, state.membership.names());
    }
}

#[cfg(test)]
mod tests;
