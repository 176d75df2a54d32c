//! A line to a command. PURE.

use hickory_server::proto::rr::{Name, RData, Record, RecordType};

use crate::fault::{self, Fault};
use crate::record::{parse_data, parse_name, parse_type};

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Add(Record),
    Remove {
        name: Name,
        kind: Option<RecordType>,
        data: Option<RData>,
    },
    List,
    Clear,
    Fault {
        fault: Option<Fault>,
        name: Option<Name>,
    },
    /// The types of addresses given for SRV targets.
    Additional(&'static [RecordType]),
    Flood {
        name: Name,
        count: u64,
    },
    Stats,
    Quit,
}

/// All types of addresses.
pub(crate) const ADDRESSES: &[RecordType] = &[RecordType::A, RecordType::AAAA];

pub(crate) fn parse(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words.as_slice() {
        ["add", name, ttl, kind, data @ ..] => {
            let ttl = ttl
                .parse()
                .map_err(|_| format!("expected a TTL in seconds, got {ttl:?}"))?;
            Ok(Command::Add(Record::from_rdata(
                parse_name(name)?,
                ttl,
                parse_data(parse_type(kind)?, data)?,
            )))
        }
        ["remove", name] => Ok(Command::Remove {
            name: parse_name(name)?,
            kind: None,
            data: None,
        }),
        ["remove", name, kind, data @ ..] => {
            let kind = parse_type(kind)?;
            let data = if data.is_empty() {
                None
            } else {
                Some(parse_data(kind, data)?)
            };
            Ok(Command::Remove {
                name: parse_name(name)?,
                kind: Some(kind),
                data,
            })
        }
        ["list"] => Ok(Command::List),
        ["clear"] => Ok(Command::Clear),
        ["fault", fault @ ..] => fault::parse(fault).map(|(fault, name)| Command::Fault { fault, name }),
        ["additional", "on"] => Ok(Command::Additional(ADDRESSES)),
        ["additional", "off"] => Ok(Command::Additional(&[])),
        ["additional", "a"] => Ok(Command::Additional(&[RecordType::A])),
        ["additional", "aaaa"] => Ok(Command::Additional(&[RecordType::AAAA])),
        ["flood", name, count] => match count.parse::<u16>() {
            Ok(count) => Ok(Command::Flood {
                name: parse_name(name)?,
                count: count.into(),
            }),
            Err(_) => Err(format!("expected a number of targets from 0 to 65535, got {count:?}")),
        },
        ["stats"] => Ok(Command::Stats),
        ["quit"] => Ok(Command::Quit),
        _ => Err(format!(
            "expected add NAME TTL TYPE RDATA, remove NAME [TYPE [RDATA]], list, clear, fault FAULT [for NAME], additional \
             on|off|a|aaaa, flood NAME N, stats or quit, got {line:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::show;

    #[test]
    fn every_command_has_its_words() {
        let name = || parse_name("app.test").expect("a name");
        let remove = |kind, data| Command::Remove {
            name: name(),
            kind,
            data,
        };
        let address = RData::A(std::net::Ipv4Addr::new(127, 0, 0, 2).into());
        for (line, expected) in [
            ("remove app.test", remove(None, None)),
            ("remove app.test A", remove(Some(RecordType::A), None)),
            (
                "remove app.test a 127.0.0.2",
                remove(Some(RecordType::A), Some(address)),
            ),
            (" list ", Command::List),
            ("clear", Command::Clear),
            (
                "fault none",
                Command::Fault {
                    fault: None,
                    name: None,
                },
            ),
            (
                "fault silence for app.test",
                Command::Fault {
                    fault: Some(Fault::Silence),
                    name: Some(name()),
                },
            ),
            ("additional on", Command::Additional(ADDRESSES)),
            ("additional off", Command::Additional(&[])),
            ("additional a", Command::Additional(&[RecordType::A])),
            ("additional aaaa", Command::Additional(&[RecordType::AAAA])),
            (
                "flood app.test 100",
                Command::Flood {
                    name: name(),
                    count: 100,
                },
            ),
            ("stats", Command::Stats),
            ("quit", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
        for line in ["add app.test 5 A 127.0.0.2", "add app.test 0 SRV 0 10 3434 n1.test"] {
            let Ok(Command::Add(record)) = parse(line) else {
                panic!("{line}")
            };
            assert_eq!(format!("add {}", show(&record)), line);
        }
    }

    #[test]
    fn anything_else_gets_a_sentence() {
        for line in [
            "",
            "nonsense",
            "add",
            "add app.test",
            "add app.test x A 127.0.0.1",
            "add app.test 5 A",
            "add app.test 5 TXT x",
            "add a..b 5 A 127.0.0.1",
            "add app.test 5 A 127.0.0.1 127.0.0.2",
            "remove",
            "remove app.test X",
            "list all",
            "fault",
            "additional",
            "additional maybe",
            "flood app.test",
            "flood app.test x",
            "quit now",
        ] {
            let sentence = parse(line).expect_err(line);
            assert!(
                sentence.starts_with("expected ") && !sentence.contains('\n'),
                "{sentence}"
            );
        }
    }
}
