//! Which topologies of this node stand behind which node: none disconnects a peer that another one wants.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use once_cell::sync::Lazy;

static BEHIND: Lazy<RwLock<HashMap<Box<str>, Vec<u64>>>> = Lazy::new(RwLock::default);

/// A topology, known by its number, stands behind the nodes from now on.
pub fn enter<'a>(topology: u64, names: impl IntoIterator<Item = &'a String>) {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return;
    }
    let mut behind = BEHIND.write().unwrap_or_else(PoisonError::into_inner);
    for name in names {
        let topologies = behind.entry(name.as_str().into()).or_default();
        if !topologies.contains(&topology) {
            topologies.push(topology);
        }
    }
}

/// It doesn't any more.
pub fn leave<'a>(topology: u64, names: impl IntoIterator<Item = &'a String>) {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return;
    }
    let mut behind = BEHIND.write().unwrap_or_else(PoisonError::into_inner);
    for name in names {
        if let Some(topologies) = behind.get_mut(name.as_str()) {
            topologies.retain(|other| *other != topology);
            if topologies.is_empty() {
                behind.remove(name.as_str());
            }
        }
    }
}

/// Does a topology other than this one stand behind the node?
pub fn others(topology: u64, name: &str) -> bool {
    BEHIND
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
        .is_some_and(|topologies| topologies.iter().any(|other| *other != topology))
}

#[cfg(test)]
mod tests;
