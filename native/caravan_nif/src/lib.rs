//! Caravan's native library: node names, DNS lookups and membership for clusters without epmd.
//!
//! Dependencies point down only: the border (`nif`) -> IO (`ask`, `discovery`, `probe`, `resolver`) -> the pure parts.

pub mod abort_slot;
pub mod address_book;
pub mod ask;
pub mod discovery;
pub mod endpoint;
pub mod epmd;
pub mod error;
pub mod exec;
pub mod expiring_set;
pub mod handshake;
pub mod known_nodes;
pub mod local_host;
pub mod membership;
pub mod naming;
pub mod node_name;
pub mod node_refs;
pub mod probe;
pub mod request_limit;
pub mod resolver;
pub mod scan;
pub mod settings;
pub mod socket_limit;
pub(crate) mod sync;
pub mod target;
pub mod template;
pub mod tools;

// The VM provides the functions that these call; a test binary or a fuzzer doesn't.
#[cfg(not(any(test, fuzzing)))]
mod nif;
