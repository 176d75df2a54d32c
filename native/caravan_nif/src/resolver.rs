//! Look-ups: this and its parts are the only files that name hickory.
//!
//! hickory-resolver gives the wire format, `resolv.conf` and the hosts file. Who is asked, when, and what an answer
//! means is decided here, because one deadline has to hold over all servers, retries, TCP and the addresses of SRV
//! targets: hickory's own pool makes one attempt more than it is told, does not notice that a port is closed, and ends
//! at the first SERVFAIL.

mod exchange;
mod records;
mod system;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::exchange::exchange;
use self::records::{plain, text};
use self::system::{HOSTS, RESOLV_CONF, System};
use crate::endpoint::{self, Data, Endpoint, Found, MAX_ALIASES, Record, Refused};
use crate::error::{Asked, Error};

/// SRV targets resolved at the same time, by one look-up.
const TARGETS_AT_ONCE: usize = 64;

/// Which records are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// SRV, with the addresses of the targets.
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Both.
    Ip,
}

/// How an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection, for answers that do not fit.
    Tcp,
    /// From the hosts file.
    Hosts,
}

/// What to look up, where, and for how long.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name.
    pub query: String,
    /// The records.
    pub record_type: Type,
    /// The servers; `None` for the system's.
    pub nameservers: Option<Vec<SocketAddr>>,
    /// TCP at once.
    pub tcp: bool,
    /// The deadline of it all.
    pub timeout: Duration,
}

/// The endpoints and TTL of one query, and how they came.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// In order of priority, weight and name.
    pub endpoints: Vec<Endpoint>,
    /// Seconds.
    pub ttl: u32,
    /// Who answered.
    pub server: String,
    /// How.
    pub transport: Transport,
    /// The time spent.
    pub elapsed: Duration,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
    /// Targets that can't be hosts.
    pub refused: Refused,
}

/// Looks up one query.
///
/// # Errors
/// Every kind that design calls a look-up's, always within `spec.timeout`.
pub async fn lookup(spec: &Spec) -> Result<Lookup, Error> {
    let asking = Asking::new(spec)?;
    let mut failure = None;
    for name in asking.candidates(&spec.query)? {
        let outcome = match spec.record_type {
            Type::Srv => asking.services(&name).await,
            wanted => asking.addresses(&name, wanted).await,
        };
        match outcome {
            // The search list goes on after these two only, as in getaddrinfo; "no data" tells more than "no name".
            Err(error @ Error::NoData { .. }) => failure = Some(error),
            Err(error @ Error::NxDomain { .. }) => failure = failure.or(Some(error)),
            decided => return decided,
        }
    }
    Err(failure.unwrap_or_else(|| asking.invalid(&spec.query, "no name can be made of it")))
}

/// One look-up under way: who may be asked, and until when.
struct Asking {
    servers: Vec<SocketAddr>,
    system: Option<Arc<System>>,
    tcp: bool,
    attempts: usize,
    patience: Duration,
    start: Instant,
    deadline: Instant,
}

/// A decoded answer and where it came from.
struct Answer {
    records: Vec<Record>,
    additionals: Vec<Record>,
    server: SocketAddr,
    transport: Transport,
}

/// One kind of records of one name, aliases followed.
struct Resolved {
    records: Vec<Record>,
    ttl: u32,
    answer: Answer,
}

