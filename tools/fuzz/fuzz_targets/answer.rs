//! Any bytes as the answer to a question for `app.test`: endpoints that keep their promises, or a typed error;
//! what is read in place is what hickory reads, and the quick way finds nothing else.

#![no_main]

use caravan_nif::endpoint::Endpoint;
use caravan_nif::resolver::Type;
use caravan_nif::resolver::decode::{Decoded, decode, quick, readers_agree};
use libfuzzer_sys::fuzz_target;

/// An error's message is logged and shown, so it must have no control characters and fit on a screen.
const LONGEST_SENTENCE: usize = 4_096;

fuzz_target!(|bytes: &[u8]| {
    for record_type in [Type::Srv, Type::A, Type::Aaaa] {
        assert!(readers_agree(bytes, "app.test", record_type));
        if let Some(found) = quick(bytes, "app.test", record_type) {
            assert!(matches!(decode(bytes, "app.test", record_type), Ok(Decoded::Endpoints(all, _)) if all == found));
        }
        match decode(bytes, "app.test", record_type) {
            Ok(Decoded::Ignored | Decoded::Nothing) => {}
            Ok(Decoded::Endpoints(endpoints, refused)) => {
                assert!(!endpoints.is_empty() || refused.count > 0);
                assert!(endpoints.is_sorted(), "{endpoints:?}");
                assert!(endpoints.windows(2).all(|two| two[0] != two[1]), "{endpoints:?}");
                for endpoint in &endpoints {
                    fits(endpoint, record_type);
                }
                assert_eq!(refused.count == 0, refused.example.is_empty());
                assert!(refused.example.len() <= 255 && refused.example.is_ascii());
            }
            Err(error) => {
                let sentence = error.to_string();
                assert!(sentence.len() <= LONGEST_SENTENCE, "{sentence}");
                assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
            }
        }
    }
});

fn fits(endpoint: &Endpoint, record_type: Type) {
    match record_type {
        Type::Srv => {
            let host = endpoint.host.as_deref().unwrap_or_default();
            // Written independently of the library, which is what this tests.
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
            assert!((1..=253).contains(&host.len()) && host.bytes().all(plain), "{host:?}");
            assert!(endpoint.port.is_none_or(|port| port > 0));
        }
        _ => {
            assert_eq!((&endpoint.host, endpoint.port), (&None, None));
            let [ip] = endpoint.addresses[..] else {
                panic!("{endpoint:?}")
            };
            assert_eq!(ip.is_ipv6(), record_type == Type::Aaaa);
        }
    }
}
