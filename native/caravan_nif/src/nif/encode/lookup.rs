//! Lookups, polls and probes, as Elixir sees them.

use std::net::IpAddr;
use std::time::Duration;

use rustler::types::map::map_new;
use rustler::{Atom, Encoder, Env, NifMap, NifStruct, Term};

use super::{Failure, Ip, Outcome, atoms};
use crate::discovery::{AdmissionReport, PollReport};
use crate::endpoint::{Endpoint, RefusedNames};
use crate::error::{Details, Error, Kind};
use crate::membership::Refusal;
use crate::resolver::{Lookup, Missing, Transport};

/// `{:error, {kind, sentence, details}}` of a lookup. The details are a map, which includes a partial answer.
struct LookupFailure<'a>(&'a Error, Option<ExLookup<'a>>);

impl Encoder for LookupFailure<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let Failure(kind, sentence) = Failure::from(self.0);
        let mut details: Vec<(Atom, Term<'a>)> = Vec::new();
        if let Some(Details { context, rcode }) = self.0.details() {
            // Sometimes the reason for querying a server follows it.
            let plain = |server: &String| server.split(' ').next().map(str::to_owned);
            let servers: Vec<String> = context.servers.iter().filter_map(plain).collect();
            details.push((atoms::question(), context.question.encode(env)));
            details.push((atoms::servers(), servers.encode(env)));
            let elapsed = u64::try_from(context.elapsed.as_millis()).unwrap_or(u64::MAX);
            details.push((atoms::elapsed_ms(), elapsed.encode(env)));
            details.extend(rcode.map(|code| (atoms::rcode(), code.encode(env))));
        }
        details.extend(self.1.as_ref().map(|part| (atoms::partial(), part.encode(env))));
        let (keys, values): (Vec<_>, Vec<_>) = details.into_iter().unzip();
        let details = Term::map_from_arrays(env, &keys, &values).unwrap_or_else(|_| map_new(env));
        (atoms::error(), (kind, sentence, details)).encode(env)
    }
}

impl Encoder for Outcome<Lookup> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(lookup) => match &lookup.incomplete {
                None => (atoms::ok(), ExLookup::from(lookup)).encode(env),
                Some(missing) => LookupFailure(missing.why(), Some(ExLookup::from(lookup))).encode(env),
            },
            Err(error) => LookupFailure(error, None).encode(env),
        }
    }
}

impl Encoder for Outcome<PollReport> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(report) => (atoms::ok(), ExPollReport::from(report)).encode(env),
            Err(error) => LookupFailure(error, None).encode(env),
        }
    }
}

impl Encoder for Outcome<AdmissionReport> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match &self.0 {
            Ok(report) => (atoms::ok(), ExAdmissionReport::from(report)).encode(env),
            Err(error) => Failure::from(error).encode(env),
        }
    }
}

#[derive(NifStruct)]
#[module = "Caravan.Endpoint"]
#[rustler(encode)]
struct ExEndpoint<'a> {
    host: Option<&'a str>,
    addresses: Addresses<'a>,
    port: Option<u16>,
    priority: u16,
    weight: u16,
}

/// Encoded in place, so that a big answer isn't copied once more.
struct Addresses<'a>(&'a [IpAddr]);

impl Encoder for Addresses<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let ips = self.0.iter().rev();
        ips.fold(Term::list_new_empty(env), |list, ip| list.list_prepend(Ip(*ip)))
    }
}

struct Endpoints<'a>(&'a [Endpoint]);

impl Encoder for Endpoints<'_> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let mut plain = None;
        let encode = |endpoint: &Endpoint| match endpoint {
            // The map of an address differs from that of another one in a single value, and they share their keys.
            Endpoint {
                host: None,
                port: None,
                priority: 0,
                weight: 0,
                addresses,
            } => {
                let plain = plain.get_or_insert_with(|| ExEndpoint::from(endpoint).encode(env));
                plain
                    .map_put(atoms::addresses(), Addresses(addresses))
                    .unwrap_or_else(|_not_a_map| ExEndpoint::from(endpoint).encode(env))
            }
            service => ExEndpoint::from(service).encode(env),
        };
        let terms = self.0.iter().rev().map(encode);
        terms.fold(Term::list_new_empty(env), Term::list_prepend)
    }
}

