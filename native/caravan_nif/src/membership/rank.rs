//! How a node ranks members. Whom it picks to link with follows from that alone. Pure.
//!
//! A rank is fixed forever: nodes of different releases agree on it. Any change here changes the links of every cluster
//! that is upgraded.
//!
//! - `hash(name)` is the 64-bit FNV-1a of the name's bytes.
//! - `mix` is the finalizer of SplitMix64.
//! - `rank(node, member)` is `mix(mix(hash(node)) ^ hash(member))`; the highest is the best. Members whose hashes are
//!   equal go by name.
//!
//! The two names play different parts on purpose: each node has an order of its own, so its picks are `n` random members,
//! and all picks together make a random graph. If a pair ranked the same in both directions, nodes would mostly pick
//! each other: a third fewer links, and longer paths.

/// A node's name, hashed once. From here, ranking it or ranking others for it takes a few instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameHash(u64);

impl NameHash {
    pub(super) fn of(name: &str) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        Self(name.bytes().fold(OFFSET, step))
    }
}

/// How `node` ranks `member`.
pub(super) fn rank(node: NameHash, member: NameHash) -> u64 {
    mix(mix(node.0) ^ member.0)
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
