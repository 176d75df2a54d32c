//! Which topologies of this VM want which node, so that none disconnects a peer that another one wants.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use once_cell::sync::Lazy;

static HOLDERS: Lazy<RwLock<HashMap<Box<str>, Vec<u64>>>> = Lazy::new(RwLock::default);

/// Records that the topology wants these nodes from now on.
pub fn retain<'a>(topology: u64, names: impl IntoIterator<Item = &'a str>) {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return;
    }
    let mut holders = HOLDERS.write().unwrap_or_else(PoisonError::into_inner);
    for name in names {
        let topologies = holders.entry(name.into()).or_default();
        if !topologies.contains(&topology) {
            topologies.push(topology);
        }
    }
}

/// Records that the topology no longer wants them.
pub fn release<'a>(topology: u64, names: impl IntoIterator<Item = &'a str>) {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return;
    }
    let mut holders = HOLDERS.write().unwrap_or_else(PoisonError::into_inner);
    for name in names {
        if let Some(topologies) = holders.get_mut(name) {
            topologies.retain(|other| *other != topology);
            if topologies.is_empty() {
                holders.remove(name);
            }
        }
    }
}

/// Whether a topology other than this one wants the node.
pub fn held_by_others(topology: u64, name: &str) -> bool {
    HOLDERS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
        .is_some_and(|topologies| topologies.iter().any(|other| *other != topology))
}

#[cfg(test)]
mod tests;
