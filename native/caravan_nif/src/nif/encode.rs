//! What goes to Elixir: atoms, and the counterparts of its structs and maps, named `Ex...`.

pub(crate) mod handshake;
mod lookup;

pub(crate) use self::lookup::ExAdmissionReport;

use std::net::IpAddr;

use rustler::{Atom, Encoder, Env, Term};

use crate::epmd::server::ServerEvent;
use crate::error::{Error, Kind};
use crate::naming::Mismatch;

pub(crate) mod atoms {
    rustler::atoms! {
        ok, error, hosts, udp, tcp, handshake, given,
        nxdomain, nodata, servfail, refused, timeout, truncated, network, malformed,
        invalid_name, invalid_option, port_out_of_range, tool_node, overloaded, internal,
        question, servers, elapsed_ms, rcode, partial,
        max_members, atom_limit, no_answer, not_allowed, other_family, short_name, long_name, no_port, other_port,
        by_host, capitals, other_name, addresses,
        epmd, waits, answers,
        place, found, node, untested, same, other, busy, tls, not_erlang, hung_up, silent, unreachable, no_address,
        status, challenge, proof, wait, send, end,
    }
}

/// `{:error, {kind, sentence}}`.
pub(crate) struct Failure(Atom, String);

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let kind = match error.kind() {
            Kind::Nxdomain => atoms::nxdomain(),
            Kind::Nodata => atoms::nodata(),
            Kind::Servfail => atoms::servfail(),
            Kind::Refused => atoms::refused(),
            Kind::Timeout => atoms::timeout(),
            Kind::Truncated => atoms::truncated(),
            Kind::Network => atoms::network(),
            Kind::Malformed => atoms::malformed(),
            Kind::InvalidName => atoms::invalid_name(),
            Kind::InvalidOption => atoms::invalid_option(),
            Kind::PortOutOfRange => atoms::port_out_of_range(),
            Kind::ToolNode => atoms::tool_node(),
            Kind::Overloaded => atoms::overloaded(),
            Kind::Internal => atoms::internal(),
        };
        Self(kind, error.to_string())
    }
}

impl Encoder for Failure {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        (atoms::error(), (self.0, &self.1)).encode(env)
    }
}

/// `:ok`, `{:ok, value}` or `{:error, {kind, sentence}}`.
pub(crate) struct Outcome<T>(pub(crate) Result<T, Error>);

impl Encoder for Outcome<()> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(()) => atoms::ok().encode(env),
            Err(error) => Failure::from(error).encode(env),
        }
    }
}

/// `{:epmd, :answers}` or `{:epmd, {:waits, reason}}`.
pub(crate) struct ExServerEvent(pub(crate) ServerEvent);

impl Encoder for ExServerEvent {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            ServerEvent::Serving => (atoms::epmd(), atoms::answers()).encode(env),
            ServerEvent::Waiting(reason) => (atoms::epmd(), (atoms::waits(), reason)).encode(env),
        }
    }
}

/// An address in the form of `:inet`.
pub(crate) struct Ip(pub(crate) IpAddr);

impl Encoder for Ip {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self.0 {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                (a, b, c, d).encode(env)
            }
            IpAddr::V6(ip) => {
                let segments = ip.segments().map(|segment| segment.encode(env));
                rustler::types::tuple::make_tuple(env, &segments)
            }
        }
    }
}

/// How a topology's options conflict with this node's name: a word and its subject.
pub(crate) struct ExMismatch<'a>(Atom, Option<&'a str>);

impl<'a> From<&'a Mismatch> for ExMismatch<'a> {
    fn from(note: &'a Mismatch) -> Self {
        match note {
            Mismatch::ByHost => Self(atoms::by_host(), None),
            Mismatch::Capitals(host) => Self(atoms::capitals(), Some(host)),
            Mismatch::OtherName(name) => Self(atoms::other_name(), Some(name)),
        }
    }
}

impl Encoder for ExMismatch<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        (self.0, self.1).encode(env)
    }
}
