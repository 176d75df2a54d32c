//! What the membership asks the VM.

use rustler::{Atom, OwnedEnv};

use crate::known_nodes;
use crate::membership::Vm;

/// The VM, with the number of its atoms and their limit at the time of the call.
pub(crate) struct Beam {
    atoms: usize,
    limit: usize,
}

impl Beam {
    pub(crate) fn new((atoms, limit): (usize, usize)) -> Self {
        Self { atoms, limit }
    }
}

impl Vm for Beam {
    fn is_atom(&self, name: &str) -> bool {
        OwnedEnv::new().run(|env| Atom::existing_from_bytes(env, name.as_bytes()).is_ok())
    }

    fn has_answered(&self, name: &str) -> bool {
        known_nodes::has_answered(name)
    }

    fn atoms_left(&self) -> usize {
        (self.limit - self.limit / 4).saturating_sub(self.atoms)
    }
}
