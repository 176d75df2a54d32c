//! A bound on the requests under way. Probes have a share of it, so that look-ups always find a place.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests under way at once, look-ups and probes together; each holds a few sockets at the most.
pub const MOST: usize = 2_048;

/// The share of probes.
pub const PROBES: usize = 1_024;

static ALL: Semaphore = Semaphore::const_new(MOST);
static PROBING: Semaphore = Semaphore::const_new(PROBES);

/// A place among the requests under way.
#[derive(Debug)]
pub struct Place {
    _one: SemaphorePermit<'static>,
    _probe: Option<SemaphorePermit<'static>>,
}

/// A place for a look-up, if there is one.
pub fn for_lookup() -> Option<Place> {
    Some(Place {
        _one: ALL.try_acquire().ok()?,
        _probe: None,
    })
}

/// A place for a probe, if there is one.
pub fn for_probe() -> Option<Place> {
    let probe = PROBING.try_acquire().ok()?;
    Some(Place {
        _one: ALL.try_acquire().ok()?,
        _probe: Some(probe),
    })
}

/// A place for a probe that can wait for one.
pub async fn await_for_probe() -> Option<Place> {
    let probe = PROBING.acquire().await.ok()?;
    Some(Place {
        _one: ALL.acquire().await.ok()?,
        _probe: Some(probe),
    })
}

#[cfg(test)]
mod tests;
