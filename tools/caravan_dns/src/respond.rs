//! A request to its response: the zone's answer, changed by the fault for its name. PURE.

use std::borrow::Cow;
use std::time::Duration;

use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{LowerQuery, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::{DNSClass, Record, RecordType};
use hickory_server::server::Request;

use crate::command::ADDRESSES;
use crate::fault::{Fault, Faults};
use crate::message::{Response, encode};
use crate::random::Dice;
use crate::zone::{Answer, Zone};

/// What the server's owner has told it.
pub(crate) struct Script {
    pub(crate) zone: Zone,
    pub(crate) faults: Faults,
    /// The types of addresses given for SRV targets.
    pub(crate) additional: &'static [RecordType],
}

impl Default for Script {
    fn default() -> Self {
        Self {
            zone: Zone::default(),
            faults: Faults::default(),
            additional: ADDRESSES,
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Delivery {
    /// Sent `after` a while; over TCP each byte waits for `pace`.
    Send {
        bytes: Vec<u8>,
        after: Duration,
        pace: Duration,
    },
    Silence,
    /// Ends the TCP connection.
    Close,
}

impl Delivery {
    fn now(bytes: Vec<u8>) -> Self {
        Self::Send {
            bytes,
            after: Duration::ZERO,
            pace: Duration::ZERO,
        }
    }
}

/// The payload of the largest UDP packet over IPv4.
const LARGEST_DATAGRAM: u16 = 65_507;

pub(crate) fn respond(script: &Script, dice: &Dice, request: &Request) -> Delivery {
    let question = match check(request) {
        Ok(question) => question,
        Err(code) => return Delivery::now(message(request, &Answer::nothing(code), &[], false)),
    };
    let tcp = request.protocol() == Protocol::Tcp;
    let fault = script.faults.of(question.name());
    let mut answer = match fault {
        Some(Fault::Silence) => return Delivery::Silence,
        Some(Fault::DropEdns) if request.edns.is_some() => return Delivery::Silence,
        Some(Fault::TruncateNoTcp) if tcp => return Delivery::Close,
        Some(Fault::TruncateSilentTcp) if tcp => return Delivery::Silence,
        Some(Fault::NoEdns(code)) if request.edns.is_some() => {
            return Delivery::now(older_than_edns(request, question, code));
        }
        Some(Fault::Code(code)) => Answer::nothing(code),
        Some(Fault::Empty) => Answer::nothing(ResponseCode::NoError),
        _ => script.zone.answer(question.name(), question.query_type()),
    };
    let mut truncated = false;
    match fault {
        Some(Fault::Subset(count)) => {
            let aliases = answer
                .records
                .iter()
                .take_while(|record| record.record_type() == RecordType::CNAME)
                .count();
            dice.pick(&mut answer.records, aliases, count);
        }
        Some(Fault::Shorten(count)) if !tcp => answer.records.truncate(count),
        Some(Fault::Truncate | Fault::TruncateNoTcp | Fault::TruncateSilentTcp) if !tcp => {
            // Half an answer catches a client that takes it for the complete one.
            answer.records.truncate(answer.records.len() / 2);
            truncated = true;
        }
        _ => {}
    }
    let additional = script.zone.additional(&answer.records, script.additional);
    let bytes = message(request, &answer, &additional, truncated);
    match fault {
        Some(Fault::Malformed(malformation)) => Delivery::now(malformation.apply(bytes, dice)),
        Some(Fault::Delay(after)) => Delivery::Send {
            bytes,
            after,
            pace: Duration::ZERO,
        },
        Some(Fault::SlowTcp(pace)) => Delivery::Send {
            bytes,
            after: Duration::ZERO,
            pace,
        },
        _ => Delivery::now(bytes),
    }
}

/// The one question we can answer, or why not.
fn check(request: &Request) -> Result<&LowerQuery, ResponseCode> {
    if request.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    match request.queries.queries() {
        [question] if matches!(question.query_class(), DNSClass::IN | DNSClass::ANY) => Ok(question),
        [_] => Err(ResponseCode::Refused),
        _ => Err(ResponseCode::FormErr),
    }
}

/// The query as the response repeats it: FORMERR comes without the OPT record, since that could not be parsed.
fn older_than_edns(request: &Request, question: &LowerQuery, code: ResponseCode) -> Vec<u8> {
    let response = Response {
        metadata: metadata(request, code),
        question: (code != ResponseCode::FormErr).then_some(question),
        answer: &[],
        additional: &[],
        edns: false,
    };
    encode(&response, 512).expect("the header and one question fit in 512 bytes")
}

fn metadata(request: &Request, code: ResponseCode) -> Metadata {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.authoritative = true;
    metadata.recursion_available = true;
    metadata.response_code = code;
    metadata
}

fn message(request: &Request, answer: &Answer<'_>, additional: &[Cow<'_, Record>], truncated: bool) -> Vec<u8> {
    let mut metadata = metadata(request, answer.code);
    metadata.truncation = truncated;
    let question = match request.queries.queries() {
        [question] => Some(question),
        _ => None,
    };
    let edns = request.edns.is_some();
    let limit = match request.protocol() {
        Protocol::Tcp => u16::MAX,
        _ => request.max_payload().min(LARGEST_DATAGRAM),
    };
    let response = Response {
        metadata,
        question,
        answer: &answer.records,
        additional,
        edns,
    };
    encode(&response, limit).expect("the header, one question and an OPT record fit in 512 bytes")
}

#[cfg(test)]
mod tests;
