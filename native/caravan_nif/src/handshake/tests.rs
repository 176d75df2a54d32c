use proptest::prelude::*;

use super::*;

#[test]
fn the_name_goes_out_with_two_lengths() {
    let message = send_name("a@b");
    assert_eq!(message[..3], [0, 18, b'N']);
    assert_eq!(message[15..], *b"\0\x03a@b");
    assert_eq!(message.len(), 20);
}

#[test]
fn the_asker_has_a_name_of_its_own() {
    assert_eq!(asker("app-3434@host"), "caravan-app-3434@host");
    assert_eq!(asker(&format!("{}@host", "a".repeat(250))), "caravan@host");
}

#[test]
fn a_challenge_tells_name_and_creation() {
    let mut message = b"N".to_vec();
    message.extend([0; 12]);
    message.extend(7_u32.to_be_bytes());
    message.extend(3_u16.to_be_bytes());
    message.extend(b"x@y, and more to come");
    let expected = Identity {
        name: "x@y".into(),
        creation: 7,
    };
    assert_eq!(read_challenge(&message), Ok(expected));
    assert_eq!(read_challenge(&message[..21]), Err(HandshakeError::NotErlang));
    // It ends up in a log.
    message[19..22].copy_from_slice(b"x\n@");
    assert_eq!(read_challenge(&message), Err(HandshakeError::NotErlang));
}

#[test]
fn statuses() {
    assert_eq!(read_status(b"sok"), Ok(()));
    assert_eq!(read_status(b"snot_allowed"), Err(HandshakeError::NotAllowed));
    assert_eq!(read_status(b"snok"), Err(HandshakeError::Busy));
    assert_eq!(read_status(b"HTTP/1.1 400"), Err(HandshakeError::NotErlang));
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_status(&bytes);
        if let Ok(identity) = read_challenge(&bytes) {
            prop_assert!(identity.name.len() <= bytes.len());
        }
    }
}
