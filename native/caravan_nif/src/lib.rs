//! Caravan's native library: node names, DNS look-ups and membership for clusters without epmd.
//!
//! Arrows point down only: the border (`nif`, `terms`) -> IO (`runtime`, `discovery`, `resolver`) -> the pure parts.

pub mod addresses;
pub mod discovery;
pub mod endpoint;
pub mod error;
pub mod membership;
pub mod node_name;
pub mod resolver;

// The VM has the functions these call; a test binary has not.
#[cfg(not(test))]
mod nif;
#[cfg(not(test))]
mod runtime;
#[cfg(not(test))]
mod specs;
#[cfg(not(test))]
mod terms;
