//! The probe that asks whether a node is there: a dead peer then costs no BEAM process.

pub mod suspension;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

use crate::error::{Asked, Error};
use crate::expiring_set::Recent;
use crate::known_nodes;
use crate::request_limit;
use crate::socket_limit;
use crate::target::Target;

/// A node that takes longer than this to hang up may have resumed only just now. One that is busy starting takes long, too.
const AWAKE: Duration = Duration::from_millis(250);

/// A node that answers only after this was stopped or cut off at first: TCP tries again then (RFC 6298, 2.1).
const LONG: Duration = Duration::from_secs(1);

/// The time that a node which was stopped is given to hear of its lost links, before it gets new ones.
const RECOVERY: Duration = Duration::from_millis(500);

/// How long an answer counts: a probe comes before a dial's process starts, and the handshake follows at once.
const FRESH: Duration = Duration::from_secs(1);

/// The nodes whose answer still counts.
static ANSWERED: Lazy<Mutex<Recent<SocketAddr>>> = Lazy::new(|| Mutex::new(Recent::new(FRESH)));

/// What is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The dial of a node that this VM has never lost.
    Dial,
    /// The dial of a lost node.
    Redial,
    /// The handshake of a link to a lost node, whoever asked for it.
    Link,
}

/// Opens a TCP connection to where a node should listen, hangs up, and waits until the node does so, too.
///
/// The system accepts connections for a node that is suspended or stuck. A handshake would wait there, and be the first
/// thing a lost node hears of when it resumes, before it has heard that its old links are gone. So a lost node that may
/// have been suspended or cut off until now, because it took its time or is dialled again, is there only half a second
/// after it has answered. One that answered within the last second is not asked again, save for a redial. Where this
/// node itself was suspended until now, the same time goes by first.
///
/// All of this happens within `patience`: where it runs out, the answer is an error. A link that had to wait long is not
/// to be made either: what OTP has kept for it meanwhile is old. Who wants it will try again.
///
/// # Errors
/// `Network`, `Timeout` or `Unserved` when nobody is there, `Late` when the patience ran out, and those of the name.
pub async fn probe(name: String, patience: Duration, purpose: Purpose) -> Result<(), Error> {
    let start = Instant::now();
    let deadline = (start + patience).into();
    if purpose != Purpose::Dial {
        // What is left of the patience then is for who can tell more than that.
        let _ = timeout_at(deadline, sleep(suspension::feel(RECOVERY))).await;
    }
    let Some(answer) = ask(&name, start, deadline, purpose).await? else {
        note_answer(&name, purpose);
        return Ok(());
    };
    let recovers = match purpose {
        Purpose::Dial => false,
        Purpose::Redial => true,
        Purpose::Link => answer.slow,
    };
    if recovers && timeout_at(deadline, sleep(RECOVERY)).await.is_err() {
        return Err(Error::Late {
            asked: answer.asked,
        });
    }
    // Only now: until then nobody else shall take it for an answer.
    answers().note(answer.address, Instant::now());
    if purpose == Purpose::Link && answer.waited >= LONG {
        return Err(Error::Late {
            asked: answer.asked,
        });
    }
    note_answer(&name, purpose);
    Ok(())
}

/// Peers that answer are worth their place. A link's probe has an address for the host, so its name may be no peer's.
fn note_answer(name: &str, purpose: Purpose) {
    if purpose != Purpose::Link {
        known_nodes::note_answer(name);
    }
}

/// Whether a node that is no member yet is there, and awake. `addresses` are its host's; without any the system is asked.
pub async fn is_there(name: &str, addresses: &[IpAddr], patience: Duration) -> bool {
    let Some(_place) = request_limit::await_for_probe().await else {
        return false;
    };
    let start = Instant::now();
    let Ok(target) = Target::at(name, addresses) else {
        return false;
    };
    let deadline = (start + patience).into();
    let Some(_socket) = socket_limit::place_for_probe(deadline).await else {
        return false;
    };
    let served = async {
        let (stream, address) = target.connect().await?;
        hang_up(stream).await;
        io::Result::Ok(address)
    };
    let Ok(Ok(address)) = timeout_at(deadline, served).await else {
        return false;
    };
    // Who took longer is asked again before its link is made.
    if start.elapsed() <= AWAKE {
        answers().note(address, Instant::now());
    }
    true
}

/// Whether this node itself was suspended until just now, and has still to hear of what it has lost.
pub fn stopped_lately() -> bool {
    !suspension::feel(RECOVERY).is_zero()
}

/// A node that is there.
struct Answer {
    address: SocketAddr,
    /// It may have been suspended or cut off when it was asked.
    slow: bool,
    /// How long it took.
    waited: Duration,
    asked: Asked,
}

/// Asks the node, unless an answer of its still counts.
async fn ask(
    name: &str,
    start: Instant,
    deadline: tokio::time::Instant,
    purpose: Purpose,
) -> Result<Option<Answer>, Error> {
    let target = Target::of(name)?;
    let answered = |address| answers().has(&address, Instant::now());
    if purpose != Purpose::Redial && target.known.is_some_and(answered) {
        return Ok(None);
    }
    let asked_at = Instant::now();
    let asked = || target.asked(start);
    let Some(_socket) = socket_limit::place_for_probe(deadline).await else {
        return Err(Error::no_socket(asked()));
    };
    let (stream, address) = match timeout_at(deadline, target.connect()).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(Error::unreachable(asked(), &error)),
        Err(_elapsed) => return Err(Error::Timeout { asked: asked() }),
    };
    let connected = Instant::now();
    match timeout_at(deadline, hang_up(stream)).await {
        Ok(()) => Ok(Some(Answer {
            address,
            slow: connected.elapsed() > AWAKE || asked_at.elapsed() >= LONG,
            waited: asked_at.elapsed(),
            asked: asked(),
        })),
        Err(_elapsed) => Err(Error::Unserved { asked: asked() }),
    }
}

fn answers() -> MutexGuard<'static, Recent<SocketAddr>> {
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hangs up, and waits until the other end has done so, too.
async fn hang_up(mut stream: TcpStream) {
    let mut ignored = [0; 256];
    // A reset is an end, too.
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests;
