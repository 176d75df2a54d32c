//! A slot for the handle that aborts a task, for a caller that may want to abort it before the handle exists.

use std::mem;
use std::sync::PoisonError;

use crate::sync::Mutex;

/// Holds a handle until the task has to end.
pub struct AbortSlot<T>(Mutex<State<T>>);

enum State<T> {
    Empty,
    Holds(T),
    Aborted,
}

impl<T> AbortSlot<T> {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(State::Empty))
    }

    /// Stores the handle. It is returned if the task already has to end: then the caller has to use it.
    #[must_use]
    pub fn put(&self, handle: T) -> Option<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Aborted => Some(handle),
            _ => {
                *state = State::Holds(handle);
                None
            }
        }
    }

    /// Requests the end of the task, now or as soon as there is a handle. Returns the handle to the first caller.
    #[must_use]
    pub fn abort(&self) -> Option<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *state, State::Aborted) {
            State::Holds(handle) => Some(handle),
            State::Empty | State::Aborted => None,
        }
    }
}

impl<T> Default for AbortSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, caravan_loom))]
mod models;
