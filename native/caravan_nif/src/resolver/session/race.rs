//! The race of the servers for one question.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Asking;
use crate::error::Error;
use crate::resolver::Transport;
use crate::resolver::exchange::{Patience, exchange};
use crate::resolver::response::Answer;

/// How long a server may keep silent at most before it is asked without EDNS, too. That costs one packet.
const ONE_WAY: Duration = Duration::from_millis(500);

/// What the servers said to one question.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    /// Why it is only a part of the answer.
    pub(super) missing: Option<Error>,
}

impl Asking {
    /// Asks the servers for one question: the next one whenever one fails or keeps silent, the first real answer counts.
    /// Part of an answer counts where nobody has the whole.
    pub(super) async fn ask(&self, name: &str, of: RecordType) -> Result<Reply, Error> {
        // Label by label, since hickory reads no text with a hyphen at the start of one.
        let Ok(owner) = Name::from_labels(name.split('.').map(str::as_bytes)) else {
            return Err(Error::InvalidName {
                expected: "a domain name such as _app._tcp.example.org",
                got: name.as_bytes().to_vec(),
                reason: "it is none",
            });
        };
        let question = Query::query(owner, of);
        let start = Instant::now();
        let patience = Patience {
            one_way: ONE_WAY.min(self.patience / 2),
            for_the_rest: start + self.deadline.saturating_duration_since(start) * 3 / 4,
            deadline: self.deadline,
        };
        let mut round = self.servers.clone();
        round.rotate_left(self.alive.load(Ordering::Relaxed));
        let mut plan = round.repeat(self.attempts).into_iter().peekable();
        let mut asked = Vec::new();
        let mut failure = None;
        let mut part: Option<Reply> = None;
        let mut tries = JoinSet::new();
        loop {
            if let Some(server) = plan.next() {
                if !asked.contains(&server) {
                    asked.push(server);
                }
                let (question, known, tcp) = (question.clone(), self.known, self.tcp);
                tries.spawn(async move {
                    let answer = exchange(server, &question, known, tcp, patience).await;
                    (server, answer)
                });
            }
            let end = match part {
                Some(_) => patience.for_the_rest,
                None => self.deadline,
            };
            let until = if plan.peek().is_some() {
                end.min(Instant::now() + self.patience)
            } else {
                end
            };
            match timeout_at(until, tries.join_next()).await {
                Ok(Some(Ok((server, Ok((answer, transport)))))) => {
                    match self.judge(&answer, name, of, server) {
                        Err(error)
                            if part.is_some() || !matches!(error, Error::NxDomain { .. }) =>
                        {
                            failure = Some(error);
                        }
                        decided => {
                            self.answered_by(server);
                            return decided.map(|()| Reply {
                                answer,
                                server,
                                transport,
                                missing: None,
                            });
                        }
                    }
                }
                Ok(Some(Ok((server, Err(mut broken))))) => {
                    let found = broken.take_part();
                    let error = broken.explained(self.asked(name, of, &[server]));
                    let most = part.as_ref().map_or(0, |part| part.answer.records.len());
                    match found {
                        Some((answer, transport)) if answer.records.len() > most => {
                            part = Some(Reply {
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
                Ok(None) if plan.peek().is_none() => break,
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
            let asked = self.asked(name, of, &asked);
            if start.elapsed() > patience.one_way {
                Error::Silent { asked }
            } else {
                Error::Timeout { asked }
            }
        }))
    }

    fn answered_by(&self, server: SocketAddr) {
        let place = self.servers.iter().position(|other| *other == server);
        self.alive.store(place.unwrap_or(0), Ordering::Relaxed);
    }
}
