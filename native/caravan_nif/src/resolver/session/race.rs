//! The race of the servers for one query.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Session;
use crate::error::Error;
use crate::resolver::Transport;
use crate::resolver::exchange::{Timeouts, exchange};
use crate::resolver::pool;
use crate::resolver::response::Response;

/// The longest that a server may stay silent before it is queried without EDNS, too. That costs one packet.
const FALLBACK_AFTER: Duration = Duration::from_millis(500);

/// The servers' answer to one query.
pub(super) struct RaceResult {
    pub(super) answer: Response,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    /// Why it is only part of the answer.
    pub(super) missing: Option<Error>,
}

impl Session {
    /// Queries the servers, the next one whenever one fails or stays silent; the first real answer counts. Part of an
    /// answer counts if no server has the complete one.
    pub(super) async fn query(&self, name: &str, of: RecordType) -> Result<RaceResult, Error> {
        // Label by label, since hickory rejects text with a hyphen at the start of a label.
        let Ok(owner) = Name::from_labels(name.split('.').map(str::as_bytes)) else {
            return Err(Error::InvalidName {
                expected: "a domain name such as _app._tcp.example.org",
                got: name.as_bytes().to_vec(),
                reason: "it is not one",
            });
        };
        let question = Query::query(owner, of);
        let start = Instant::now();
        let timeouts = Timeouts {
            fallback_after: FALLBACK_AFTER.min(self.patience / 2),
            whole_until: start + self.deadline.saturating_duration_since(start) * 3 / 4,
            deadline: self.deadline,
        };
        let mut round = self.servers.clone();
        round.rotate_left(self.alive.load(Ordering::Relaxed));
        let mut schedule = round.repeat(self.attempts).into_iter().peekable();
        let mut queried = Vec::new();
        let mut failure = None;
        let mut part: Option<RaceResult> = None;
        let mut tries = JoinSet::new();
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        loop {
            if let Some(server) = schedule.next() {
                if !queried.contains(&server) {
                    queried.push(server);
                }
                let (question, recall, tcp) = (question.clone(), self.recall, self.tcp);
                let reply = reply.take();
                tries.spawn(async move {
                    let answer = exchange(server, &question, recall, tcp, timeouts, reply).await;
                    (server, answer)
                });
            }
            let end = match part {
                Some(_) => timeouts.whole_until,
                None => self.deadline,
            };
            let until = if schedule.peek().is_some() {
                end.min(Instant::now() + self.patience)
            } else {
                end
            };
            match timeout_at(until, tries.join_next()).await {
                Ok(Some(Ok((server, Ok((answer, transport)))))) => match self.check_code(&answer, name, of, server) {
                    Err(error) if part.is_some() || !matches!(error, Error::NxDomain { .. }) => {
                        failure = Some(error);
                    }
                    decided => {
                        self.answered_by(server);
                        if answer.edns && transport == Transport::Udp && self.system.is_none() {
                            pool::note(server, start.elapsed());
                        }
                        return decided.map(|()| RaceResult {
                            answer,
                            server,
                            transport,
                            missing: None,
                        });
                    }
                },
                Ok(Some(Ok((server, Err(mut failed))))) => {
                    let found = failed.take_part();
                    let error = failed.explained(self.context(name, of, &[server]));
                    let most = part.as_ref().map_or(0, |part| part.answer.records.len());
                    match found {
                        Some((answer, transport)) if answer.records.len() > most => {
                            part = Some(RaceResult {
                                answer,
                                server,
                                transport,
                                missing: Some(error),
                            });
                        }
                        _ => failure = Some(error),
                    }
                }
                Ok(Some(Err(_panicked))) => {}
                Ok(None) if schedule.peek().is_none() => break,
                Ok(None) => {}
                Err(_elapsed) if Instant::now() >= end => break,
                Err(_elapsed) => {}
            }
        }
        if let Some(part) = part {
            self.answered_by(part.server);
            return Ok(part);
        }
        Err(failure.unwrap_or_else(|| {
            let context = self.context(name, of, &queried);
            if start.elapsed() > timeouts.fallback_after {
                Error::Silent { context }
            } else {
                Error::Timeout { context }
            }
        }))
    }

    fn answered_by(&self, server: SocketAddr) {
        let place = self.servers.iter().position(|other| *other == server);
        self.alive.store(place.unwrap_or(0), Ordering::Relaxed);
    }
}
