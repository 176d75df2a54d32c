//! The task that hands over what waits too long, and closes idle sockets.

use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::pools;
use super::slots::SWEEP;

static QUESTION: Notify = Notify::const_new();

/// What the task does; changed with the pools locked.
#[derive(Default, PartialEq, Eq)]
pub(super) enum Sweeper {
    /// There is none, and no socket is open.
    #[default]
    Ended,
    /// It looks for silent questions.
    Sweeping,
    /// Nothing is pending: the next question wakes it.
    Resting,
}

impl Sweeper {
    /// To be called for each new socket.
    pub(super) fn start(&mut self, runtime: &Handle) {
        if *self == Self::Ended {
            *self = Self::Sweeping;
            runtime.spawn(sweep());
        }
    }

    /// To be called for each new question.
    pub(super) fn wake(&mut self) {
        if *self == Self::Resting {
            *self = Self::Sweeping;
            QUESTION.notify_one();
        }
    }
}

async fn sweep() {
    let mut rest = Some(SWEEP);
    while let Some(longest) = rest {
        let _ = timeout(longest, QUESTION.notified()).await;
        let now = Instant::now();
        let mut silent = Vec::new();
        rest = {
            let mut pools = pools();
            for pool in pools.servers.values_mut() {
                let overdue = pool.slots.sweep(now);
                pool.answers &= overdue.is_empty();
                silent.extend(overdue);
            }
            let rest = pools.servers.values().filter_map(|pool| pool.slots.rest(now)).min();
            pools.sweeper = match rest {
                None => Sweeper::Ended,
                Some(SWEEP) => Sweeper::Sweeping,
                Some(_) => Sweeper::Resting,
            };
            rest
        };
        for request in silent {
            request.unfinished(None);
        }
    }
}
