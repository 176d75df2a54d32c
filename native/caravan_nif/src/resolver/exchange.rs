//! One question to one server, with EDNS or without it, whichever the server answers.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use tokio::time::{Instant, timeout, timeout_at};

use super::Transport;
use super::edns::{self, Manner, Shown};
use super::response::Answer;
use super::wire::{Broken, Said, request, said, the_rest};
use crate::socket_limit;

/// When to stop waiting for what.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long a server may keep silent before it is also asked the other way, without EDNS or with it.
    pub(super) one_way: Duration,
    /// Until when a whole answer is worth more than part of one: making use of a part takes time, too.
    pub(super) for_the_rest: Instant,
    pub(super) deadline: Instant,
}

/// One question to one server.
///
/// Some servers, and firewalls before them, drop questions with EDNS. So who keeps silent is asked without, too, from
/// another port and with another id, and the first answer counts.
pub(super) async fn exchange(
    server: SocketAddr,
    question: &Query,
    known: Option<u64>,
    tcp: bool,
    patience: Patience,
) -> Result<(Answer, Transport), Broken> {
    let Some(_place) = socket_limit::place(patience.deadline).await else {
        return Err(Broken::NoPlace);
    };
    let (said, request) = first_word(server, question, known, tcp, patience).await?;
    match said {
        Said::Answer(answer, transport) => Ok((answer, transport)),
        Said::Cut(bytes) => {
            let answer = the_rest(server, &request, known, &bytes, patience.for_the_rest).await?;
            Ok((answer, Transport::Tcp))
        }
    }
}

/// What the server says first, and to which question.
async fn first_word(
    server: SocketAddr,
    question: &Query,
    known: Option<u64>,
    tcp: bool,
    patience: Patience,
) -> FirstWord {
    let ask = |edns| {
        let request = request(question, edns);
        async move {
            let said = said(server, &request, known, tcp, patience.deadline).await;
            said.map(|said| (said, request))
        }
    };
    let edns = match edns::of(server) {
        Manner::Edns => true,
        Manner::Plain => false,
        Manner::PlainUntilChecked => {
            let request = request(question, true);
            tokio::spawn(check(server, request, tcp, patience.deadline));
            false
        }
    };
    let mut first = pin!(ask(edns));
    match timeout(patience.one_way, first.as_mut()).await {
        Ok(done) if edns && is_misread(&done) => {
            return noted(server, Shown::NoEdns, ask(false).await);
        }
        Ok(done) => return done,
        Err(_silence) => {}
    }
    let Some(_place) = socket_limit::free_place() else {
        return first.await;
    };
    // On the heap, since it is seldom there.
    let mut other = Box::pin(ask(!edns));
    tokio::select! {
        biased;
        done = first.as_mut() => {
            if edns && is_misread(&done) { noted(server, Shown::NoEdns, other.await) } else { done }
        }
        done = other.as_mut() => {
            let shown = if edns { Shown::Silence } else { Shown::Edns };
            if !edns && is_misread(&done) { first.await } else { noted(server, shown, done) }
        }
    }
}

type FirstWord = Result<(Said, Message), Broken>;

/// Remembers what this answer has shown, if it is one.
fn noted(server: SocketAddr, shown: Shown, done: FirstWord) -> FirstWord {
    if done.is_ok() && !is_misread(&done) {
        edns::note(server, shown);
    }
    done
}

/// RFC 6891, section 7: a server that has never heard of EDNS takes the question for a malformed or an unknown one.
fn is_misread(done: &FirstWord) -> bool {
    matches!(done, Ok((Said::Answer(answer, _), _))
        if !answer.edns && matches!(answer.code, ResponseCode::FormErr | ResponseCode::NotImp))
}

/// Whether a server that was asked without EDNS by now answers questions with it.
async fn check(server: SocketAddr, request: Message, tcp: bool, deadline: Instant) {
    let Some(_place) = socket_limit::free_place() else {
        return;
    };
    let asked = said(server, &request, None, tcp, deadline);
    if let Ok(Ok(said)) = timeout_at(deadline, asked).await {
        let _ = noted(server, Shown::Edns, Ok((said, request)));
    }
}

#[cfg(test)]
mod tests;
