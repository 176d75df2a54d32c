//! The nodes that this VM has ever been linked with, whoever made the link. Kept for the VM's life, not for a
//! topology's: a topology that starts again must not forget whom this node has lost.
//!
//! Names that are noted here are atoms of the VM already, so they are bounded as those are.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use once_cell::sync::Lazy;

static LINKED: Lazy<RwLock<HashSet<Box<str>>>> = Lazy::new(RwLock::default);

/// Notes that a link to the node exists.
pub fn note(name: &str) {
    if !has_been(name) {
        LINKED
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into());
    }
}

/// Has this VM ever been linked with the node? Where it isn't now, the node was lost.
pub fn has_been(name: &str) -> bool {
    LINKED
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_linked_once_stays_known() {
        assert!(!has_been("linked-4370@n1.test"));
        note("linked-4370@n1.test");
        note("linked-4370@n1.test");
        assert!(has_been("linked-4370@n1.test"));
        assert!(!has_been("linked-4370@n2.test"));
    }
}