impl Asking {
    fn new(spec: &Spec) -> Result<Self, Error> {
        let start = Instant::now();
        let (servers, system) = match &spec.nameservers {
            Some(servers) => (servers.clone(), None),
            None => {
                let system = System::current().map_err(|reason| Error::Network {
                    asked: Asked {
                        question: spec.query.clone(),
                        servers: vec![RESOLV_CONF.into()],
                        elapsed: start.elapsed(),
                    },
                    reason: format!("the system's name servers are not known ({reason}); give the option nameservers"),
                })?;
                (
                    system
                        .config
                        .name_servers()
                        .iter()
                        .map(|server| SocketAddr::new(server.ip, 53))
                        .collect(),
                    Some(system),
                )
            }
        };
        let attempts = system
            .as_ref()
            .map_or(2, |system| system.options.attempts.clamp(1, 5));
        // So that every server is asked once, and the first once more, before the deadline.
        let share = spec.timeout / (u32::try_from(servers.len() * attempts).unwrap_or(1) + 1);
        let patience = system
            .as_ref()
            .map_or(share, |system| share.min(system.options.timeout));
        Ok(Self {
            servers,
            system,
            tcp: spec.tcp,
            attempts,
            patience,
            start,
            deadline: start + spec.timeout,
        })
    }

    /// The names to try, in order: the search list of resolv.conf applies to the system's servers only.
    fn candidates(&self, query: &str) -> Result<Vec<String>, Error> {
        let absolute = query.ends_with('.');
        let name = query
            .strip_suffix('.')
            .unwrap_or(query)
            .to_ascii_lowercase();
        if !endpoint::is_host(&name) {
            return Err(self.invalid(
                query,
                "labels of 1 to 63 letters, digits, - and _ with dots between, 253 at the most",
            ));
        }
        let Some(system) = self.system.as_ref().filter(|_| !absolute) else {
            return Ok(vec![name]);
        };
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let mut names: Vec<String> = system
            .config
            .search()
            .iter()
            .map(|domain| format!("{name}.{}", text(domain)))
            .filter(|name| endpoint::is_host(name))
            .collect();
        if dots >= system.options.ndots {
            names.insert(0, name);
        } else {
            names.push(name);
        }
        Ok(names)
    }

    fn invalid(&self, query: &str, reason: &'static str) -> Error {
        Error::InvalidName {
            expected: "a domain name such as _app._tcp.example.org",
            got: query.as_bytes().to_vec(),
            reason,
        }
    }

    async fn addresses(&self, name: &str, wanted: Type) -> Result<Lookup, Error> {
        if let Some(found) = self.in_hosts(name, wanted) {
            return Ok(found);
        }
        let resolved = match wanted {
            Type::A => self.resolve(name, RecordType::A).await?,
            Type::Aaaa => self.resolve(name, RecordType::AAAA).await?,
            Type::Ip | Type::Srv => {
                let (v4, v6) = tokio::join!(
                    self.resolve(name, RecordType::A),
                    self.resolve(name, RecordType::AAAA),
                );
                match (v4, v6) {
                    (Ok(mut v4), Ok(v6)) => {
                        v4.records.extend(v6.records);
                        v4.ttl = v4.ttl.min(v6.ttl);
                        v4
                    }
                    (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
                    (Err(Error::NoData { .. }), Err(other)) | (Err(other), Err(_)) => {
                        return Err(other);
                    }
                }
            }
        };
        Ok(self.found(endpoint::addresses(&resolved.records), &resolved))
    }

    async fn services(&self, name: &str) -> Result<Lookup, Error> {
        let resolved = self.resolve(name, RecordType::SRV).await?;
        let Some((mut endpoints, refused)) = endpoint::services(&resolved.records) else {
            let asked = self.asked(name, RecordType::SRV, &[resolved.answer.server]);
            return Err(Error::NoData {
                asked,
                reason: "the service is declared not available there (target \".\")",
            });
        };
        let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for record in &resolved.answer.additionals {
            if let Data::Address(ip) = record.data {
                known.entry(record.owner.to_string()).or_default().push(ip);
            }
        }
        let ttl = self
            .resolve_targets(&endpoints, &mut known)
            .await
            .min(resolved.ttl);
        let mut unresolved = Vec::new();
        for endpoint in &mut endpoints {
            let Some(host) = &endpoint.host else { continue };
            match known.get(host) {
                Some(addresses) => endpoint.addresses.clone_from(addresses),
                None => unresolved.push(host.clone()),
            }
        }
        unresolved.dedup();
        Ok(Lookup {
            ttl,
            unresolved,
            refused,
            ..self.found(endpoints, &resolved)
        })
    }

    /// Finds the addresses of the targets that the additional section did not give; answers the lowest TTL seen.
    async fn resolve_targets(
        &self,
        endpoints: &[Endpoint],
        known: &mut HashMap<String, Vec<IpAddr>>,
    ) -> u32 {
        let mut hosts: Vec<String> = endpoints
            .iter()
            .filter_map(|endpoint| endpoint.host.clone())
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|host| !known.contains_key(host));
        // A literal address as a target is not what RFC 2782 wants, but what it means is plain.
        hosts.retain(|host| match host.parse::<IpAddr>() {
            Ok(ip) => known.insert(host.clone(), vec![ip]).is_some(),
            Err(_) => true,
        });
        let mut ttl = u32::MAX;
        let mut asking = JoinSet::new();
        let mut hosts = hosts.into_iter();
        loop {
            for host in hosts.by_ref().take(TARGETS_AT_ONCE - asking.len()) {
                let asker = self.again();
                asking.spawn(async move {
                    let found = asker.addresses(&host, Type::Ip).await;
                    (host, found)
                });
            }
            match asking.join_next().await {
                Some(Ok((host, Ok(found)))) => {
                    ttl = ttl.min(found.ttl);
                    known.insert(
                        host,
                        found
                            .endpoints
                            .into_iter()
                            .flat_map(|endpoint| endpoint.addresses)
                            .collect(),
                    );
                }
                Some(_) => {}
                None => return ttl,
            }
        }
    }

