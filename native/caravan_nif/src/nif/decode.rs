//! What comes from Elixir: the maps that say what to look up, and how to keep members.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustler::{Binary, Decoder, NifMap, NifResult, NifUnitEnum, NifUntaggedEnum, Term};

use crate::ask::{Place, Question};
use crate::discovery::{DiscoveryConfig, OwnIdentity, Source};
use crate::error::Error;
use crate::membership::Reach;
use crate::node_name::{Listening, PortRules};
use crate::probe::Purpose;
use crate::resolver::{Recall, Spec, Type, nameserver};
use crate::settings::{Settings, settings};

#[derive(NifUnitEnum)]
enum ExType {
    Srv,
    A,
    Aaaa,
    Ip,
}

#[derive(NifUnitEnum)]
enum ExLocal {
    Local,
}

#[derive(NifUnitEnum)]
enum ExNodes {
    Nodes,
}

/// Where a topology's names come from: a record type, `{:local, ports}` or `{:nodes, names}`.
#[derive(NifUntaggedEnum)]
enum ExSource {
    Dns(ExType),
    Local((ExLocal, u16)),
    Nodes((ExNodes, Vec<String>)),
}

/// What a probe is for.
#[derive(NifUnitEnum)]
pub(crate) enum ExPurpose {
    Dial,
    Redial,
    Link,
}

impl From<ExPurpose> for Purpose {
    fn from(purpose: ExPurpose) -> Self {
        match purpose {
            ExPurpose::Dial => Self::Dial,
            ExPurpose::Redial => Self::Redial,
            ExPurpose::Link => Self::Link,
        }
    }
}

#[derive(NifUnitEnum)]
enum ExTransport {
    Auto,
    Tcp,
}

#[derive(NifUnitEnum)]
enum ExSystem {
    System,
}

/// The servers to query, each once; `None` for the system's. Whatever else it is becomes an error with a sentence.
struct Nameservers(Result<Option<Vec<SocketAddr>>, Error>);

impl<'a> Decoder<'a> for Nameservers {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if term.decode::<ExSystem>().is_ok() {
            return Ok(Self(Ok(None)));
        }
        let mut servers = Vec::new();
        // Neither the end of an improper list nor anything but text is a server.
        let mut rest = term;
        while let Ok((server, tail)) = rest.list_get_cell() {
            match nameserver(server.decode().unwrap_or_default()) {
                Ok(server) if servers.contains(&server) => {}
                Ok(server) => servers.push(server),
                Err(error) => return Ok(Self(Err(error))),
            }
            rest = tail;
        }
        if servers.is_empty() || !rest.is_empty_list() {
            return Ok(Self(nameserver("").map(|_| None)));
        }
        Ok(Self(Ok(Some(servers))))
    }
}

/// An address in the form of `:inet`.
pub(crate) struct Ip(pub(crate) IpAddr);

impl<'a> Decoder<'a> for Ip {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let parts = rustler::types::tuple::get_tuple(term)?;
        let parts: Vec<u16> = parts.into_iter().map(Term::decode).collect::<Result<_, _>>()?;
        let address = match *parts.as_slice() {
            [a, b, c, d] => {
                let octet = |part: u16| u8::try_from(part).map_err(|_| rustler::Error::BadArg);
                IpAddr::from([octet(a)?, octet(b)?, octet(c)?, octet(d)?])
            }
            [a, b, c, d, e, f, g, h] => IpAddr::from([a, b, c, d, e, f, g, h]),
            _ => return Err(rustler::Error::BadArg),
        };
        Ok(Self(address))
    }
}

/// The address family that distribution uses.
#[derive(Clone, Copy, PartialEq, Eq, NifUnitEnum)]
pub(crate) enum ExFamily {
    Inet,
    Inet6,
}

impl ExFamily {
    pub(crate) fn is_ipv6(self) -> bool {
        self == Self::Inet6
    }
}

/// The load info.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct LoadInfo {
    base_port: u16,
    dist_port: Option<u16>,
    listen_port: Option<u16>,
    dialled: bool,
    family: ExFamily,
}

impl LoadInfo {
    pub(crate) fn read(self) -> Settings {
        Settings {
            rules: PortRules {
                base_port: self.base_port,
                dist_port: self.dist_port,
            },
            listening: Listening {
                port: self.listen_port,
                anywhere: !self.dialled,
            },
            ipv6: self.family.is_ipv6(),
        }
    }
}

