//! Probes whether a node is there, so that a dead peer costs no BEAM process.

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

/// A node that takes longer than this to hang up may have just resumed, or be busy starting.
const AWAKE: Duration = Duration::from_millis(250);

/// A node that takes longer than this to answer was suspended or cut off at first: this is when TCP retries (RFC 6298,
/// 2.1).
const LONG: Duration = Duration::from_secs(1);

/// How long a node that was suspended gets to notice its lost links before it is linked again.
const RECOVERY: Duration = Duration::from_millis(500);

/// How long an answer counts. The dial and its handshake follow right after the probe.
const FRESH: Duration = Duration::from_secs(1);

/// The addresses whose answers still count.
static ANSWERED: Lazy<Mutex<ExpiringSet<SocketAddr>>> = Lazy::new(|| Mutex::new(ExpiringSet::new(FRESH)));

/// What follows the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A dial of a node that this VM has never lost.
    Dial,
    /// A dial of a lost node.
    Redial,
    /// The handshake with a lost node, on whoever's behalf.
    Link,
}

/// Opens a TCP connection to where a node should listen, hangs up, and waits for the node to do the same.
///
/// The system accepts connections on behalf of a suspended or stuck node. A handshake would wait there, and be the
/// first thing that a lost node learns of when it resumes, before it knows that its old links are gone. So a lost node
/// that may have been suspended or cut off until now, because it answered slowly or is being redialed, counts as there
/// only half a second after it has answered. A node that answered within the last second isn't asked again, except for
/// a redial. If this node itself was suspended until now, it waits as long first.
///
/// All of this happens within `patience`; when that runs out, the result is an error. A link that had to wait long must
/// not be made either, since what OTP has queued for it meanwhile is old. Whoever wants it will retry.
///
/// # Errors
/// `Network`, `Timeout` or `Unresponsive` if nobody is there, `Late` if the patience ran out, and those of the name.
pub async fn probe(name: String, patience: Duration, purpose: Purpose) -> Result<(), Error> {
    let start = Instant::now();
    let deadline = (start + patience).into();
    if purpose != Purpose::Dial {
        // Whatever patience is left then goes to the probe, which can say more than that.
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
    // Only now: until then nobody else may count this as an answer.
    answers().insert(contact.address, Instant::now());
    if purpose == Purpose::Link && contact.waited >= LONG {
        return Err(Error::Late {
            context: contact.context,
        });
    }
    note_answer(&name, purpose);
    Ok(())
}

/// A peer that answers keeps its place. The probe for a link has an address as the host, so its name may not be a
/// peer's.
fn note_answer(name: &str, purpose: Purpose) {
    if purpose != Purpose::Link {
        known_nodes::note_answer(name);
    }
}

/// Whether a node that isn't a member yet is there, and awake. `addresses` are its host's; without any, the system
/// resolves the host.
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
    // A slower node is asked again before its link is made.
    if start.elapsed() <= AWAKE {
        answers().insert(address, Instant::now());
    }
    true
}

/// Whether this node itself was suspended until just now, and has yet to learn what it has lost.
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

/// Asks the node, unless its last answer still counts.
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

/// Hangs up, and waits for the other end to do the same.
async fn hang_up(mut stream: TcpStream) {
    let mut ignored = [0; 256];
    // A reset ends the connection, too.
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests;
