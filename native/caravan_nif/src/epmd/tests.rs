use proptest::prelude::*;

use super::*;

/// A registration as `erl_epmd` sends it.
fn alive(name: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'x', 0x0f, 0xa0, 77, 0, 0, 6, 0, 5];
    bytes.extend((name.len() as u16).to_be_bytes());
    bytes.extend(name);
    bytes.extend((extra.len() as u16).to_be_bytes());
    bytes.extend(extra);
    bytes
}

fn node(name: &str, port: u16) -> Node {
    Node::ordinary(name, port)
}

#[test]
fn requests() {
    assert_eq!(Request::read(b"zapp-3999"), Some(Request::Port("app-3999".into())));
    // Old clients send the NUL that ends a string in C.
    assert_eq!(Request::read(b"zapp\0"), Some(Request::Port("app".into())));
    assert_eq!(Request::read(b"n"), Some(Request::Names));
    assert_eq!(Request::read(b"k"), Some(Request::Kill));
    assert_eq!(
        Request::read(&alive(b"app", b"")),
        Some(Request::Alive(node("app", 4000)))
    );
    let grüße = Request::read(&alive("grüße".as_bytes(), b"\0\xff"));
    let Some(Request::Alive(grüße)) = grüße else {
        panic!("{grüße:?}");
    };
    assert_eq!((grüße.name.as_str(), grüße.extra.as_slice()), ("grüße", &b"\0\xff"[..]));
}

#[test]
fn what_gets_no_answer() {
    let long = "a".repeat(256);
    let no_port = [&[b'x', 0, 0], &alive(b"app", b"")[3..]].concat();
    let cut = alive(b"app", b"extra");
    for garbage in [
        b"".as_slice(),
        b"d",
        b"sapp",
        b"Z",
        b"z",
        b"z\0",
        b"za\0b",
        b"za b",
        b"za\nname b at port 1",
        b"zapp@host",
        b"z\xff",
        b"x",
        &[b"z", long.as_bytes()].concat(),
        &alive(b"", b""),
        &alive(b"a\0", b""),
        &alive(b"\xc3\x28", b""),
        &alive(long.as_bytes(), b""),
        &alive(b"app", &[0; MAX_FIELD + 1]),
        &no_port,
        &cut[..cut.len() - 1],
    ] {
        assert_eq!(Request::read(garbage), None, "{garbage:?}");
    }
}

#[test]
fn the_longest_request_is_one() {
    let request = alive("𝔞".repeat(255).as_bytes(), &[7; MAX_FIELD]);
    assert_eq!(request.len(), MAX_REQUEST);
    assert!(Request::read(&request).is_some());
}

#[test]
fn answers() {
    assert_eq!(port_answer(None), b"w\x01");
    assert_eq!(
        port_answer(Some(&node("app", 3999))),
        b"w\x00\x0f\x9f\x4d\x00\x00\x06\x00\x05\x00\x03app\x00\x00"
    );
    assert_eq!(
        names_answer(4369, [("app", 3999), ("b", 1)].into_iter()),
        b"\x00\x00\x11\x11name app at port 3999\nname b at port 1\n"
    );
    assert_eq!(alive_answer(6, Some(7)), b"v\x00\x00\x00\x00\x07");
    assert_eq!(alive_answer(6, Some(0)), b"v\x00\x00\x00\x00\x04");
    assert_eq!(alive_answer(6, None), b"v\x01\x00\x00\x00\x63");
    assert_eq!(alive_answer(5, Some(3)), b"y\x00\x00\x01");
    assert_eq!(alive_answer(5, None), b"y\x01\x00\x63");
    assert!(is_alive(*b"v\0") && is_alive(*b"y\0"));
    assert!(!is_alive(*b"v\x01") && !is_alive(*b"y\x01") && !is_alive(*b"w\0"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::read(&bytes);
    }

    #[test]
    fn what_registers_is_told_as_it_was(name in "[^\\pC\\s@]{1,60}", extra in proptest::collection::vec(any::<u8>(), 0..60), cut in any::<prop::sample::Index>()) {
        let bytes = alive(name.as_bytes(), &extra);
        let Some(Request::Alive(node)) = Request::read(&bytes) else { panic!("{name:?}") };
        // Name, extra data and their lengths end both messages.
        let answer = port_answer(Some(&node));
        prop_assert_eq!(&answer[2..10], &bytes[1..9]);
        prop_assert_eq!(&answer[10..], &bytes[9..]);
        prop_assert_eq!(&alive_request(&node)[2..], &bytes);
        prop_assert_eq!(Request::read(&bytes[..cut.index(bytes.len())]), None);
    }
}
