//! Parses an answer's bytes into endpoints without a network, as for a server's bytes; for the fuzzer and the tests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::pool::question::Question;
use super::response::{self, Received, read, whole_records};
use super::session::{Session, find};
use super::wire::build_query;
use super::{Recall, Spec, Type};
use crate::endpoint::{self, Endpoint, Found, RefusedNames};
use crate::error::Error;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// What an answer says.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// It doesn't answer the query, or was truncated within its first record.
    Ignored,
    /// Nothing of the wanted type, or not in this answer.
    Nothing,
    /// Endpoints, and the refused targets.
    Endpoints(Vec<Endpoint>, RefusedNames),
}

/// Reads `bytes` as the answer to a query for `name`; the transaction id always matches.
///
/// # Errors
/// Those of a lookup that gets a single answer.
pub fn decode(bytes: &[u8], name: &str, record_type: Type) -> Result<Decoded, Error> {
    let spec = spec(name, record_type);
    let session = Session::new(&spec, Instant::now(), None);
    let (request, of) = request(bytes, name, record_type);
    let malformed = |reason| Error::Malformed {
        context: session.context(name, of, &[SERVER]),
        reason,
    };
    let answer = match read(bytes, &request, Recall::Off).map_err(malformed)? {
        Received::Response(answer) => Some(answer),
        Received::Truncated => whole_records(bytes, &request),
        Received::Other => None,
    };
    let Some(answer) = answer else {
        return Ok(Decoded::Ignored);
    };
    session.check_code(&answer, name, of, SERVER)?;
    let Found::Records(records, _) = find(name, of, answer.records) else {
        return Ok(Decoded::Nothing);
    };
    let (endpoints, refused) = match record_type {
        Type::Srv => match endpoint::services(&records) {
            Some(found) => found,
            None => return Ok(Decoded::Nothing),
        },
        _ => (endpoint::addresses(&records), RefusedNames::default()),
    };
    Ok(Decoded::Endpoints(endpoints, refused))
}

/// Whether hickory alone reads the same records from `bytes` as the reader that takes addresses in place.
pub fn readers_agree(bytes: &[u8], name: &str, record_type: Type) -> bool {
    response::readers_agree(bytes, &request(bytes, name, record_type).0)
}

/// The endpoints that the quick way finds in `bytes`, without the lookup proper.
pub fn quick(bytes: &[u8], name: &str, record_type: Type) -> Option<Vec<Endpoint>> {
    let question = Question::new(&spec(name, record_type))?;
    let records = question.addresses(bytes).filter(|_| question.is_answered_by(bytes))?;
    Some(endpoint::addresses(&records))
}

/// A lookup at a server that nobody asks.
fn spec(name: &str, record_type: Type) -> Spec {
    Spec {
        query: name.into(),
        record_type,
        nameservers: Some(vec![SERVER]),
        tcp: false,
        ipv6: false,
        recall: Recall::Off,
        timeout: Duration::from_secs(1),
    }
}

/// A request that `bytes` may answer.
fn request(bytes: &[u8], name: &str, record_type: Type) -> (Message, RecordType) {
    let of = match record_type {
        Type::Srv => RecordType::SRV,
        Type::A | Type::Ip => RecordType::A,
        Type::Aaaa => RecordType::AAAA,
    };
    let owner = Name::from_ascii(format!("{name}.")).unwrap_or_default();
    let mut request = build_query(&Query::query(owner, of), true);
    if let Some(&[high, low]) = bytes.first_chunk() {
        request.metadata.id = u16::from_be_bytes([high, low]);
    }
    (request, of)
}

#[cfg(test)]
mod tests;