impl<'a> From<&'a Endpoint> for ExEndpoint<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        Self {
            host: endpoint.host.as_deref(),
            addresses: Addresses(&endpoint.addresses),
            port: endpoint.port,
            priority: endpoint.priority,
            weight: endpoint.weight,
        }
    }
}

#[derive(NifStruct)]
#[module = "Caravan.Lookup"]
#[rustler(encode)]
struct ExLookup<'a> {
    endpoints: Endpoints<'a>,
    ttl: u32,
    server: &'a str,
    transport: Atom,
    elapsed: u64,
    unresolved: &'a [String],
    refused: Vec<ExRefused>,
}

#[derive(NifMap)]
#[rustler(encode)]
struct ExRefused {
    reason: Atom,
    count: usize,
    example: String,
}

#[derive(NifMap)]
#[rustler(encode)]
pub(crate) struct ExAdmissionReport<'a> {
    members: usize,
    added: &'a [String],
    expired: &'a [String],
    spared: &'a [String],
    linked: &'a [String],
    joined: bool,
    waiting: usize,
}

impl<'a> From<&'a AdmissionReport> for ExAdmissionReport<'a> {
    fn from(report: &'a AdmissionReport) -> Self {
        let told = report.changes.told();
        Self {
            members: report.members,
            added: told.added,
            expired: told.expired,
            spared: told.spared,
            linked: told.linked,
            joined: told.joined,
            waiting: report.waiting,
        }
    }
}

#[derive(NifMap)]
#[rustler(encode)]
struct ExPollReport<'a> {
    ttl: u32,
    server: String,
    transport: Atom,
    elapsed: u64,
    endpoints: usize,
    members: usize,
    waiting: usize,
    added: &'a [String],
    expired: &'a [String],
    withdrawn: &'a [String],
    returned: &'a [String],
    moved: &'a [String],
    spared: &'a [String],
    linked: &'a [String],
    joined: bool,
    refused: Vec<ExRefused>,
    unresolved: Vec<String>,
    itself: Vec<String>,
    incomplete: Option<String>,
    /// Whether the answer is incomplete because it was truncated.
    cut: bool,
}

fn transport(transport: Transport) -> Atom {
    match transport {
        Transport::Udp => atoms::udp(),
        Transport::Tcp => atoms::tcp(),
        Transport::HostsFile => atoms::hosts(),
        Transport::Handshake => atoms::handshake(),
        Transport::Given => atoms::given(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A list of one, or of none when nothing was refused.
fn refused(reason: Atom, refused: &RefusedNames) -> Vec<ExRefused> {
    let refused = ExRefused {
        reason,
        count: refused.count,
        example: refused.example.clone(),
    };
    Some(refused).filter(|refused| refused.count > 0).into_iter().collect()
}

impl<'a> From<&'a Lookup> for ExLookup<'a> {
    fn from(lookup: &'a Lookup) -> Self {
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

impl<'a> From<&'a PollReport> for ExPollReport<'a> {
    fn from(report: &'a PollReport) -> Self {
        let none = RefusedNames::default;
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
            (Refusal::OtherPort, atoms::other_port(), none()),
        ];
        for (name, reason) in &report.changes.refused {
            for (of, _, counted) in &mut by_reason {
                if of == reason {
                    counted.add(name);
                }
            }
        }
        let told = report.changes.told();
        let why = report.lookup.incomplete.as_ref().map(Missing::why);
        Self {
            ttl: report.lookup.ttl,
            server: report.lookup.server.clone(),
            transport: transport(report.lookup.transport),
            elapsed: micros(report.lookup.elapsed),
            endpoints: report.endpoints,
            members: report.members,
            waiting: report.waiting,
            added: told.added,
            expired: told.expired,
            withdrawn: told.withdrawn,
            returned: told.returned,
            moved: told.moved,
            spared: told.spared,
            linked: told.linked,
            joined: told.joined,
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
