//! What goes to Elixir: atoms, and twins of the structs and maps on its side.

use std::net::IpAddr;
use std::time::Duration;

use rustler::types::map::map_new;
use rustler::{Atom, Encoder, Env, NifMap, NifStruct, Term};

use crate::discovery::{Admission, Report};
use crate::endpoint;
use crate::epmd::server::Turn;
use crate::error::{Details, Error, Kind};
use crate::handshake::Identity;
use crate::membership::Refusal;
use crate::naming::Note;
use crate::resolver::{self, Missing, Transport};

pub(crate) mod atoms {
    rustler::atoms! {
        ok, error, inet6, hosts, udp, tcp,
        nxdomain, nodata, servfail, refused, timeout, truncated, network, handshake, malformed,
        invalid_name, invalid_option, port_out_of_range, tool_node, overloaded, internal,
        question, servers, elapsed_ms, rcode, partial,
        max_members, atom_limit, no_answer, not_allowed, other_family, short_name, long_name, no_port,
        by_host, capitals, other_name,
        epmd, waits, answers,
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
            Kind::Handshake => atoms::handshake(),
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

/// `{:error, {kind, sentence, details}}`, of a look-up. The details are a map, with what came of an answer in it.
struct LookupFailure<'a>(&'a Error, Option<Lookup<'a>>);

impl Encoder for LookupFailure<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let Failure(kind, sentence) = Failure::from(self.0);
        let mut details: Vec<(Atom, Term<'a>)> = Vec::new();
        if let Some(Details { asked, rcode }) = self.0.details() {
            // A server is followed by why it is asked, at times.
            let plain = |server: &String| server.split(' ').next().map(str::to_owned);
            let servers: Vec<String> = asked.servers.iter().filter_map(plain).collect();
            details.push((atoms::question(), asked.question.encode(env)));
            details.push((atoms::servers(), servers.encode(env)));
            let elapsed = u64::try_from(asked.elapsed.as_millis()).unwrap_or(u64::MAX);
            details.push((atoms::elapsed_ms(), elapsed.encode(env)));
            details.extend(rcode.map(|code| (atoms::rcode(), code.encode(env))));
        }
        details.extend(
            self.1
                .as_ref()
                .map(|part| (atoms::partial(), part.encode(env))),
        );
        let (keys, values): (Vec<_>, Vec<_>) = details.into_iter().unzip();
        let details = Term::map_from_arrays(env, &keys, &values).unwrap_or_else(|_| map_new(env));
        (atoms::error(), (kind, sentence, details)).encode(env)
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

impl Encoder for Outcome<Identity> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(Identity { name, creation }) => (atoms::ok(), (name, creation)).encode(env),
            Err(error) => Failure::from(error).encode(env),
        }
    }
}

impl Encoder for Outcome<resolver::Lookup> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(lookup) => match &lookup.incomplete {
                None => (atoms::ok(), Lookup::from(lookup)).encode(env),
                Some(missing) => {
                    LookupFailure(missing.why(), Some(Lookup::from(lookup))).encode(env)
                }
            },
            Err(error) => LookupFailure(error, None).encode(env),
        }
    }
}

impl Encoder for Outcome<Report> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(report) => (atoms::ok(), PollReport::from(report)).encode(env),
            Err(error) => LookupFailure(error, None).encode(env),
        }
    }
}

impl Encoder for Outcome<Admission> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(admission) => {
                let report = AdmissionReport {
                    added: &admission.changes.added,
                    expired: &admission.changes.expired,
                    waiting: admission.waiting,
                };
                (atoms::ok(), report).encode(env)
            }
            Err(error) => Failure::from(error).encode(env),
        }
    }
}

/// `{:epmd, :answers}` or `{:epmd, {:waits, reason}}`.
pub(crate) struct TurnTwin(pub(crate) Turn);

impl Encoder for TurnTwin {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Turn::Answers => (atoms::epmd(), atoms::answers()).encode(env),
            Turn::Waits(reason) => (atoms::epmd(), (atoms::waits(), reason)).encode(env),
        }
    }
}

/// An address as `:inet` has it.
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

#[derive(NifStruct)]
#[module = "Caravan.Endpoint"]
#[rustler(encode)]
struct EndpointTwin<'a> {
    host: Option<&'a str>,
    addresses: Addresses<'a>,
    port: Option<u16>,
    priority: u16,
    weight: u16,
}

/// Encoded from where they are: a big answer is not copied once more.
struct Addresses<'a>(&'a [IpAddr]);

impl Encoder for Addresses<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let terms: Vec<Term<'a>> = self.0.iter().map(|ip| Ip(*ip).encode(env)).collect();
        terms.encode(env)
    }
}

struct Endpoints<'a>(&'a [endpoint::Endpoint]);

impl Encoder for Endpoints<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let twin = |endpoint: &endpoint::Endpoint| {
            let twin = EndpointTwin {
                host: endpoint.host.as_deref(),
                addresses: Addresses(&endpoint.addresses),
                port: endpoint.port,
                priority: endpoint.priority,
                weight: endpoint.weight,
            };
            twin.encode(env)
        };
        let terms: Vec<Term<'a>> = self.0.iter().map(twin).collect();
        terms.encode(env)
    }
}

