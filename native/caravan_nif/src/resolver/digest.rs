//! An answer's content as one number: the same for the same records in any order and with any TTL. Pure.
//!
//! Most polls find the same as the poll before. Then the records need not be parsed and compared one by one.

use std::hash::{BuildHasher, Hasher, RandomState};

use once_cell::sync::Lazy;

use super::format::{A, AAAA, CNAME, HEADER, OPT, SRV};

/// Random, so that nobody can make two answers with one digest.
static KEYS: Lazy<RandomState> = Lazy::new(RandomState::new);

/// The most pointers followed in one name; nobody needs more than one or two.
const MAX_POINTERS: usize = 8;

/// The digest of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    /// Of the question and of the records that endpoints are made of.
    pub(super) value: u64,
    /// The lowest of those records' TTLs.
    pub(super) ttl: u32,
}

/// The digest of an answer with records; `None` for any other, and for one that needs a careful look.
pub(super) fn digest(bytes: &[u8]) -> Option<Digest> {
    let [questions, answers, authorities, additionals] = [4, 6, 8, 10].map(|at| number(bytes, at).unwrap_or(0));
    let failed = bytes.get(3)? & 0b1111 != 0;
    if failed || questions != 1 || answers == 0 {
        return None;
    }
    let mut hasher = KEYS.build_hasher();
    let mut at = name(bytes, HEADER, &mut hasher)?;
    hasher.write(bytes.get(at..at + 4)?);
    at += 4;
    let mut digest = Digest {
        value: hasher.finish(),
        ttl: u32::MAX,
    };
    for (section, count) in [answers, authorities, additionals].into_iter().enumerate() {
        for _ in 0..count {
            at = record(bytes, at, section, &mut digest)?;
        }
    }
    Some(digest)
}

/// Hashes one record; returns where the next one begins.
fn record(bytes: &[u8], at: usize, section: usize, digest: &mut Digest) -> Option<usize> {
    let mut hasher = KEYS.build_hasher();
    hasher.write_usize(section);
    let at = name(bytes, at, &mut hasher)?;
    let kind = number(bytes, at)?;
    let ttl = u32::from_be_bytes(*bytes.get(at + 4..)?.first_chunk()?);
    let start = at + 10;
    let end = start + usize::from(number(bytes, at + 8)?);
    let data = bytes.get(start..end)?;
    // Its class, too.
    hasher.write(bytes.get(at..at + 4)?);
    match kind {
        A | AAAA => hasher.write(data),
        SRV => {
            hasher.write(data.get(..6)?);
            (name(bytes, start + 6, &mut hasher)? == end).then_some(())?;
        }
        CNAME => (name(bytes, start, &mut hasher)? == end).then_some(())?,
        // The upper bits of a response code other than "no error".
        OPT if ttl >> 24 != 0 => return None,
        _ => return Some(end),
    }
    digest.value = digest.value.wrapping_add(hasher.finish());
    digest.ttl = digest.ttl.min(ttl);
    Some(end)
}

/// Hashes a name, following its pointers; returns where it ends.
fn name(bytes: &[u8], start: usize, hasher: &mut impl Hasher) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    let mut label = start;
    let mut pointers = 0;
    loop {
        let length = *bytes.get(at)?;
        match length {
            0 => {
                hasher.write_u8(0);
                return end.or(Some(at + 1));
            }
            1..=63 => {
                let next = at + 1 + usize::from(length);
                hasher.write(bytes.get(at..next)?);
                at = next;
            }
            0b1100_0000.. if pointers < MAX_POINTERS => {
                pointers += 1;
                end = end.or(Some(at + 2));
                at = usize::from(number(bytes, at)? & 0x3fff);
                // It must point to a prior occurrence (RFC 1035, 4.1.4); hickory accepts no other either.
                if at >= label {
                    return None;
                }
                label = at;
            }
            _ => return None,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
