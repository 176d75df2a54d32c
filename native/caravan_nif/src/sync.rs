//! The locks behind what threads share. The models that `bin/loom` runs put loom's in their place: these try every
//! order in which threads can meet.

#[cfg(all(test, caravan_loom))]
pub(crate) use loom::sync::{Mutex, RwLock};
#[cfg(not(all(test, caravan_loom)))]
pub(crate) use std::sync::{Mutex, RwLock};
