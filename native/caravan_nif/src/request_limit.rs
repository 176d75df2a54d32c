//! Limits the requests under way. Probes have a share of the limit, so that lookups always get a permit.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The most requests under way, lookups and probes together; each holds a few sockets at most.
pub const MAX_REQUESTS: usize = 2_048;

/// The probes' share.
pub const MAX_PROBES: usize = 1_024;

static ALL: Semaphore = Semaphore::const_new(MAX_REQUESTS);
static PROBING: Semaphore = Semaphore::const_new(MAX_PROBES);

/// Permission for one more request; released when dropped.
#[derive(Debug)]
pub struct Permit {
    _one: SemaphorePermit<'static>,
    _probe: Option<SemaphorePermit<'static>>,
}

/// A permit for a lookup, if there is one.
pub fn lookup_permit() -> Option<Permit> {
    Some(Permit {
        _one: ALL.try_acquire().ok()?,
        _probe: None,
    })
}

/// A permit for a probe, if there is one.
pub fn probe_permit() -> Option<Permit> {
    let probe = PROBING.try_acquire().ok()?;
    Some(Permit {
        _one: ALL.try_acquire().ok()?,
        _probe: Some(probe),
    })
}

/// A permit for a probe that can wait for it.
pub async fn wait_for_probe_permit() -> Option<Permit> {
    let probe = PROBING.acquire().await.ok()?;
    Some(Permit {
        _one: ALL.acquire().await.ok()?,
        _probe: Some(probe),
    })
}

#[cfg(test)]
mod tests;
