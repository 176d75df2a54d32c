//! Which sockets to a server are open, and which questions are pending on each. Pure.
//!
//! A socket takes a limited number of questions within a limited time, since an open port can be guessed at (RFC 5452).

use std::time::{Duration, Instant};

/// How many sockets take questions at once. Each has a place, and places are picked at random.
pub(super) const PLACES: usize = 16;

/// How many questions one socket takes. So no more than that are ever pending on it.
pub(super) const MAX_USES: usize = 16;

/// How long a socket takes questions.
pub(super) const MAX_AGE: Duration = Duration::from_secs(10);

/// How often silent questions are looked for, while any is pending.
pub(super) const SWEEP: Duration = Duration::from_millis(25);

/// The sockets `S` to one server, with the requests `R` that are pending on them.
pub(super) struct Slots<S, R>(Vec<Slot<S, R>>);

struct Slot<S, R> {
    key: u64,
    /// `None`: it takes no more questions, and ends with the last one that is pending.
    place: Option<usize>,
    socket: S,
    opened: Instant,
    uses: usize,
    pending: Vec<Pending<R>>,
}

struct Pending<R> {
    id: u16,
    due: Instant,
    request: R,
}

impl<S, R> Slots<S, R> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of the socket at `place`, if it takes one more question. Otherwise the place is free now.
    pub(super) fn usable(&mut self, place: usize, now: Instant) -> Option<u64> {
        let at = self.0.iter().position(|slot| slot.place == Some(place))?;
        let slot = &mut self.0[at];
        if slot.uses < MAX_USES && !slot.is_old(now) {
            return Some(slot.key);
        }
        slot.place = None;
        self.close_if_done(at);
        None
    }

    /// Puts a new socket at `place`; one that is there already takes no more questions.
    pub(super) fn open(&mut self, place: usize, key: u64, socket: S, now: Instant) {
        if let Some(at) = self.0.iter().position(|slot| slot.place == Some(place)) {
            self.0[at].place = None;
            self.close_if_done(at);
        }
        self.0.push(Slot {
            key,
            place: Some(place),
            socket,
            opened: now,
            uses: 0,
            pending: Vec::new(),
        });
    }

    /// Notes `request` as pending, under the first of `ids` that is free on this socket. The request comes back if the
    /// socket takes no more of them.
    pub(super) fn put(
        &mut self,
        key: u64,
        ids: impl Iterator<Item = u16>,
        due: Instant,
        request: R,
    ) -> Result<(u16, &S), R> {
        let open = |slot: &&mut Slot<S, R>| slot.key == key && slot.place.is_some() && slot.uses < MAX_USES;
        let Some(slot) = self.0.iter_mut().find(open) else {
            return Err(request);
        };
        let is_free = |id: &u16| slot.pending.iter().all(|pending| pending.id != *id);
        let Some(id) = ids.take(MAX_USES + 1).find(is_free) else {
            return Err(request);
        };
        slot.uses += 1;
        slot.pending.push(Pending { id, due, request });
        Ok((id, &slot.socket))
    }

    /// The request that an answer with this id, on this socket, belongs to, if `is_answered` by it.
    pub(super) fn take(&mut self, key: u64, id: u16, is_answered: impl Fn(&R) -> bool) -> Option<R> {
        let at = self.0.iter().position(|slot| slot.key == key)?;
        let pending = &mut self.0[at].pending;
        let found = pending
            .iter()
            .position(|pending| pending.id == id && is_answered(&pending.request))?;
        let request = pending.swap_remove(found).request;
        self.close_if_done(at);
        Some(request)
    }

    /// Closes a socket that has failed, and returns what was pending on it.
    pub(super) fn fail(&mut self, key: u64) -> Vec<R> {
        let Some(at) = self.0.iter().position(|slot| slot.key == key) else {
            return Vec::new();
        };
        let slot = self.0.swap_remove(at);
        slot.pending.into_iter().map(|pending| pending.request).collect()
    }

    /// Closes what is too old or has no more to do, and returns the requests that have waited long enough.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<R> {
        let mut overdue = Vec::new();
        for slot in &mut self.0 {
            if slot.is_old(now) {
                slot.place = None;
            }
            let late = slot.pending.extract_if(.., |pending| pending.due <= now);
            overdue.extend(late.map(|pending| pending.request));
        }
        self.0.retain(|slot| !slot.is_done());
        overdue
    }

    /// How long nothing has to be swept, unless another question comes; `None` if no socket is open.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let rest = |slot: &Slot<S, R>| {
            let left = MAX_AGE.saturating_sub(now.duration_since(slot.opened));
            if slot.pending.is_empty() {
                left.max(SWEEP)
            } else {
                SWEEP
            }
        };
        self.0.iter().map(rest).min()
    }

    fn close_if_done(&mut self, at: usize) {
        if self.0[at].is_done() {
            self.0.swap_remove(at);
        }
    }
}

impl<S, R> Slot<S, R> {
    fn is_old(&self, now: Instant) -> bool {
        now.duration_since(self.opened) >= MAX_AGE
    }

    fn is_done(&self) -> bool {
        self.place.is_none() && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests;
