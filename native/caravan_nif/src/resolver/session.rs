//! The queries of one lookup: which servers to query, and what an answer means, under one deadline.

mod race;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{self, Duration};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::time::Instant;

use self::race::RaceResult;
use super::response::{Response, code_word};
use super::system::System;
use super::{Recall, Spec, Transport, Type};
use crate::endpoint::{self, Data, Found, MAX_ALIASES, Record};
use crate::error::{Context, Error};

/// How often each server is queried, unless resolv.conf says otherwise.
const ATTEMPTS: usize = 2;

/// One lookup under way: which servers to query, and until when.
#[derive(Clone)]
pub(super) struct Session {
    servers: Vec<SocketAddr>,
    /// The server that answered last. The next query goes there first, so that a dead server costs its patience once.
    alive: Arc<AtomicUsize>,
    /// Set if the system's own servers are queried: then its search list and hosts file count, too.
    pub(super) system: Option<System>,
    pub(super) ipv6: bool,
    recall: Recall,
    /// The first server's reply to the first question, if that has been asked already.
    reply: Arc<Mutex<Option<Vec<u8>>>>,
    tcp: bool,
    attempts: usize,
    /// How long a server may stay silent before the next one is queried, too.
    patience: Duration,
    start: Instant,
    deadline: Instant,
}

/// The records of one type of one name, aliases followed.
pub(super) struct Resolved {
    pub(super) records: Vec<Record>,
    pub(super) ttl: u32,
    pub(super) additionals: Vec<Record>,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    /// Why some are missing, if any are.
    pub(super) missing: Option<Error>,
    /// The digest of the answer, if one was wanted and there was just one answer.
    pub(super) digest: Option<u64>,
    /// The answer was the known one, and was not read.
    pub(super) unchanged: bool,
}

impl Session {
    pub(super) fn new(spec: &Spec, start: time::Instant, reply: Option<Vec<u8>>) -> Self {
        let system = spec.nameservers.is_none().then(System::current);
        let resolver = system.as_ref().map(|system| &*system.resolver);
        let servers = spec
            .nameservers
            .clone()
            .or_else(|| resolver.map(|resolver| resolver.servers.clone()))
            .unwrap_or_default();
        let conf = resolver.map(|resolver| &resolver.conf);
        let attempts = conf.map_or(ATTEMPTS, |conf| conf.attempts);
        // So that every server is queried once, and the first one twice, before the deadline.
        let left = spec.timeout.saturating_sub(start.elapsed());
        let share = left / (u32::try_from(servers.len() * attempts).unwrap_or(1) + 1);
        Self {
            servers,
            alive: Arc::default(),
            ipv6: spec.ipv6,
            // What takes two questions has two answers.
            recall: if spec.record_type == Type::Ip {
                Recall::Off
            } else {
                spec.recall
            },
            tcp: spec.tcp || conf.is_some_and(|conf| conf.tcp),
            attempts,
            patience: conf.map_or(share, |conf| share.min(conf.timeout)),
            system,
            reply: Arc::new(Mutex::new(reply)),
            start: start.into(),
            deadline: (start + spec.timeout).into(),
        }
    }

    /// The same lookup, for names whose answers nobody recognizes by a digest.
    pub(super) fn for_hosts(&self) -> Self {
        Self {
            recall: Recall::Off,
            reply: Arc::default(),
            ..self.clone()
        }
    }

    /// The names to try, in order: the search list of resolv.conf applies to the system's servers only.
    pub(super) fn candidates(&self, name: String, absolute: bool) -> Vec<String> {
        match &self.system {
            Some(system) if !absolute => system.resolver.conf.candidates(name),
            _ => vec![name],
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether the deadline has passed.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    pub(super) fn expired(&self, question: &str) -> Error {
        Error::Timeout {
            context: self.context_of(question.to_owned(), &self.servers),
        }
    }

    /// Queries one type of one name, and again if the answer ends at an alias.
    pub(super) async fn resolve(&self, name: &str, of: RecordType) -> Result<Resolved, Error> {
        let mut owner = name.to_owned();
        let mut lowest = u32::MAX;
        for _ in 0..MAX_ALIASES {
            let RaceResult {
                answer,
                server,
                transport,
                missing,
            } = self.query(&owner, of).await?;
            if let Some(ttl) = answer.unchanged {
                return Ok(Resolved {
                    records: Vec::new(),
                    ttl,
                    additionals: Vec::new(),
                    server,
                    transport,
                    missing: None,
                    digest: answer.digest,
                    unchanged: true,
                });
            }
            let at_once = owner == name;
            match find(&owner, of, answer.records) {
                Found::Records(records, ttl) => {
                    return Ok(Resolved {
                        records,
                        ttl: ttl.min(lowest),
                        additionals: answer.additionals,
                        server,
                        transport,
                        missing,
                        digest: answer.digest.filter(|_| at_once),
                        unchanged: false,
                    });
                }
                // A name has only one alias, so nothing in this answer is missing.
                Found::Cname(target, ttl) => {
                    lowest = lowest.min(ttl);
                    owner = target.to_string();
                }
                Found::Nothing => {
                    return Err(missing.unwrap_or_else(|| Error::NoData {
                        context: self.context(name, of, &[server]),
                        reason: "has no record of this type",
                    }));
                }
                Found::CnameLoop => break,
            }
        }
        let context = self.context(name, of, &self.servers);
        Err(Error::Malformed {
            context,
            reason: "its CNAME chain loops".into(),
        })
    }

    /// What the response code means. A mere "no" means that another server may know better.
    pub(super) fn check_code(
        &self,
        answer: &Response,
        name: &str,
        of: RecordType,
        server: SocketAddr,
    ) -> Result<(), Error> {
        let context = || self.context(name, of, &[server]);
        let failed = |said: &str| Error::ServFail {
            context: context(),
            code: said.into(),
            rcode: answer.code.into(),
        };
        match answer.code {
            ResponseCode::NoError if answer.referral => Err(failed("with a referral: it is not a recursive resolver")),
            ResponseCode::NoError => Ok(()),
            ResponseCode::NXDomain => Err(Error::NxDomain {
                context: context(),
                nor: Vec::new(),
            }),
            ResponseCode::Refused => Err(Error::Refused { context: context() }),
            other => Err(failed(code_word(other))),
        }
    }

    pub(super) fn context(&self, name: &str, of: RecordType, servers: &[SocketAddr]) -> Context {
        self.context_of(format!("{name} {of}"), servers)
    }

    fn context_of(&self, question: String, servers: &[SocketAddr]) -> Context {
        let instead = self
            .system
            .as_ref()
            .and_then(|system| system.resolver.instead.as_deref());
        let shown = |server: &SocketAddr| match instead {
            Some(reason) => format!("{server} ({reason})"),
            None => server.to_string(),
        };
        Context {
            action: "looked up",
            question,
            servers: servers.iter().map(shown).collect(),
            elapsed: self.elapsed(),
        }
    }
}

/// What an answer's records say of `owner`, as far as the type `of` goes.
pub(super) fn find(owner: &str, of: RecordType, records: Vec<Record>) -> Found {
    endpoint::find(owner, records, |data| match data {
        Data::Address(IpAddr::V4(_)) => of == RecordType::A,
        Data::Address(IpAddr::V6(_)) => of == RecordType::AAAA,
        Data::Service { .. } => of == RecordType::SRV,
        Data::Alias(_) => false,
    })
}
