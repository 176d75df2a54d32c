//! The nodes that this VM has ever been linked with, whoever made the link, and those that have answered a probe. Kept
//! for the life of the VM, not of a topology: a restarted topology must not forget which nodes were lost.
//!
//! The names here are atoms of the VM already, so they are limited like those.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use once_cell::sync::Lazy;

type Names = Lazy<RwLock<HashSet<Box<str>>>>;

static LINKED: Names = Lazy::new(RwLock::default);
static ANSWERED: Names = Lazy::new(RwLock::default);

/// Records that a link to the node exists.
pub fn note_link(name: &str) {
    insert(&LINKED, name);
}

/// Records that the node has answered a probe.
pub fn note_answer(name: &str) {
    insert(&ANSWERED, name);
}

/// Whether this VM was ever linked with the node. If it isn't now, the node was lost.
pub fn was_linked(name: &str) -> bool {
    contains(&LINKED, name)
}

/// Whether the node was ever there: linked, or answering a probe.
pub fn has_answered(name: &str) -> bool {
    was_linked(name) || contains(&ANSWERED, name)
}

fn contains(names: &Names, name: &str) -> bool {
    names.read().unwrap_or_else(PoisonError::into_inner).contains(name)
}

fn insert(names: &Names, name: &str) {
    if !contains(names, name) {
        names
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into());
    }
}

#[cfg(test)]
mod tests;
