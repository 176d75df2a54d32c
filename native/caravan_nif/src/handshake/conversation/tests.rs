use proptest::prelude::*;

use super::*;
use crate::handshake::framed;

const OK: &[u8] = b"\0\x03sok";

fn challenge() -> Vec<u8> {
    framed(b"N\0\0\0\0\0\0\0\x01\0\0\0\x2a\0\0\0\x07\0\x03x@y")
}

fn identity() -> Identity {
    Identity {
        name: "x@y".into(),
        creation: 7,
        flags: 1,
    }
}

/// The last step after these pieces have come.
fn after<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Conversation, Step) {
    let (mut conversation, _hello) = Conversation::start("me@here");
    let mut last = Step::Wait;
    for piece in pieces {
        last = conversation.receive(piece);
    }
    (conversation, last)
}

fn named() -> Conversation {
    let (conversation, step) = after([OK, &challenge()]);
    assert_eq!(step, Step::Named);
    conversation
}

#[test]
fn a_name_is_enough() {
    assert_eq!(named().named(), Finding::Node(identity(), Cookie::Untested));
}

#[test]
fn a_cookie_is_proved_by_both() {
    let mut node = named();
    let reply = node.prove(b"secret", 5);
    assert_eq!(reply[..7], *b"\0\x15r\0\0\0\x05");
    assert_eq!(reply[7..], digest(b"secret", 42));
    let ack = |cookie: &[u8]| framed(&[b"a".as_slice(), &digest(cookie, 5)].concat());
    let mut liar = named();
    let _ = liar.prove(b"secret", 5);
    assert_eq!(
        liar.receive(&ack(b"other")),
        Step::End(Finding::Node(identity(), Cookie::Other))
    );
    assert_eq!(
        node.receive(&ack(b"secret")),
        Step::End(Finding::Node(identity(), Cookie::Same))
    );
}

#[test]
fn who_hangs_up_on_a_cookie_has_another() {
    let mut node = named();
    let _ = node.prove(b"secret", 5);
    assert_eq!(node.closed(), Finding::Node(identity(), Cookie::Other));
    let mut slow = named();
    let _ = slow.prove(b"secret", 5);
    assert_eq!(slow.timed_out(), Finding::Silent(Stage::Proof));
}

#[test]
fn tls_is_known_by_its_records() {
    let (_, step) = after([&b"\x15\x03\x03\0\x02\x02\x46"[..]]);
    assert_eq!(step, Step::End(Finding::Tls(Some(0x46))));
    let (_, step) = after([&b"\x16\x03\x01\0\xff"[..]]);
    assert_eq!(step, Step::End(Finding::Tls(None)));
}

#[test]
fn what_is_no_message_is_shown() {
    for banner in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"220 mail ESMTP\r\n",
        b"HTTP/1.1 400 Bad Request",
    ] {
        let (_, step) = after([banner]);
        assert_eq!(step, Step::End(Finding::NotErlang(banner.to_vec())));
    }
    let (conversation, step) = after([&b"\0\x09short"[..]]);
    assert_eq!(step, Step::Wait);
    assert_eq!(conversation.closed(), Finding::NotErlang(b"\0\x09short".to_vec()));
    let (conversation, _) = after([]);
    assert_eq!(conversation.closed(), Finding::HungUp(Stage::Status));
    let (conversation, _) = after([OK]);
    assert_eq!(conversation.closed(), Finding::HungUp(Stage::Challenge));
}

proptest! {
    #[test]
    fn pieces_mean_what_the_whole_means(cut in 0_usize..28) {
        let whole = [OK, &challenge()].concat();
        let (before, rest) = whole.split_at(cut);
        prop_assert_eq!(after([before, rest]).1, Step::Named);
    }

    #[test]
    fn nothing_makes_it_panic_or_grow(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
        head in prop::sample::select(vec![b"".to_vec(), OK.to_vec(), [OK, &challenge()].concat()]),
        proves: bool,
    ) {
        let (mut conversation, _hello) = Conversation::start("me@here");
        let mut ended = matches!(conversation.receive(&head), Step::End(_));
        if proves && conversation.identity().is_some() {
            let _ = conversation.prove(b"secret", 1);
        }
        for piece in pieces {
            if !ended {
                let step = conversation.receive(&piece);
                ended = step != Step::Wait;
                prop_assert!(ended || conversation.received.len() <= MAX_MESSAGE + 2);
            }
        }
        let _ = conversation.closed();
    }
}
