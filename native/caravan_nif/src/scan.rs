//! Which nodes listen on a range of ports of a host, by what they call themselves.
//!
//! Where nothing listens this costs a refused connection. Whoever listens and isn't a node is left alone for longer and
//! longer, since what is said to it may end up in its log.

mod strangers;

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use tokio::task::JoinSet;

use self::strangers::Strangers;
use crate::ask::{Place, Question, ask};
use crate::error::Error;
use crate::handshake::Identity;
use crate::handshake::conversation::Finding;
use crate::settings::settings;
use crate::target::Unreached;

/// How long one node may take to tell its name. A suspended one never does.
pub const PATIENCE: Duration = Duration::from_millis(500);

static STRANGERS: Lazy<Mutex<Strangers>> = Lazy::new(Mutex::default);

/// A node that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it listens.
    pub port: u16,
    /// What it calls itself.
    pub name: String,
    /// What it can do.
    pub flags: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The nodes, by port.
    pub nodes: Vec<Found>,
    /// Why a port could not be asked: there may be more.
    pub failed: Option<Error>,
    /// Why the host could not be reached.
    pub unreached: Option<Unreached>,
}

/// The first `count` ports from `base_port` on.
pub fn ports(count: u16) -> RangeInclusive<u16> {
    let first = settings().rules.base_port;
    first..=first.saturating_add(count.saturating_sub(1))
}

/// Asks these ports of a host at once, as the node `own`, for at most `patience`.
pub async fn scan(host: &str, ports: impl Iterator<Item = u16>, own: &str, patience: Duration) -> Scan {
    let now = Instant::now();
    let mut asked: JoinSet<_> = ports
        .filter(|port| !strangers().rest(host, *port, now))
        .map(|port| answer(host.to_owned(), port, own.to_owned(), patience))
        .collect();
    let mut scan = Scan::default();
    while let Some(answered) = asked.join_next().await {
        match answered {
            Ok((port, Ok(Answered::Node(Identity { name, flags, .. })))) => {
                scan.nodes.push(Found { port, name, flags });
            }
            Ok((_, Ok(Answered::Nobody(Unreached::Refused) | Answered::Stranger))) | Err(_) => {}
            Ok((_, Ok(Answered::Nobody(unreached)))) => scan.unreached = Some(unreached),
            Ok((_, Err(error))) => scan.failed = Some(error),
        }
    }
    scan.nodes.sort_unstable_by_key(|node| node.port);
    scan
}

/// Who listens on a port.
enum Answered {
    Node(Identity),
    Stranger,
    Nobody(Unreached),
}

async fn answer(host: String, port: u16, own: String, patience: Duration) -> (u16, Result<Answered, Error>) {
    let question = Question {
        place: Place::Port(host.clone(), port),
        own,
        cookie: None,
        patience,
    };
    let answered = ask(question).await.map(|answer| match answer.found {
        Ok(Finding::Node(identity, _)) => Answered::Node(identity),
        Ok(_stranger) => Answered::Stranger,
        Err(unreached) => Answered::Nobody(unreached),
    });
    match &answered {
        Ok(Answered::Stranger) => strangers().met(&host, port, Instant::now()),
        Ok(Answered::Node(_) | Answered::Nobody(_)) => strangers().gone(&host, port),
        Err(_not_asked) => {}
    }
    (port, answered)
}

fn strangers() -> MutexGuard<'static, Strangers> {
    STRANGERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