#[derive(NifStruct)]
#[module = "Caravan.Lookup"]
#[rustler(encode)]
struct Lookup<'a> {
    endpoints: Endpoints<'a>,
    ttl: u32,
    server: &'a str,
    transport: Atom,
    elapsed: u64,
    unresolved: &'a [String],
    refused: Vec<RefusedTwin>,
}

#[derive(NifMap)]
#[rustler(encode)]
struct RefusedTwin {
    reason: Atom,
    count: usize,
    example: String,
}

#[derive(NifMap)]
#[rustler(encode)]
struct AdmissionReport<'a> {
    added: &'a [String],
    expired: &'a [String],
    waiting: usize,
}

#[derive(NifMap)]
#[rustler(encode)]
struct PollReport {
    ttl: u32,
    server: String,
    transport: Atom,
    elapsed: u64,
    endpoints: usize,
    members: usize,
    waiting: usize,
    added: Vec<String>,
    expired: Vec<String>,
    withdrawn: Vec<String>,
    returned: Vec<String>,
    moved: Vec<String>,
    refused: Vec<RefusedTwin>,
    unresolved: Vec<String>,
    itself: Vec<String>,
    incomplete: Option<String>,
    /// The answer was cut, and that is why.
    cut: bool,
}

/// What of a topology's options doesn't suit the own name: a word and what it is about.
pub(crate) struct NoteTwin<'a>(Atom, Option<&'a str>);

impl<'a> From<&'a Note> for NoteTwin<'a> {
    fn from(note: &'a Note) -> Self {
        match note {
            Note::ByHost => Self(atoms::by_host(), None),
            Note::Capitals(host) => Self(atoms::capitals(), Some(host)),
            Note::OtherName(name) => Self(atoms::other_name(), Some(name)),
        }
    }
}

impl Encoder for NoteTwin<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        (self.0, self.1).encode(env)
    }
}

fn transport(transport: Transport) -> Atom {
    match transport {
        Transport::Udp => atoms::udp(),
        Transport::Tcp => atoms::tcp(),
        Transport::Hosts => atoms::hosts(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A list of one, or of none when nothing was refused.
fn refused(reason: Atom, refused: &endpoint::Refused) -> Vec<RefusedTwin> {
    let twin = RefusedTwin {
        reason,
        count: refused.count,
        example: refused.example.clone(),
    };
    Some(twin)
        .filter(|twin| twin.count > 0)
        .into_iter()
        .collect()
}

impl<'a> From<&'a resolver::Lookup> for Lookup<'a> {
    fn from(lookup: &'a resolver::Lookup) -> Self {
        Self {
            endpoints: Endpoints(&lookup.endpoints),
            ttl: lookup.ttl,
            server: &lookup.server,
            transport: transport(lookup.transport),
            elapsed: micros(lookup.elapsed),
            unresolved: &lookup.unresolved,
            refused: refused(atoms::invalid_name(), &lookup.refused),
        }
    }
}

impl From<&Report> for PollReport {
    fn from(report: &Report) -> Self {
        let none = endpoint::Refused::default;
        let mut by_reason = [
            (
                Refusal::InvalidName,
                atoms::invalid_name(),
                report.lookup.refused.clone(),
            ),
            (Refusal::MaxMembers, atoms::max_members(), none()),
            (Refusal::AtomLimit, atoms::atom_limit(), none()),
            (Refusal::NoAnswer, atoms::no_answer(), none()),
            (Refusal::NotAllowed, atoms::not_allowed(), none()),
            (Refusal::OtherFamily, atoms::other_family(), none()),
            (Refusal::ShortName, atoms::short_name(), none()),
            (Refusal::LongName, atoms::long_name(), none()),
            (Refusal::NoPort, atoms::no_port(), none()),
        ];
        for (name, reason) in &report.changes.refused {
            for (of, _, counted) in &mut by_reason {
                if of == reason {
                    counted.add(name);
                }
            }
        }
        let changes = &report.changes;
        let why = report.lookup.incomplete.as_ref().map(Missing::why);
        Self {
            ttl: report.lookup.ttl,
            server: report.lookup.server.clone(),
            transport: transport(report.lookup.transport),
            elapsed: micros(report.lookup.elapsed),
            endpoints: report.endpoints,
            members: report.members,
            waiting: report.waiting,
            added: changes.added.clone(),
            expired: changes.expired.clone(),
            withdrawn: changes.withdrawn.clone(),
            returned: changes.returned.clone(),
            moved: changes.moved.clone(),
            refused: by_reason
                .iter()
                .flat_map(|(_, atom, counted)| refused(*atom, counted))
                .collect(),
            unresolved: report.unresolved.clone(),
            itself: report.itself.clone(),
            incomplete: why.map(Error::to_string),
            cut: why.is_some_and(|why| why.kind() == Kind::Truncated),
        }
    }
}
