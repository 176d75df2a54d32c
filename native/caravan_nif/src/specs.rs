//! What comes from Elixir: the maps that say what to look up and how to keep members.

use std::net::SocketAddr;
use std::time::Duration;

use rustler::{NifMap, NifUnitEnum, NifUntaggedEnum};

use crate::discovery::{self, Plan};
use crate::error::Error;
use crate::membership::Limits;
use crate::probe::Purpose;
use crate::resolver::{Spec, Type};

#[derive(NifUnitEnum)]
enum TypeTwin {
    Srv,
    A,
    Aaaa,
    Ip,
}

/// What a probe is for.
#[derive(NifUnitEnum)]
pub(crate) enum PurposeTwin {
    Dial,
    Redial,
    Link,
}

impl From<PurposeTwin> for Purpose {
    fn from(twin: PurposeTwin) -> Self {
        match twin {
            PurposeTwin::Dial => Self::Dial,
            PurposeTwin::Redial => Self::Redial,
            PurposeTwin::Link => Self::Link,
        }
    }
}

#[derive(NifUnitEnum)]
enum TransportTwin {
    Auto,
    Tcp,
}

#[derive(NifUnitEnum)]
enum SystemTwin {
    System,
}

#[derive(NifUntaggedEnum)]
enum Nameservers {
    System(SystemTwin),
    Given(Vec<String>),
}

/// `Caravan.Native.lookup/2`'s argument.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct LookupSpec {
    query: String,
    r#type: TypeTwin,
    nameservers: Nameservers,
    transport: TransportTwin,
    timeout: u64,
}

/// `Caravan.Native.membership_new/1`'s argument.
#[derive(NifMap)]
#[rustler(decode)]
pub(crate) struct MembershipSpec {
    queries: Vec<String>,
    r#type: TypeTwin,
    nameservers: Nameservers,
    transport: TransportTwin,
    timeout: u64,
    sname: String,
    template: String,
    expire_after: u64,
    withdraw_after: Option<u64>,
    max_members: usize,
    probes: bool,
    allow: Vec<String>,
}

fn spec(
    query: String,
    of: &TypeTwin,
    servers: &Nameservers,
    transport: &TransportTwin,
    timeout: u64,
) -> Result<Spec, Error> {
    let nameservers = match servers {
        Nameservers::System(_) => None,
        Nameservers::Given(servers) => Some(
            servers
                .iter()
                .map(|server| socket_address(server))
                .collect::<Result<_, _>>()?,
        ),
    };
    let record_type = match of {
        TypeTwin::Srv => Type::Srv,
        TypeTwin::A => Type::A,
        TypeTwin::Aaaa => Type::Aaaa,
        TypeTwin::Ip => Type::Ip,
    };
    let tcp = matches!(transport, TransportTwin::Tcp);
    Ok(Spec {
        query,
        record_type,
        nameservers,
        tcp,
        timeout: Duration::from_millis(timeout),
        ipv6: discovery::settings().ipv6,
        known: None,
    })
}

fn socket_address(text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| Error::InvalidOption {
        option: "nameservers",
        expected: "addresses such as \"127.0.0.1:8600\" or \"[::1]:53\"".into(),
        got: text.into(),
    })
}

impl LookupSpec {
    pub(crate) fn read(self) -> Result<Spec, Error> {
        spec(
            self.query,
            &self.r#type,
            &self.nameservers,
            &self.transport,
            self.timeout,
        )
    }
}

impl MembershipSpec {
    pub(crate) fn read(self) -> Result<Plan, Error> {
        Ok(Plan {
            spec: spec(
                String::new(),
                &self.r#type,
                &self.nameservers,
                &self.transport,
                self.timeout,
            )?,
            queries: self.queries,
            sname: self.sname,
            template: self.template,
            allow: self.allow,
            limits: Limits {
                expire_after: Duration::from_millis(self.expire_after),
                withdraw_after: self.withdraw_after.map(Duration::from_millis),
                max_members: self.max_members,
                probes: self.probes,
            },
        })
    }
}
