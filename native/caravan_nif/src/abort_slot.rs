//! A place for the handle that ends some work, for who may want to end it before the handle is there.

use std::mem;
use std::sync::PoisonError;

use crate::sync::Mutex;

/// Holds a handle until the work has to end.
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

    /// Puts the handle in. It comes back where the work has to end already: whoever put it in has to use it.
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

    /// The work has to end, now or as soon as there is a handle. Gives the handle to whoever asks first.
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
