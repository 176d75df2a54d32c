//! Probes names that aren't members yet: one that answers is worth an atom.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Discovery, START};
use crate::membership::{Changes, Vm};
use crate::probe;

/// How many probes of a topology are under way at once.
const MAX_AT_ONCE: usize = 32;

const PATIENCE: Duration = Duration::from_secs(2);

/// Hosts that answer within this time of each other become members together.
const TOGETHER: Duration = Duration::from_millis(20);

/// After this long, the VM's atom count is out of date.
const STALE: Duration = Duration::from_secs(5);

/// A topology's probes; dropping this ends them.
#[derive(Debug, Default)]
pub(super) struct Probes {
    under_way: Mutex<JoinSet<(String, bool)>>,
    more: Notify,
}

impl Probes {
    /// Set when there may be more to probe.
    pub(super) fn more(&self) {
        self.more.notify_waiters();
    }
}

/// What probes and links have changed.
pub struct AdmissionReport {
    /// The members now.
    pub members: usize,
    /// New members, and those that made room for them.
    pub changes: Changes,
    /// How many names still wait for a probe.
    pub waiting: usize,
}

impl Discovery {
    /// Probes the waiting names, until some have answered or none is left. Probes still under way then continue.
    pub async fn probe_candidates(&self, vm: &impl Vm) -> AdmissionReport {
        let mut under_way = self.probes.under_way.lock().await;
        let begun = Instant::now();
        loop {
            let more = self.probes.more.notified();
            self.fill(&mut under_way);
            let first = tokio::select! {
                ended = under_way.join_next() => ended,
                () = more => continue,
            };
            let Some(first) = first else {
                return self.probed(&[], &under_way, vm);
            };
            let mut ended = Vec::from_iter(first.ok());
            if ended.iter().any(|(_, answered)| *answered) {
                sleep(TOGETHER).await;
                while let Some(next) = under_way.try_join_next() {
                    ended.extend(next.ok());
                }
            }
            let report = self.probed(&ended, &under_way, vm);
            if !report.changes.is_silent() || begun.elapsed() >= STALE {
                return report;
            }
        }
    }

    fn fill(&self, under_way: &mut JoinSet<(String, bool)>) {
        while under_way.len() < MAX_AT_ONCE {
            let Some(candidate) = self.state().membership.next_probe() else {
                return;
            };
            under_way.spawn(async move {
                let is_there = probe::is_there(&candidate.name, &candidate.addresses, PATIENCE).await;
                (candidate.name, is_there)
            });
        }
    }

    fn probed(&self, ended: &[(String, bool)], under_way: &JoinSet<(String, bool)>, vm: &impl Vm) -> AdmissionReport {
        let mut state = self.state();
        let changes = state.membership.probed(START.elapsed(), ended, vm);
        self.apply(&mut state, &changes);
        AdmissionReport {
            members: state.membership.len(),
            waiting: state.membership.due() + under_way.len(),
            changes,
        }
    }
}
