//! The quick way of a lookup: one question for addresses over a socket that is open already, and one answer.
//!
//! It is taken if the server has answered lately. The question goes out at once, on the caller's own thread, and a task
//! for each socket reads the answers. Whatever isn't a plain answer (a truncated one, an alias, an error, silence) goes
//! to the lookup proper, with the time that is left, and with the answer, so that nothing is asked twice.

pub(super) mod question;
mod random;
mod slots;
mod socket;
mod sweeper;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;
use tokio::task::AbortHandle;

use self::question::{Question, patience};
use self::random::Random;
use self::slots::{PLACES, Slots};
use self::socket::Socket;
use self::sweeper::Sweeper;
use super::{Lookup, Spec, Transport, Unfinished};
use crate::endpoint::{self, RefusedNames};
use crate::socket_limit;

/// How many servers are remembered; lookups at others take no shortcut.
const MAX_SERVERS: usize = 64;

/// How soon a server must have answered before: a slow one would often be asked twice.
const PROMPT: Duration = Duration::from_millis(50);

static POOLS: Lazy<Mutex<Pools>> = Lazy::new(Mutex::default);
static KEYS: AtomicU64 = AtomicU64::new(0);

/// Who waits for a lookup: it is called once, from the runtime's thread.
pub trait Requester: Send {
    /// The outcome.
    fn answered(self: Box<Self>, lookup: Lookup);
    /// The lookup has to go on.
    fn unfinished(self: Box<Self>, lookup: Unfinished);
}

#[derive(Default)]
struct Pools {
    servers: HashMap<SocketAddr, Pool>,
    random: Random,
    sweeper: Sweeper,
}

/// What goes to one server.
struct Pool {
    /// It answered the last question.
    answers: bool,
    slots: Slots<Open, Box<Request>>,
}

/// An open socket and its reader, which ends with it.
struct Open {
    socket: Arc<Socket>,
    reader: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A question under way.
struct Request {
    question: Question,
    spec: Spec,
    start: Instant,
    requester: Box<dyn Requester>,
}

impl Request {
    fn unfinished(self, reply: Option<Vec<u8>>) {
        let Self { spec, start, .. } = self;
        self.requester.unfinished(Unfinished { spec, start, reply });
    }
}

fn pools() -> MutexGuard<'static, Pools> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that a server has answered over UDP, with EDNS, after some time.
pub(super) fn note(server: SocketAddr, after: Duration) {
    if after > PROMPT {
        return;
    }
    let servers = &mut pools().servers;
    if let Some(pool) = servers.get_mut(&server) {
        pool.answers = true;
        return;
    }
    if servers.len() >= MAX_SERVERS {
        servers.retain(|_, pool| !pool.slots.is_empty());
    }
    if servers.len() < MAX_SERVERS {
        let slots = Slots::new();
        servers.insert(server, Pool { answers: true, slots });
    }
}

/// Sends the question of `spec` if this is a lookup for the quick way. Everything comes back if it isn't.
///
/// # Errors
/// The request, which takes the lookup proper then.
pub fn ask(runtime: &Handle, spec: Spec, requester: Box<dyn Requester>) -> Result<(), (Spec, Box<dyn Requester>)> {
    let (Some(question), Some(patience)) = (Question::new(&spec), patience(&spec)) else {
        return Err((spec, requester));
    };
    let start = Instant::now();
    let server = question.server;
    let Some(key) = socket(runtime, server, start) else {
        return Err((spec, requester));
    };
    let request = Box::new(Request {
        question,
        spec,
        start,
        requester,
    });
    send(key, request, start + patience).map_err(|request| (request.spec, request.requester))
}

/// The key of an open socket to `server`, picked at random, if it answers.
fn socket(runtime: &Handle, server: SocketAddr, now: Instant) -> Option<u64> {
    let place = {
        let mut pools = pools();
        let Pools { servers, random, .. } = &mut *pools;
        let pool = servers.get_mut(&server).filter(|pool| pool.answers)?;
        let place = usize::from(random.next()?) % PLACES;
        if let Some(key) = pool.slots.usable(place, now) {
            return Some(key);
        }
        place
    };
    // Not under the lock, which the runtime's thread needs for every answer.
    let permit = socket_limit::try_kept_permit()?;
    let key = KEYS.fetch_add(1, Ordering::Relaxed);
    let _registers = runtime.enter();
    let socket = Arc::new(Socket::connected(server).ok()?);
    let reader = runtime.spawn(read(server, key, Arc::clone(&socket), permit));
    let open = Open {
        socket,
        reader: reader.abort_handle(),
    };
    let mut pools = pools();
    // Only a server without an open socket is ever forgotten, and it may have been meanwhile.
    pools.servers.get_mut(&server)?.slots.open(place, key, open, now);
    pools.sweeper.start(runtime);
    Some(key)
}

fn send(key: u64, request: Box<Request>, due: Instant) -> Result<(), Box<Request>> {
    let server = request.question.server;
    let mut query = request.question.query();
    let (id, socket) = {
        let mut pools = pools();
        let Pools {
            servers,
            random,
            sweeper,
        } = &mut *pools;
        let Some(pool) = servers.get_mut(&server) else {
            return Err(request);
        };
        let ids = std::iter::from_fn(|| random.next());
        let (id, open) = pool.slots.put(key, ids, due, request)?;
        sweeper.wake();
        (id, Arc::clone(&open.socket))
    };
    query[..2].copy_from_slice(&id.to_be_bytes());
    match socket.send(&query) {
        Ok(_) => Ok(()),
        // If it is gone, its reader has failed, too, and has handed over the request.
        Err(_) => match taken(server, key, id, |_| true) {
            Some(request) => Err(request),
            None => Ok(()),
        },
    }
}

fn taken(server: SocketAddr, key: u64, id: u16, is_answered: impl Fn(&Request) -> bool) -> Option<Box<Request>> {
    pools()
        .servers
        .get_mut(&server)?
        .slots
        .take(key, id, |request| is_answered(request))
}

/// Reads what comes to one socket.
async fn read(server: SocketAddr, key: u64, socket: Arc<Socket>, _permit: [SemaphorePermit<'static>; 2]) {
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer).await {
        arrived(server, key, &buffer[..length]);
    }
    // Most likely, the port is closed.
    let failed = match pools().servers.get_mut(&server) {
        Some(pool) => {
            pool.answers = false;
            pool.slots.fail(key)
        }
        None => Vec::new(),
    };
    for request in failed {
        request.unfinished(None);
    }
}

/// The next lookups are not for the quick way, until the server answers one.
fn distrust(server: SocketAddr) {
    if let Some(pool) = pools().servers.get_mut(&server) {
        pool.answers = false;
    }
}

fn arrived(server: SocketAddr, key: u64, bytes: &[u8]) {
    let Some(&id) = bytes.first_chunk() else { return };
    let answers = |request: &Request| request.question.is_answered_by(bytes);
    let Some(request) = taken(server, key, u16::from_be_bytes(id), answers) else {
        return;
    };
    let Some(records) = request.question.addresses(bytes) else {
        if Question::may_reject_edns(bytes) {
            distrust(server);
        }
        return request.unfinished(Some(bytes.to_vec()));
    };
    request.requester.answered(Lookup {
        endpoints: endpoint::addresses(&records),
        ttl: records.iter().map(|record| record.ttl).min().unwrap_or(0),
        server: server.to_string(),
        transport: Transport::Udp,
        elapsed: request.start.elapsed(),
        unresolved: Vec::new(),
        refused: RefusedNames::default(),
        incomplete: None,
        digest: None,
        unchanged: false,
    });
}

#[cfg(test)]
mod tests;
