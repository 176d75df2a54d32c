//! What nodes can do, and must be able to do, as flags (`dist.hrl`). Pure.

/// The flags that a node must have since OTP 25; the digest stands for all of them.
const MANDATORY_25: u64 = 0x4 | 0x10 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x2_0000 | 0x4_0000;
const MANDATORY_25_DIGEST: u64 = 0x400_0000;

/// Those that OTP 26 added: `DFLAG_UNLINK_ID` and `DFLAG_V4_NC`. A node rejects and logs a peer without them.
const MANDATORY_26: u64 = 0x200_0000 | (0x4 << 32);

const HANDSHAKE_23: u64 = 0x100_0000;

/// Ours: what any OTP release from 23 to 29 asks of others, and not `DFLAG_PUBLISHED`, so that we are hidden.
pub const OURS: u64 = MANDATORY_25 | MANDATORY_25_DIGEST | MANDATORY_26 | HANDSHAKE_23;

/// Those of a node that isn't hidden.
pub const PUBLISHED: u64 = 0x1;

const NAMES: [(u64, &str); 26] = [
    (PUBLISHED, "PUBLISHED"),
    (0x2, "ATOM_CACHE"),
    (0x4, "EXTENDED_REFERENCES"),
    (0x8, "DIST_MONITOR"),
    (0x10, "FUN_TAGS"),
    (0x20, "DIST_MONITOR_NAME"),
    (0x40, "HIDDEN_ATOM_CACHE"),
    (0x80, "NEW_FUN_TAGS"),
    (0x100, "EXTENDED_PIDS_PORTS"),
    (0x200, "EXPORT_PTR_TAG"),
    (0x400, "BIT_BINARIES"),
    (0x800, "NEW_FLOATS"),
    (0x1000, "UNICODE_IO"),
    (0x2000, "DIST_HDR_ATOM_CACHE"),
    (0x4000, "SMALL_ATOM_TAGS"),
    (0x1_0000, "UTF8_ATOMS"),
    (0x2_0000, "MAP_TAG"),
    (0x4_0000, "BIG_CREATION"),
    (0x8_0000, "SEND_SENDER"),
    (0x10_0000, "BIG_SEQTRACE_LABELS"),
    (0x40_0000, "EXIT_PAYLOAD"),
    (0x80_0000, "FRAGMENTS"),
    (HANDSHAKE_23, "HANDSHAKE_23"),
    (0x200_0000, "UNLINK_ID"),
    (MANDATORY_25_DIGEST, "MANDATORY_25_DIGEST"),
    (0x4 << 32, "V4_NC"),
];

/// What a node with `flags` lacks of those that are `mandatory`.
pub fn missing(flags: u64, mandatory: u64) -> Vec<String> {
    let expanded = if flags & MANDATORY_25_DIGEST == 0 {
        0
    } else {
        MANDATORY_25
    };
    let missing = mandatory & !(flags | expanded);
    (0..u64::BITS)
        .map(|bit| 1 << bit)
        .filter(|flag| missing & flag != 0)
        .map(|flag| {
            let known = NAMES.iter().find(|(value, _)| *value == flag);
            known.map_or_else(|| format!("{flag:#x}"), |(_, name)| (*name).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_digest_stands_for_is_not_missing() {
        assert_eq!(missing(OURS, OURS), Vec::<String>::new());
        assert_eq!(missing(MANDATORY_25_DIGEST, MANDATORY_25), Vec::<String>::new());
        assert_eq!(
            missing(OURS & !0x1_0000 & !MANDATORY_25_DIGEST, MANDATORY_25),
            ["UTF8_ATOMS"]
        );
    }

    #[test]
    fn what_has_no_name_is_missed_as_a_number() {
        assert_eq!(missing(OURS, 0x4 << 32 | 1 << 60), ["0x1000000000000000"]);
        assert_eq!(missing(0, 0x4 << 32), ["V4_NC"]);
    }
}
