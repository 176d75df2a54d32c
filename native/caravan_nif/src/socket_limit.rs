//! Limits the sockets open at once, since the VM needs file descriptors for its own files and links, too. Probes get
//! half of them, so that lookups don't wait for dead peers, and sockets that stay open a quarter.

use std::fs;

use once_cell::sync::Lazy;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// The maximum, however many descriptors the process may have.
const MAX_SOCKETS: usize = 4_096;

/// The minimum, however few it may have; also used if the number is unknown.
const MIN_SOCKETS: usize = 64;

/// All permits, the probes' share of them, and that of sockets that stay open.
static PERMITS: Lazy<[Semaphore; 3]> = Lazy::new(|| {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // Windows limits its handles by memory only.
    let bound = if cfg!(windows) { MAX_SOCKETS } else { bound(&limits) };
    [bound, bound / 2, bound / 4].map(Semaphore::new)
});

/// A permit for one more socket. Waits for at most half of the time left: the rest is for the caller, to report that
/// there was none.
pub async fn permit(deadline: Instant) -> Option<SemaphorePermit<'static>> {
    let [all, ..] = &*PERMITS;
    timeout_at(half(deadline), all.acquire()).await.ok()?.ok()
}

/// A permit for a probe's socket; waits in the same way.
pub async fn probe_permit(deadline: Instant) -> Option<[SemaphorePermit<'static>; 2]> {
    let [all, probes, _] = &*PERMITS;
    let until = half(deadline);
    let probe = timeout_at(until, probes.acquire()).await.ok()?.ok()?;
    Some([timeout_at(until, all.acquire()).await.ok()?.ok()?, probe])
}

fn half(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

/// A permit for a socket that is useful but not required, if there is one.
pub fn try_permit() -> Option<SemaphorePermit<'static>> {
    let [all, ..] = &*PERMITS;
    all.try_acquire().ok()
}

/// A permit for a socket that stays open for the next question, if there is one. Nobody should wait for idle ones, so
/// their share is small.
pub fn try_kept_permit() -> Option<[SemaphorePermit<'static>; 2]> {
    let [all, _, kept] = &*PERMITS;
    Some([kept.try_acquire().ok()?, all.try_acquire().ok()?])
}

/// A quarter of the descriptors that the process may have (`ulimit -n`), according to Linux.
fn bound(limits: &str) -> usize {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|numbers| numbers.split_whitespace().next())
        .map_or(MIN_SOCKETS, |soft| {
            soft.parse().map_or(MAX_SOCKETS, |soft: usize| soft / 4)
        })
        .clamp(MIN_SOCKETS, MAX_SOCKETS)
}

#[cfg(test)]
mod tests;
