//! One question as bytes, and what answers it. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::format::{A, AAAA, HEADER, OPT, SRV};
use super::super::response::only_addresses;
use super::super::wire::EDNS_SIZE;
use super::super::{Spec, Type, name};
use crate::endpoint::Record;

/// Of the flags, the bit of a response, and those of its code (RFC 1035, 4.1.1).
const RESPONSE: u8 = 0b1000_0000;
const RCODE: u8 = 0b1111;
const NO_ERROR: u8 = 0;
const FORM_ERR: u8 = 1;
const NX_DOMAIN: u8 = 3;
const NOT_IMP: u8 = 4;

/// What follows the name, the type and the UDP size of an OPT record without options (RFC 6891, 6.1.2): no extended code,
/// version, flags and data.
const OPT_REST: [u8; 6] = [0; 6];

/// A question that one datagram asks and, most likely, one datagram answers.
pub(in crate::resolver) struct Question {
    pub(super) server: SocketAddr,
    pub(super) record_type: Type,
    name: Arc<str>,
    /// The query, with 0 as its id.
    query: Vec<u8>,
    /// Where the question in it ends.
    end: usize,
}

impl Question {
    /// `None` for a lookup that takes more than that.
    pub(in crate::resolver) fn new(spec: &Spec) -> Option<Self> {
        let code = match spec.record_type {
            Type::A => A,
            Type::Aaaa => AAAA,
            Type::Srv => SRV,
            Type::Ip => return None,
        };
        let server = *spec.nameservers.as_ref()?.first()?;
        if spec.tcp {
            return None;
        }
        let name = name(&spec.query).ok()?;
        let mut query = Vec::with_capacity(HEADER + name.len() + 2 + 4 + 11);
        // Recursion is desired; one question and one additional record follow.
        query.extend([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).ok()?);
            query.extend(label.as_bytes());
        }
        query.push(0);
        query.extend(code.to_be_bytes());
        query.extend([0, 1]);
        let end = query.len();
        query.push(0);
        query.extend(OPT.to_be_bytes());
        query.extend(EDNS_SIZE.to_be_bytes());
        query.extend(OPT_REST);
        Some(Self {
            server,
            record_type: spec.record_type,
            name: name.into(),
            query,
            end,
        })
    }

    /// The bytes to send, with 0 as the id.
    pub(super) fn query(&self) -> Vec<u8> {
        self.query.clone()
    }

    /// Whether `bytes` are a response to this question; the id is the caller's to compare.
    pub(in crate::resolver) fn is_answered_by(&self, bytes: &[u8]) -> bool {
        let Some(&[_, _, flags, code, q1, q2]) = bytes.first_chunk() else {
            return false;
        };
        // Of what follows the header, only letters differ by 32.
        let same = |asked: &[u8]| asked.eq_ignore_ascii_case(&self.query[HEADER..self.end]);
        let repeats_question = match u16::from_be_bytes([q1, q2]) {
            // A server that could not parse the query can't repeat it.
            0 => !matches!(code & RCODE, NO_ERROR | NX_DOMAIN),
            1 => bytes.get(HEADER..self.end).is_some_and(same),
            _ => false,
        };
        flags & RESPONSE != 0 && repeats_question
    }

    /// Whether an answer may come from a server without EDNS (RFC 6891, section 7).
    pub(super) fn may_reject_edns(bytes: &[u8]) -> bool {
        bytes
            .get(3)
            .is_some_and(|code| matches!(code & RCODE, FORM_ERR | NOT_IMP))
    }

    /// The addresses in an answer, if they are all there is to it. Services are more: their hosts have addresses, too.
    pub(in crate::resolver) fn addresses(&self, bytes: &[u8]) -> Option<Vec<Record>> {
        let ipv6 = match self.record_type {
            Type::A => false,
            Type::Aaaa => true,
            Type::Srv | Type::Ip => return None,
        };
        only_addresses(bytes, self.end, &self.name, ipv6)
    }
}

/// How long one server may stay silent, of the time for all of them, before the lookup goes on without this question.
/// `None` if that is too short for it.
pub(super) fn patience(spec: &Spec) -> Option<Duration> {
    let servers = u32::try_from(spec.nameservers.as_ref()?.len()).ok()?;
    let patience = (spec.timeout / (2 * servers + 1) / 2).min(Duration::from_millis(500));
    (patience >= Duration::from_millis(100)).then_some(patience)
}

#[cfg(test)]
mod tests;
