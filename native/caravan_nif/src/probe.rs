//! The probe that tells whether a node is there, so that a dead peer costs no BEAM process.

pub mod suspension;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

use crate::error::{Context, Error};
use crate::expiring_set::ExpiringSet;
use crate::known_nodes;
use crate::request_limit;
use crate::socket_limit;
use crate::target::Target;

/// A node that takes longer than this to hang up may have resumed only just now. So does one that is busy starting.
const AWAKE: Duration = Duration::from_millis(250);

/// A node that answers only after this was suspended or cut off at first: that is when TCP retries (RFC 6298, 2.1).
const LONG: Duration = Duration::from_secs(1);

/// The time that a node which was suspended gets to notice its lost links before it is linked again.
const RECOVERY: Duration = Duration::from_millis(500);

/// How long an answer counts: a probe precedes the dial's process, and the handshake follows at once.
const FRESH: Duration = Duration::from_secs(1);

/// Where an answer still counts.
static ANSWERED: Lazy<Mutex<ExpiringSet<SocketAddr>>> =
    Lazy::new(|| Mutex::new(ExpiringSet::new(FRESH)));

/// What follows the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A dial of a node that this VM has never lost.
    Dial,
    /// A dial of a lost node.
    Redial,
    /// The handshake with a lost node, whoever asked for the link.
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
/// `Network`, `Timeout` or `Unresponsive` when nobody is there, `Late` when the patience ran out, and those of the name.
pub async fn probe(name: String, patience: Duration, purpose: Purpose) -> Result<(), Error> {
    let start = Instant::now();
    let deadline = (start + patience).into();
    if purpose != Purpose::Dial {
        // What is left of the patience then is for who can tell more than that.
        let _ = timeout_at(deadline, sleep(suspension::remaining(RECOVERY))).await;
    }
    let Some(contact) = connect(&name, start, deadline, purpose).await? else {
        note_answer(&name, purpose);
        return Ok(());
    };
    let recovers = match purpose {
        Purpose::Dial => false,
        Purpose::Redial => true,
        Purpose::Link => contact.slow,
    };
    if recovers && timeout_at(deadline, sleep(RECOVERY)).await.is_err() {
        return Err(Error::Late {
            context: contact.context,
        });
    }
    // Only now: until then nobody else shall take it for an contact.
    answers().insert(contact.address, Instant::now());
    if purpose == Purpose::Link && contact.waited >= LONG {
        return Err(Error::Late {
            context: contact.context,
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
    let Some(_permit) = request_limit::wait_for_probe_permit().await else {
        return false;
    };
    let start = Instant::now();
    let Ok(target) = Target::at(name, addresses) else {
        return false;
    };
    let deadline = (start + patience).into();
    let Some(_socket) = socket_limit::probe_permit(deadline).await else {
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
        answers().insert(address, Instant::now());
    }
    true
}

/// Whether this node itself was suspended until just now, and has still to hear of what it has lost.
pub fn resumed_lately() -> bool {
    !suspension::remaining(RECOVERY).is_zero()
}

/// A node that is there.
struct Contact {
    address: SocketAddr,
    /// It may have been suspended or cut off when it was asked.
    slow: bool,
    /// How long it took.
    waited: Duration,
    context: Context,
}

/// Asks the node, unless an answer of its still counts.
async fn connect(
    name: &str,
    start: Instant,
    deadline: tokio::time::Instant,
    purpose: Purpose,
) -> Result<Option<Contact>, Error> {
    let target = Target::of(name)?;
    let answered = |address| answers().contains(&address, Instant::now());
    if purpose != Purpose::Redial && target.known.is_some_and(answered) {
        return Ok(None);
    }
    let start_of_probe = Instant::now();
    let context = || target.context(start);
    let Some(_socket) = socket_limit::probe_permit(deadline).await else {
        return Err(Error::no_socket(context()));
    };
    let (stream, address) = match timeout_at(deadline, target.connect()).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(Error::unreachable(context(), &error)),
        Err(_elapsed) => return Err(Error::Timeout { context: context() }),
    };
    let connected = Instant::now();
    match timeout_at(deadline, hang_up(stream)).await {
        Ok(()) => Ok(Some(Contact {
            address,
            slow: connected.elapsed() > AWAKE || start_of_probe.elapsed() >= LONG,
            waited: start_of_probe.elapsed(),
            context: context(),
        })),
        Err(_elapsed) => Err(Error::Unresponsive { context: context() }),
    }
}

fn answers() -> MutexGuard<'static, ExpiringSet<SocketAddr>> {
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
