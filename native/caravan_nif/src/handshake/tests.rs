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
fn a_challenge_tells_who_asks_it() {
    let mut message = b"N".to_vec();
    message.extend(0x1_0000_0002_u64.to_be_bytes());
    message.extend(42_u32.to_be_bytes());
    message.extend(7_u32.to_be_bytes());
    message.extend(3_u16.to_be_bytes());
    message.extend(b"x@y, and more to come");
    let expected = Identity {
        name: "x@y".into(),
        creation: 7,
        flags: 0x1_0000_0002,
    };
    assert_eq!(read_challenge(&message), Some((expected, 42)));
    assert_eq!(read_challenge(&message[..21]), None);
    message[19..22].copy_from_slice(b"x\n@");
    assert_eq!(read_challenge(&message), None);
}

#[test]
fn statuses() {
    assert_eq!(read_status(b"sok"), Some(Status::Ok));
    assert_eq!(read_status(b"snot_allowed"), Some(Status::NotAllowed));
    assert_eq!(read_status(b"snok"), Some(Status::Busy));
    assert_eq!(read_status(b"HTTP/1.1 400"), None);
}

// erlang:md5(["secret" | integer_to_list(4294967295)]).
#[test]
fn a_digest_is_that_of_dist_util() {
    assert_eq!(digest(b"secret", u32::MAX)[..4], [93, 253, 24, 30]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_status(&bytes);
        let _ = read_challenge_ack(&bytes);
        if let Some((identity, _)) = read_challenge(&bytes) {
            prop_assert!(identity.name.len() <= bytes.len());
        }
    }
}
