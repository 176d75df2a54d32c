//! The faults on command: their syntax, and which one is active for a name. PURE.

use std::collections::HashMap;
use std::time::Duration;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{LowerName, Name};

use crate::malformed::Malformation;
use crate::record::parse_name;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Silence,
    Delay(Duration),
    Code(ResponseCode),
    /// To clients that use EDNS.
    NoEdns(ResponseCode),
    /// For queries with EDNS, as with some firewalls.
    DropEdns,
    Empty,
    Subset(usize),
    Truncate,
    TruncateNoTcp,
    TruncateSilentTcp,
    Shorten(usize),
    Malformed(Malformation),
    SlowTcp(Duration),
}

const EXPECTED: &str = "none, silence, delay MS, servfail, refused, nxdomain, formerr, notimp, drop-edns, empty, subset N, \
                        truncate, truncate-no-tcp, truncate-silent-tcp, shorten N, malformed KIND or slow-tcp MS, and perhaps `for NAME` behind it";

/// The arguments of `fault`: `None` is `none`; without a name it applies to all.
pub(crate) fn parse(words: &[&str]) -> Result<(Option<Fault>, Option<Name>), String> {
    let (fault, name) = match words {
        [fault @ .., "for", name] => (fault, Some(parse_name(name)?)),
        fault => (fault, None),
    };
    let fault = match fault {
        ["none"] => return Ok((None, name)),
        ["silence"] => Fault::Silence,
        ["delay", time] => Fault::Delay(milliseconds(time)?),
        ["servfail"] => Fault::Code(ResponseCode::ServFail),
        ["refused"] => Fault::Code(ResponseCode::Refused),
        ["nxdomain"] => Fault::Code(ResponseCode::NXDomain),
        ["formerr"] => Fault::NoEdns(ResponseCode::FormErr),
        ["notimp"] => Fault::NoEdns(ResponseCode::NotImp),
        ["drop-edns"] => Fault::DropEdns,
        ["empty"] => Fault::Empty,
        ["subset", count] => Fault::Subset(number(count)?),
        ["truncate"] => Fault::Truncate,
        ["truncate-no-tcp"] => Fault::TruncateNoTcp,
        ["truncate-silent-tcp"] => Fault::TruncateSilentTcp,
        ["shorten", count] => Fault::Shorten(number(count)?),
        ["malformed", kind] => Fault::Malformed(Malformation::parse(kind)?),
        ["slow-tcp", time] => Fault::SlowTcp(milliseconds(time)?),
        _ => {
            return Err(format!("expected a fault ({EXPECTED}), got {:?}", words.join(" ")));
        }
    };
    Ok((Some(fault), name))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse::<u16>()
        .map(usize::from)
        .map_err(|_| format!("expected a number of records from 0 to 65535, got {text:?}"))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let time = text.parse::<u32>().map(u64::from).map(Duration::from_millis);
    time.map_err(|_| format!("expected milliseconds as a whole number, got {text:?}"))
}

#[derive(Default)]
pub(crate) struct Faults {
    everywhere: Option<Fault>,
    names: HashMap<LowerName, Fault>,
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Option<Fault>, name: Option<&Name>) {
        match (fault, name.map(LowerName::new)) {
            (Some(fault), Some(name)) => {
                self.names.insert(name, fault);
            }
            (None, Some(name)) => {
                self.names.remove(&name);
            }
            (Some(fault), None) => self.everywhere = Some(fault),
            (None, None) => *self = Self::default(),
        }
    }

    /// A name's own fault takes precedence over the one for all.
    pub(crate) fn of(&self, name: &LowerName) -> Option<Fault> {
        self.names.get(name).copied().or(self.everywhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Result<(Option<Fault>, Option<Name>), String> {
        parse(&text.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn every_fault_has_its_words() {
        for (text, expected) in [
            ("none", None),
            ("silence", Some(Fault::Silence)),
            ("delay 250", Some(Fault::Delay(Duration::from_millis(250)))),
            ("servfail", Some(Fault::Code(ResponseCode::ServFail))),
            ("refused", Some(Fault::Code(ResponseCode::Refused))),
            ("nxdomain", Some(Fault::Code(ResponseCode::NXDomain))),
            ("formerr", Some(Fault::NoEdns(ResponseCode::FormErr))),
            ("notimp", Some(Fault::NoEdns(ResponseCode::NotImp))),
            ("drop-edns", Some(Fault::DropEdns)),
            ("empty", Some(Fault::Empty)),
            ("subset 3", Some(Fault::Subset(3))),
            ("truncate", Some(Fault::Truncate)),
            ("truncate-no-tcp", Some(Fault::TruncateNoTcp)),
            ("truncate-silent-tcp", Some(Fault::TruncateSilentTcp)),
            ("shorten 3", Some(Fault::Shorten(3))),
            ("malformed loop", Some(Fault::Malformed(Malformation::Loop))),
            ("slow-tcp 10", Some(Fault::SlowTcp(Duration::from_millis(10)))),
        ] {
            assert_eq!(fault(text), Ok((expected, None)), "{text}");
            let name = parse_name("app.test").expect("a name");
            assert_eq!(
                fault(&format!("{text} for app.test")),
                Ok((expected, Some(name))),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_gets_a_sentence() {
        for text in [
            "",
            "slow",
            "delay",
            "delay x",
            "delay -1",
            "subset",
            "subset -1",
            "subset 70000",
            "malformed",
            "malformed x",
            "silence for",
            "silence for a..b",
            "for app.test",
            "none none",
        ] {
            let sentence = fault(text).expect_err(text);
            assert!(sentence.starts_with("expected "), "{sentence}");
        }
    }

    #[test]
    fn names_have_their_own_fault_before_the_one_for_all() {
        let name = |text| parse_name(text).expect("a name");
        let (a, b) = (name("a.test"), name("B.test"));
        let (lower_a, lower_b) = (LowerName::new(&name("A.test")), LowerName::new(&name("b.test")));
        let mut faults = Faults::default();
        faults.set(Some(Fault::Silence), Some(&a));
        faults.set(Some(Fault::Truncate), Some(&b));
        assert_eq!(
            (faults.of(&lower_a), faults.of(&lower_b)),
            (Some(Fault::Silence), Some(Fault::Truncate))
        );
        faults.set(Some(Fault::Empty), None);
        faults.set(None, Some(&a));
        assert_eq!(
            (faults.of(&lower_a), faults.of(&lower_b)),
            (Some(Fault::Empty), Some(Fault::Truncate))
        );
        faults.set(None, None);
        assert_eq!((faults.of(&lower_a), faults.of(&lower_b)), (None, None));
    }
}
