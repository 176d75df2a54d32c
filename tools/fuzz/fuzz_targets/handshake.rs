//! Any bytes as the other end of a handshake: an end to it, or more to wait for, and nothing unreadable. The first byte
//! says in what pieces the others come, and whether there is a cookie to compare.

#![no_main]

use caravan_nif::ask::interview::{Interview, Move};
use caravan_nif::handshake::conversation::Finding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let cookie = (how & 1 == 1).then(|| b"secret".to_vec());
    let (mut interview, hello) = Interview::begin("app-3434@host", cookie);
    assert_eq!(hello.len(), 2 + usize::from(u16::from_be_bytes([hello[0], hello[1]])));
    for piece in bytes.chunks(usize::from(how).max(1)) {
        match interview.received(piece) {
            Move::Wait => {}
            Move::Send(proof) => assert_eq!(proof.len(), 2 + 1 + 4 + 16),
            Move::End(finding) => return readable(&finding),
        }
    }
    readable(&interview.timed_out());
    readable(&interview.closed());
});

/// What was found ends up in a log.
fn readable(finding: &Finding) {
    match finding {
        Finding::Node(node, _) => assert!(!node.name.contains(|char: char| char.is_control())),
        Finding::NotErlang(banner) => assert!(banner.len() <= 80),
        _ => {}
    }
}