    fn again(&self) -> Self {
        Self {
            servers: self.servers.clone(),
            system: self.system.clone(),
            ..*self
        }
    }

    fn in_hosts(&self, name: &str, wanted: Type) -> Option<Lookup> {
        let hosts = &self.system.as_ref()?.hosts;
        let name = Name::from_ascii(format!("{name}.")).ok()?;
        let types: &[RecordType] = match wanted {
            Type::A => &[RecordType::A],
            Type::Aaaa => &[RecordType::AAAA],
            Type::Ip | Type::Srv => &[RecordType::A, RecordType::AAAA],
        };
        let records: Vec<Record> = types
            .iter()
            .filter_map(|of| hosts.lookup_static_host(&Query::query(name.clone(), *of)))
            .flat_map(|found| plain(found.answers()))
            .collect();
        let endpoints = endpoint::addresses(&records);
        (!endpoints.is_empty()).then(|| Lookup {
            endpoints,
            ttl: 0,
            server: HOSTS.into(),
            transport: Transport::Hosts,
            elapsed: self.start.elapsed(),
            unresolved: Vec::new(),
            refused: Refused::default(),
        })
    }

    fn found(&self, endpoints: Vec<Endpoint>, from: &Resolved) -> Lookup {
        Lookup {
            endpoints,
            ttl: from.ttl,
            server: from.answer.server.to_string(),
            transport: from.answer.transport,
            elapsed: self.start.elapsed(),
            unresolved: Vec::new(),
            refused: Refused::default(),
        }
    }

