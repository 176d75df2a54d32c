//! One query to one server, with EDNS or without it, whichever the server answers.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use tokio::time::{Instant, timeout, timeout_at};

use super::edns::{self, Evidence, Mode};
use super::response::Response;
use super::wire::{ExchangeError, ServerReply, build_query, parse, retry_over_tcp, send};
use super::{Recall, Transport};
use crate::socket_limit;

/// When to stop waiting for what.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    /// How long a server may stay silent before it is also queried the other way, without EDNS or with it.
    pub(super) fallback_after: Duration,
    /// Until when to wait for the complete answer rather than use part of it: using a part takes time, too.
    pub(super) whole_until: Instant,
    pub(super) deadline: Instant,
}

/// One query to one server, unless there is a `reply` already, to a question with EDNS.
///
/// Some servers, and firewalls before them, drop queries with EDNS. So a silent server is queried without it, too, from
/// another port and with another id, and the first answer counts.
pub(super) async fn exchange(
    server: SocketAddr,
    question: &Query,
    recall: Recall,
    tcp: bool,
    timeouts: Timeouts,
    reply: Option<Vec<u8>>,
) -> Result<(Response, Transport), ExchangeError> {
    let Some(_permit) = socket_limit::permit(timeouts.deadline).await else {
        return Err(ExchangeError::NoSocket);
    };
    let (reply, request) = first_reply(server, question, recall, tcp, timeouts, reply).await?;
    match reply {
        ServerReply::Whole(answer, transport) => Ok((answer, transport)),
        ServerReply::Truncated(bytes) => {
            let answer = retry_over_tcp(server, &request, recall, &bytes, timeouts.whole_until).await?;
            Ok((answer, Transport::Tcp))
        }
    }
}

/// The server's first answer, and the query that it answers.
async fn first_reply(
    server: SocketAddr,
    question: &Query,
    recall: Recall,
    tcp: bool,
    timeouts: Timeouts,
    reply: Option<Vec<u8>>,
) -> FirstReply {
    let query = |edns| {
        let request = build_query(question, edns);
        async move {
            let reply = send(server, &request, recall, tcp, timeouts.deadline).await;
            reply.map(|reply| (reply, request))
        }
    };
    let edns = match edns::mode(server) {
        _ if reply.is_some() => true,
        Mode::Edns => true,
        Mode::Plain => false,
        Mode::PlainUntilChecked => {
            let request = build_query(question, true);
            tokio::spawn(check(server, request, tcp, timeouts.deadline));
            false
        }
    };
    let mut first = pin!(async {
        match reply {
            Some(bytes) => replied(bytes, question, recall),
            None => query(edns).await,
        }
    });
    match timeout(timeouts.fallback_after, first.as_mut()).await {
        Ok(done) if edns && rejects_edns(&done) => {
            return noted(server, Evidence::NoEdns, query(false).await);
        }
        Ok(done) => return done,
        Err(_silence) => {}
    }
    let Some(_permit) = socket_limit::try_permit() else {
        return first.await;
    };
    // On the heap, since it is rarely used.
    let mut other = Box::pin(query(!edns));
    tokio::select! {
        biased;
        done = first.as_mut() => {
            if edns && rejects_edns(&done) { noted(server, Evidence::NoEdns, other.await) } else { done }
        }
        done = other.as_mut() => {
            let evidence = if edns { Evidence::Silence } else { Evidence::Edns };
            if !edns && rejects_edns(&done) { first.await } else { noted(server, evidence, done) }
        }
    }
}

/// What came before, as the reply to a query.
fn replied(bytes: Vec<u8>, question: &Query, recall: Recall) -> FirstReply {
    let mut request = build_query(question, true);
    request.metadata.id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    Ok((parse(bytes, &request, recall)?, request))
}

type FirstReply = Result<(ServerReply, Message), ExchangeError>;

/// Records what this answer shows about the server, if it is one.
fn noted(server: SocketAddr, evidence: Evidence, done: FirstReply) -> FirstReply {
    if done.is_ok() && !rejects_edns(&done) {
        edns::note(server, evidence);
    }
    done
}

/// RFC 6891, section 7: a server without EDNS considers the query malformed or not implemented.
fn rejects_edns(done: &FirstReply) -> bool {
    matches!(done, Ok((ServerReply::Whole(answer, _), _))
        if !answer.edns && matches!(answer.code, ResponseCode::FormErr | ResponseCode::NotImp))
}

/// Whether a server that is queried without EDNS now answers queries with it.
async fn check(server: SocketAddr, request: Message, tcp: bool, deadline: Instant) {
    let Some(_permit) = socket_limit::try_permit() else {
        return;
    };
    let sent = send(server, &request, Recall::Off, tcp, deadline);
    if let Ok(Ok(reply)) = timeout_at(deadline, sent).await {
        let _ = noted(server, Evidence::Edns, Ok((reply, request)));
    }
}

#[cfg(test)]
mod tests;
