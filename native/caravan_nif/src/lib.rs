//! Caravan's native library: node names, DNS look-ups and membership for clusters without epmd.
//!
//! Arrows point down only: the border (`nif`, `terms`, `specs`, `text`, `vm`) -> IO (`runtime`, `discovery`, `resolver`) -> the pure parts.

pub mod address_book;
pub mod addresses;
pub mod discovery;
pub mod endpoint;
pub mod epmd;
pub mod error;
pub mod handshake;
pub mod identify;
pub mod linked;
pub mod machine;
pub mod membership;
pub mod naming;
pub mod node_name;
pub mod places;
pub mod probe;
pub mod pulse;
pub mod recent;
pub mod resolver;
pub mod settings;
pub mod sockets;
pub mod standing;
pub(crate) mod target;
pub mod template;
pub mod tools;

// The VM has the functions these call; a test binary and a fuzzer have not.
#[cfg(not(any(test, fuzzing)))]
mod nif;
#[cfg(not(any(test, fuzzing)))]
mod runtime;
#[cfg(not(any(test, fuzzing)))]
mod specs;
#[cfg(not(any(test, fuzzing)))]
mod terms;
#[cfg(not(any(test, fuzzing)))]
mod text;
#[cfg(not(any(test, fuzzing)))]
mod vm;