    /// Asks for one type of one name, and again where the answer ends at an alias.
    async fn resolve(&self, name: &str, of: RecordType) -> Result<Resolved, Error> {
        let mut owner = name.to_owned();
        let mut lowest = u32::MAX;
        for _ in 0..MAX_ALIASES {
            let answer = self.ask(&owner, of).await?;
            let wanted = |data: &Data| match data {
                Data::Address(ip) => {
                    of == if ip.is_ipv4() {
                        RecordType::A
                    } else {
                        RecordType::AAAA
                    }
                }
                Data::Service { .. } => of == RecordType::SRV,
                Data::Alias(_) => false,
            };
            match endpoint::find(&owner, &answer.records, wanted) {
                Found::Records(records, ttl) => {
                    return Ok(Resolved {
                        records,
                        ttl: ttl.min(lowest),
                        answer,
                    });
                }
                Found::Elsewhere(target) => {
                    lowest = lowest.min(
                        answer
                            .records
                            .iter()
                            .map(|record| record.ttl)
                            .min()
                            .unwrap_or(lowest),
                    );
                    owner = target.to_string();
                }
                Found::Nothing => {
                    let asked = self.asked(name, of, &[answer.server]);
                    return Err(Error::NoData {
                        asked,
                        reason: "has no record of this type",
                    });
                }
                Found::Endless => break,
            }
        }
        let asked = self.asked(name, of, &self.servers);
        Err(Error::Malformed {
            asked,
            reason: "its aliases (CNAME) never end".into(),
        })
    }

    /// Asks the servers for one question: the next one whenever one fails or keeps silent, the first real answer counts.
    async fn ask(&self, name: &str, of: RecordType) -> Result<Answer, Error> {
        let Ok(owner) = Name::from_ascii(format!("{name}.")) else {
            return Err(self.invalid(name, "it is no domain name"));
        };
        let question = Query::query(owner, of);
        let mut plan = self.servers.repeat(self.attempts).into_iter().peekable();
        let mut asked = Vec::new();
        let mut failure = None;
        let mut tries = JoinSet::new();
        loop {
            if let Some(server) = plan.next() {
                if !asked.contains(&server) {
                    asked.push(server);
                }
                let (question, tcp, deadline) = (question.clone(), self.tcp, self.deadline);
                tries.spawn(
                    async move { (server, exchange(server, &question, tcp, deadline).await) },
                );
            }
            let until = if plan.peek().is_some() {
                self.deadline.min(Instant::now() + self.patience)
            } else {
                self.deadline
            };
            match timeout_at(until, tries.join_next()).await {
                Ok(Some(Ok((server, Ok((message, transport)))))) => {
                    match self.judge(&message, transport, server, name, of) {
                        Ok(answer) => return Ok(answer),
                        Err(error @ (Error::NxDomain { .. } | Error::NoData { .. })) => {
                            return Err(error);
                        }
                        Err(error) => failure = Some(error),
                    }
                }
                Ok(Some(Ok((server, Err(broken))))) => {
                    failure = Some(broken.explained(self.asked(name, of, &[server])));
                }
                Ok(Some(Err(_panicked))) => {}
                Ok(None) if plan.peek().is_none() => break,
                Ok(None) => {}
                Err(_elapsed) if Instant::now() >= self.deadline => break,
                Err(_elapsed) => {}
            }
        }
        Err(failure.unwrap_or_else(|| Error::Timeout {
            asked: self.asked(name, of, &asked),
        }))
    }

    fn judge(
        &self,
        message: &Message,
        transport: Transport,
        server: SocketAddr,
        name: &str,
        of: RecordType,
    ) -> Result<Answer, Error> {
        let asked = || self.asked(name, of, &[server]);
        match message.metadata.response_code {
            ResponseCode::NoError => {}
            ResponseCode::NXDomain => return Err(Error::NxDomain { asked: asked() }),
            ResponseCode::Refused => return Err(Error::Refused { asked: asked() }),
            ResponseCode::ServFail => {
                return Err(Error::ServFail {
                    asked: asked(),
                    code: "SERVFAIL".into(),
                });
            }
            other => {
                return Err(Error::ServFail {
                    asked: asked(),
                    code: other.to_str().into(),
                });
            }
        }
        Ok(Answer {
            records: plain(&message.answers),
            additionals: plain(&message.additionals),
            server,
            transport,
        })
    }

    fn asked(&self, name: &str, of: RecordType, servers: &[SocketAddr]) -> Asked {
        Asked {
            question: format!("{name} {of}"),
            servers: servers.iter().map(ToString::to_string).collect(),
            elapsed: self.start.elapsed(),
        }
    }
}
