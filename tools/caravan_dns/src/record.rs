//! Names and records, from and to the text of commands. PURE.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_server::proto::rr::rdata::{CNAME, SRV};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};

/// A name may hold any byte (`\DDD` in decimal, `\X` for itself), since clients must survive those, too.
pub(crate) fn parse_name(text: &str) -> Result<Name, String> {
    let wrong = |why: &str| format!("expected a DNS name, got {text:?}: {why}");
    let labels = match text {
        "." => Vec::new(),
        _ => split_labels(text.strip_suffix('.').unwrap_or(text)).map_err(|why| wrong(&why))?,
    };
    if labels.iter().any(Vec::is_empty) {
        return Err(wrong("a part between the dots is empty"));
    }
    Name::from_labels(labels).map_err(|error| wrong(&error.to_string()))
}

fn split_labels(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut labels = vec![Vec::new()];
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'.' => {
                labels.push(Vec::new());
                continue;
            }
            b'\\' => unescape(&mut bytes)?,
            plain => plain,
        };
        if let Some(label) = labels.last_mut() {
            label.push(byte);
        }
    }
    Ok(labels)
}

fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let wrong = || "a backslash must be followed by a character or by three digits up to 255".to_string();
    let first = bytes.next().ok_or_else(wrong)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let digits = [Some(first), bytes.next(), bytes.next()];
    digits
        .into_iter()
        .try_fold(0u32, |value, digit| Some(value * 10 + char::from(digit?).to_digit(10)?))
        .and_then(|value| u8::try_from(value).ok())
        .ok_or_else(wrong)
}

/// The text that `parse_name` reads back.
pub(crate) fn show_name(name: &Name) -> String {
    if name.is_root() {
        return ".".into();
    }
    let labels: Vec<String> = name.iter().map(show_label).collect();
    labels.join(".")
}

fn show_label(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for &byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'!'..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text
}

pub(crate) fn parse_type(text: &str) -> Result<RecordType, String> {
    match text.to_ascii_uppercase().as_str() {
        "A" => Ok(RecordType::A),
        "AAAA" => Ok(RecordType::AAAA),
        "SRV" => Ok(RecordType::SRV),
        "CNAME" => Ok(RecordType::CNAME),
        _ => Err(format!("expected the type A, AAAA, SRV or CNAME, got {text:?}")),
    }
}

pub(crate) fn parse_data(kind: RecordType, words: &[&str]) -> Result<RData, String> {
    let expected = |what: &str| format!("expected {what} after {kind}, got {:?}", words.join(" "));
    match (kind, words) {
        (RecordType::A, [address]) => address
            .parse::<Ipv4Addr>()
            .map(|address| RData::A(address.into()))
            .map_err(|_| expected("an IPv4 address")),
        (RecordType::AAAA, [address]) => address
            .parse::<Ipv6Addr>()
            .map(|address| RData::AAAA(address.into()))
            .map_err(|_| expected("an IPv6 address")),
        (RecordType::CNAME, [target]) => Ok(RData::CNAME(CNAME(parse_name(target)?))),
        (RecordType::SRV, [priority, weight, port, target]) => {
            let number = |text: &str| {
                text.parse()
                    .map_err(|_| expected("three numbers from 0 to 65535 and a name"))
            };
            Ok(RData::SRV(SRV::new(
                number(priority)?,
                number(weight)?,
                number(port)?,
                parse_name(target)?,
            )))
        }
        (RecordType::SRV, _) => Err(expected("PRIORITY WEIGHT PORT TARGET")),
        (RecordType::CNAME, _) => Err(expected("one name")),
        _ => Err(expected("one address")),
    }
}

/// `NAME TTL TYPE RDATA`, as `add` takes it.
pub(crate) fn show(record: &Record) -> String {
    let data = match &record.data {
        RData::SRV(srv) => {
            format!(
                "{} {} {} {}",
                srv.priority,
                srv.weight,
                srv.port,
                show_name(&srv.target)
            )
        }
        RData::CNAME(target) => show_name(target),
        address => address.to_string(),
    };
    format!(
        "{} {} {} {data}",
        show_name(&record.name),
        record.ttl,
        record.record_type()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        for text in [
            "app.test",
            "_app._tcp.App.test",
            ".",
            r"a\032b.te\.st",
            r"\255\000\\.x",
            "a@b.test",
        ] {
            let name = parse_name(text).expect(text);
            assert_eq!(show_name(&name), text);
            assert!(name.is_fqdn());
        }
        assert_eq!(show_name(&parse_name("app.test.").expect("a name")), "app.test");
    }

    #[test]
    fn wrong_names_get_a_sentence() {
        let long_label = "a".repeat(64);
        let long_name = vec!["abcdefgh"; 32].join(".");
        for text in [
            "",
            "..",
            "a..b",
            ".a",
            r"a\",
            r"a\25",
            r"a\256",
            r"\1x2",
            &long_label,
            &long_name,
        ] {
            let sentence = parse_name(text).expect_err(text);
            assert!(sentence.starts_with("expected a DNS name, got "), "{sentence}");
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        for text in ["127.0.0.2", "::1", "0 10 3434 n1.test", "other.test"] {
            let kind = match text.split(' ').count() {
                4 => RecordType::SRV,
                _ if text.contains("::") => RecordType::AAAA,
                _ if text.starts_with("127") => RecordType::A,
                _ => RecordType::CNAME,
            };
            let words: Vec<&str> = text.split(' ').collect();
            let data = parse_data(kind, &words).expect(text);
            let record = Record::from_rdata(parse_name("App.test").expect("a name"), 5, data);
            assert_eq!(show(&record), format!("App.test 5 {kind} {text}"));
        }
    }

    #[test]
    fn wrong_data_gets_a_sentence() {
        for (kind, words) in [
            ("A", vec!["::1"]),
            ("A", vec![]),
            ("aaaa", vec!["127.0.0.1"]),
            ("SRV", vec!["0", "10", "70000", "n1.test"]),
            ("SRV", vec!["0", "10", "n1.test"]),
            ("CNAME", vec!["a", "b"]),
        ] {
            let kind = parse_type(kind).expect("a type");
            let sentence = parse_data(kind, &words).expect_err("wrong data");
            assert!(sentence.starts_with("expected "), "{sentence}");
        }
        assert!(parse_type("TXT").is_err());
    }
}