/// `Caravan.Native.lookup/2`'s argument.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct LookupSpec {
    query: String,
    r#type: ExType,
    nameservers: Nameservers,
    transport: ExTransport,
    timeout: u64,
}

/// What `Caravan.Native.reach/3` reports of a node.
#[derive(Clone, Copy, NifUnitEnum)]
pub(crate) enum ExReach {
    Linked,
    Unlinked,
    OutOfReach,
}

impl From<ExReach> for Reach {
    fn from(reach: ExReach) -> Self {
        match reach {
            ExReach::Linked => Self::Linked,
            ExReach::Unlinked => Self::Unlinked,
            ExReach::OutOfReach => Self::OutOfReach,
        }
    }
}

/// How an interview ended, if not by what was said.
#[derive(NifUnitEnum)]
pub(crate) enum ExEnd {
    Closed,
    TimedOut,
}

#[derive(NifUntaggedEnum)]
enum ExPlace {
    Node(String),
    Port((String, u16)),
}

/// `Caravan.Native.handshake/2`'s argument.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct QuestionSpec<'a> {
    place: ExPlace,
    own: String,
    cookie: Option<Binary<'a>>,
    timeout: u64,
    mandatory: u64,
}

impl QuestionSpec<'_> {
    /// The question, and the flags that this node requires of others.
    pub(crate) fn read(self) -> (Question, u64) {
        let place = match self.place {
            ExPlace::Node(name) => Place::Node(name),
            ExPlace::Port((host, port)) => Place::Port(host, port),
        };
        let question = Question {
            place,
            own: self.own,
            cookie: self.cookie.map(|cookie| cookie.to_vec()),
            patience: Duration::from_millis(self.timeout),
        };
        (question, self.mandatory)
    }
}

/// A topology's options, `Caravan.Topology.Config`.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct ConfigSpec {
    queries: Vec<String>,
    source: ExSource,
    nameservers: Nameservers,
    transport: ExTransport,
    timeout: u64,
    sname: Option<String>,
    template: Option<String>,
    expire_after: u64,
    withdraw_after: Option<u64>,
    max_members: usize,
    links: Option<usize>,
    allow: Vec<String>,
}

/// On whose behalf `Caravan.Native.membership_new/2` makes names.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct IdentitySpec {
    own: String,
    long_names: Option<bool>,
    bound: Option<Ip>,
    probes: bool,
}

fn spec(
    query: String,
    of: &ExType,
    nameservers: Nameservers,
    transport: &ExTransport,
    timeout: u64,
) -> Result<Spec, Error> {
    let record_type = match of {
        ExType::Srv => Type::Srv,
        ExType::A => Type::A,
        ExType::Aaaa => Type::Aaaa,
        ExType::Ip => Type::Ip,
    };
    let tcp = matches!(transport, ExTransport::Tcp);
    Ok(Spec {
        query,
        record_type,
        nameservers: nameservers.0?,
        tcp,
        timeout: Duration::from_millis(timeout),
        ipv6: settings().ipv6,
        recall: Recall::Off,
    })
}

impl LookupSpec {
    pub(crate) fn read(self) -> Result<Spec, Error> {
        spec(
            self.query,
            &self.r#type,
            self.nameservers,
            &self.transport,
            self.timeout,
        )
    }
}

impl ConfigSpec {
    pub(crate) fn read(self) -> Result<DiscoveryConfig, Error> {
        let source = match self.source {
            ExSource::Dns(of) => Source::Dns(spec(
                String::new(),
                &of,
                self.nameservers,
                &self.transport,
                self.timeout,
            )?),
            ExSource::Local((ExLocal::Local, count)) => Source::local(count),
            ExSource::Nodes((ExNodes::Nodes, nodes)) => Source::Nodes(nodes),
        };
        Ok(DiscoveryConfig {
            source,
            queries: self.queries,
            sname: self.sname,
            template: self.template,
            allow: self.allow,
            expire_after: Duration::from_millis(self.expire_after),
            withdraw_after: self.withdraw_after.map(Duration::from_millis),
            max_members: self.max_members,
            links: self.links,
        })
    }
}

impl IdentitySpec {
    pub(crate) fn read(self) -> OwnIdentity {
        OwnIdentity {
            name: self.own,
            long_names: self.long_names,
            bound: self.bound.map(|ip| ip.0),
            probes: self.probes,
        }
    }
}
