//! The probe that asks whether a node is there: a dead peer then costs no BEAM process.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout_at};

use crate::discovery::{Settings, address, settings};
use crate::error::{Asked, Error};
use crate::naming::host_of;
use crate::node_name;
use crate::pulse;
use crate::recent::Recent;
use crate::sockets;

/// A node that takes longer than this to hang up may have gone on only just now. One that is busy starting takes long, too.
const AWAKE: Duration = Duration::from_millis(250);

/// Who answers only after this was stopped or cut off at first: it is when TCP asks again (RFC 6298, 2.1).
const LONG: Duration = Duration::from_secs(1);

/// What a node that was stopped is given to hear of the links it has lost, before it gets new ones.
const RECOVERY: Duration = Duration::from_millis(500);

/// How long an answer counts: a dial is probed before its process starts, and its handshake follows at once.
const FRESH: Duration = Duration::from_secs(1);

/// The nodes whose answer still counts.
static ANSWERED: Lazy<Mutex<Recent<SocketAddr>>> = Lazy::new(|| Mutex::new(Recent::new(FRESH)));

/// What is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A first dial.
    Dial,
    /// Another one: the node was lost, or not reached.
    Redial,
    /// The handshake of a link that is being set up, whoever asked for it.
    Link,
}

/// Opens a TCP connection to where a node should listen, hangs up, and waits until the node does so, too.
///
/// The system accepts connections for a node that is stopped or stuck. A handshake would wait there, and be the first
/// thing the node hears of when it goes on, before it has heard that its old links are gone. So a node that may have
/// been stopped or cut off until now, because it took its time or is dialled again, is there only half a second after
/// it has answered, whatever is left of the `patience`. One that answered within the last second is not asked again,
/// save for a redial. Where this node itself was stopped until now, the same time goes by first.
///
/// A link that had to wait long is not to be made: what OTP has kept for it meanwhile is old. Who wants it will try again.
///
/// # Errors
/// `Network`, `Timeout` or `Unserved` when nobody is there, and those of the name.
pub async fn probe(name: String, patience: Duration, purpose: Purpose) -> Result<(), Error> {
    sleep(pulse::feel(RECOVERY)).await;
    let Some(answer) = ask(name, patience, purpose).await? else {
        return Ok(());
    };
    if answer.slow || purpose == Purpose::Redial {
        sleep(RECOVERY).await;
    }
    // Only now: until then nobody else shall take it for an answer.
    answers().note(answer.address, Instant::now());
    if purpose == Purpose::Link && answer.asked.elapsed >= LONG {
        return Err(Error::Unserved {
            asked: answer.asked,
        });
    }
    Ok(())
}

/// Whether this node itself was stopped until just now, and has still to hear of what it has lost.
pub fn stopped_lately() -> bool {
    !pulse::feel(RECOVERY).is_zero()
}

/// A node that is there.
struct Answer {
    address: SocketAddr,
    /// It may have been stopped or cut off when it was asked.
    slow: bool,
    asked: Asked,
}

/// Asks the node, unless an answer of its still counts.
async fn ask(name: String, patience: Duration, purpose: Purpose) -> Result<Option<Answer>, Error> {
    let start = Instant::now();
    let Settings { rules, ipv6, .. } = settings();
    let port = node_name::dist_port(name.as_bytes(), &rules)?;
    let host = host_of(&name);
    let known = host.parse().ok().or_else(|| address(host, ipv6));
    let known = known.map(|ip: IpAddr| SocketAddr::new(ip, port));
    if purpose != Purpose::Redial && known.is_some_and(|address| answers().has(&address, start)) {
        return Ok(None);
    }
    let asked = || Asked {
        did: "probed",
        question: name.clone(),
        servers: vec![
            known.map_or_else(|| format!("{host}:{port}"), |address| address.to_string()),
        ],
        elapsed: start.elapsed(),
    };
    let deadline = (start + patience).into();
    let Some(_place) = sockets::place(deadline).await else {
        return Err(Error::no_socket(asked()));
    };
    let (stream, address) = match timeout_at(deadline, connect(host, known, port, ipv6)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(Error::unreachable(asked(), &error)),
        Err(_elapsed) => return Err(Error::Timeout { asked: asked() }),
    };
    let connected = Instant::now();
    match timeout_at(deadline, hang_up(stream)).await {
        Ok(()) => Ok(Some(Answer {
            address,
            slow: connected.elapsed() > AWAKE || start.elapsed() >= LONG,
            asked: asked(),
        })),
        Err(_elapsed) => Err(Error::Unserved { asked: asked() }),
    }
}

fn answers() -> MutexGuard<'static, Recent<SocketAddr>> {
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(
    host: &str,
    known: Option<SocketAddr>,
    port: u16,
    ipv6: bool,
) -> io::Result<(TcpStream, SocketAddr)> {
    let address = match known {
        Some(address) => address,
        None => lookup_host((host, port))
            .await?
            .find(|address| address.is_ipv6() == ipv6)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::AddrNotAvailable,
                    "the host has no address of this node's family",
                )
            })?,
    };
    Ok((TcpStream::connect(address).await?, address))
}

/// Hangs up, and waits until the other end has done so, too.
async fn hang_up(mut stream: TcpStream) {
    let mut ignored = [0; 256];
    // A reset is an end, too.
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
