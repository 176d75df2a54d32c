//! Asks what listens somewhere who it is: starts a handshake and ends it before the cookie is used, unless the cookie is
//! what is asked for. A node logs only a wrong cookie.
//!
//! There is no way to learn whether a cookie is right without a link: a node shows that it has it only after it has
//! seen ours, and then makes the link at once (`dist_util.erl`, `handshake_other_started/1`). So we hang up at once, too.
//! The link is that of a hidden node: `global` and whoever monitors visible nodes don't see it.

pub mod interview;

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

use self::interview::{Interview, Move};
use crate::error::Error;
use crate::handshake::Status;
use crate::handshake::conversation::{Finding, Stage};
use crate::node_name::host_of;
use crate::socket_limit;
use crate::target::{Target, Unreached};

/// How long a node that is still busy with an earlier question of ours gets to notice that this one is over; twice as long
/// each time.
const AGAIN: Duration = Duration::from_millis(50);

/// Who to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The node of this name, where its name says that it listens.
    Node(String),
    /// Whatever listens on this port of this host.
    Port(String, u16),
}

impl Place {
    /// For messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Node(name) => name,
            Self::Port(host, _port) => host,
        }
    }
}

/// What to ask.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who to ask.
    pub place: Place,
    /// The name of this node.
    pub own: String,
    /// Is this its cookie?
    pub cookie: Option<Vec<u8>>,
    /// How long everything may take.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where we asked.
    pub place: String,
    /// What we found there, or why nobody was reached.
    pub found: Result<Finding, Unreached>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Asks.
///
/// # Errors
/// Those of the name, and `Overloaded` without a socket to ask with.
pub async fn ask(question: Question) -> Result<Answer, Error> {
    let start = Instant::now();
    let deadline = (start + question.patience).into();
    let mut target = match &question.place {
        Place::Node(name) => Target::of(name)?,
        Place::Port(host, port) => Target::port(host, *port),
    };
    let Some(_socket) = socket_limit::probe_permit(deadline).await else {
        return Err(Error::no_socket(target.context(start)));
    };
    let mut again = AGAIN;
    let found = loop {
        let stream = match timeout_at(deadline, target.reach()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(Unreached::NoSocket)) => return Err(Error::no_socket(target.context(start))),
            // As for a link, this node's own host is this machine, whatever the resolver knows.
            Ok(Err(Unreached::NoAddress(_))) if target.is_on(host_of(&question.own)) => {
                target = target.on_loopback();
                continue;
            }
            Ok(Err(unreached)) => break Err(unreached),
            Err(_elapsed) => break Err(Unreached::Timeout),
        };
        let found = converse(stream, &question, deadline).await;
        // Of two handshakes under one name a node rejects one, or goes on with it and hangs up on the other.
        let collided = matches!(
            found,
            Finding::Rejected(Status::Busy) | Finding::HungUp(Stage::Challenge)
        );
        let late = (start + question.patience).saturating_duration_since(Instant::now()) <= again;
        if !collided || late {
            break Ok(found);
        }
        sleep(again).await;
        again *= 2;
    };
    Ok(Answer {
        place: target.place(),
        found,
        elapsed: start.elapsed(),
    })
}

async fn converse(mut stream: TcpStream, question: &Question, deadline: tokio::time::Instant) -> Finding {
    let (mut interview, hello) = Interview::begin(&question.own, question.cookie.clone());
    let now = Instant::now().into();
    let halfway = now + deadline.saturating_duration_since(now) / 2;
    match timeout_at(deadline, talk(&mut stream, &mut interview, hello, halfway)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(_broken)) => interview.closed(),
        Err(_elapsed) => interview.timed_out(),
    }
}

async fn talk(
    stream: &mut TcpStream,
    interview: &mut Interview,
    hello: Vec<u8>,
    halfway: tokio::time::Instant,
) -> io::Result<Finding> {
    // Who speaks first and hangs up is heard all the same; that a connection is broken shows when reading.
    let _ = stream.write_all(&hello).await;
    let mut buffer = [0; 512];
    if let Err(_elapsed) = timeout_at(halfway, stream.readable()).await
        && let Some(prompt) = interview.prompt()
    {
        let _ = stream.write_all(prompt).await;
    }
    loop {
        let count = match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => count,
        };
        match interview.received(&buffer[..count]) {
            Move::Wait => {}
            Move::End(finding) => return Ok(finding),
            Move::Send(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
