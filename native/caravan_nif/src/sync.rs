//! The locks around what threads share. The models that `bin/loom` runs replace them with loom's, which try every
//! interleaving of the threads.

#[cfg(all(test, caravan_loom))]
pub(crate) use loom::sync::{Mutex, RwLock};
#[cfg(not(all(test, caravan_loom)))]
pub(crate) use std::sync::{Mutex, RwLock};
