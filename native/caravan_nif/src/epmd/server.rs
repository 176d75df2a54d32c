//! The server behind `-caravan epmd`. It answers with what [`Names`] knows. While another server holds its address, it
//! registers there like any node, and waits.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::names::Names;
use super::{MAX_REQUEST, Node, REFUSAL, Request, alive_answer, alive_request, is_alive, names_answer, port_answer};

/// Where epmd listens.
pub const PORT: u16 = 4369;

/// How many clients may be connected without having asked; one more evicts the oldest.
const MAX_PENDING: usize = 64;

/// How long a client may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between retries of a taken address.
const RETRY: Duration = Duration::from_secs(1);

/// The first retry comes sooner and isn't reported: a server that has just stopped, such as this VM's previous one,
/// takes a moment to release the address.
const SOON: Duration = Duration::from_millis(100);

/// The states of the server to report, each once.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// The address isn't available now, for this reason.
    Waiting(String),
    /// It answers, after it had to wait.
    Serving,
}

/// Parses `localhost`, `{127,0,0,1}` or `{{127,0,0,1},4369}`. The VM parses the values of an application's flags as
/// terms, and a release with anything else wouldn't boot.
pub fn address(text: &str, ipv6: bool) -> Option<SocketAddr> {
    let pair = inside(text).and_then(|pair| pair.rsplit_once(','));
    let (host, port) = match pair {
        Some((host, port)) if host == LOCALHOST || host.ends_with('}') => (host, port.parse().ok()?),
        _no_pair => (text, PORT),
    };
    let ip = match (host, ipv6) {
        (LOCALHOST, false) => IpAddr::from(Ipv4Addr::LOCALHOST),
        (LOCALHOST, true) => IpAddr::from(Ipv6Addr::LOCALHOST),
        _tuple => tuple(inside(host)?)?,
    };
    (port != 0).then_some(SocketAddr::new(ip, port))
}

const LOCALHOST: &str = "localhost";

fn inside(tuple: &str) -> Option<&str> {
    tuple.strip_prefix('{')?.strip_suffix('}')
}

fn tuple(numbers: &str) -> Option<IpAddr> {
    let numbers: Option<Vec<u16>> = numbers.split(',').map(|number| number.parse().ok()).collect();
    let numbers = numbers?;
    if let Ok(segments) = <[u16; 8]>::try_from(numbers.as_slice()) {
        return Some(segments.into());
    }
    let octets: Option<Vec<u8>> = numbers.into_iter().map(|number| number.try_into().ok()).collect();
    Some(<[u8; 4]>::try_from(octets?).ok()?.into())
}

/// What the server knows, shared with the VM that feeds it.
#[derive(Debug)]
pub struct SharedNames(Mutex<Names>);

impl SharedNames {
    /// What `names` holds.
    pub fn new(names: Names) -> Self {
        Self(Mutex::new(names))
    }

    /// The names themselves; must not be held across an await.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers at `address` for as long as it is polled.
pub async fn serve(address: SocketAddr, known: Arc<SharedNames>, tell: impl Fn(ServerEvent)) {
    let listener = listen(address, &known, tell).await;
    let mut pending = PendingClients::default();
    let mut alive = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _from)) => pending.add(answer(stream, address.port(), Arc::clone(&known))),
                // Whoever it was has gone again, or there is no descriptor left.
                Err(_) => sleep(SOON).await,
            },
            Some(asked) = pending.tasks.join_next() => {
                if let Ok(Some(node)) = asked {
                    alive.spawn(node.stay());
                }
            }
            Some(_) = alive.join_next() => {}
        }
    }
}

async fn listen(address: SocketAddr, known: &SharedNames, tell: impl Fn(ServerEvent)) -> TcpListener {
    let mut told = None;
    let mut pause = SOON;
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => {
                if told.is_some() {
                    tell(ServerEvent::Serving);
                }
                return listener;
            }
            Err(error) => error,
        };
        if pause == RETRY {
            let registered = register_elsewhere(address, known).await;
            let reason = match registered {
                Some(_) => "epmd or another node answers there and has registered this one".into(),
                None => error.to_string(),
            };
            if told.as_ref() != Some(&reason) {
                tell(ServerEvent::Waiting(reason.clone()));
                told = Some(reason);
            }
            if let Some(mut host) = registered {
                let _gone = host.read(&mut [0]).await;
                pause = SOON;
                continue;
            }
        }
        sleep(pause).await;
        pause = RETRY;
    }
}

/// Registers this node with whoever answers at the address, since the tools ask there.
async fn register_elsewhere(mut address: SocketAddr, known: &SharedNames) -> Option<TcpStream> {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _one => {}
    }
    let request = alive_request(known.names().own());
    let register = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&request).await?;
        let mut answer = [0; 6];
        stream.read_exact(&mut answer[..2]).await?;
        let creation = if answer[0] == b'v' { 4 } else { 2 };
        stream.read_exact(&mut answer[2..2 + creation]).await?;
        io::Result::Ok(is_alive([answer[0], answer[1]]).then_some(stream))
    };
    timeout(PATIENCE, register).await.ok()?.ok()?
}

/// The clients that haven't asked yet. Those that connect and stay silent make room for later ones.
#[derive(Default)]
struct PendingClients {
    tasks: JoinSet<Option<Registration>>,
    oldest_first: VecDeque<AbortHandle>,
}

impl PendingClients {
    fn add(&mut self, task: impl Future<Output = Option<Registration>> + Send + 'static) {
        self.oldest_first.retain(|task| !task.is_finished());
        if self.oldest_first.len() >= MAX_PENDING
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(task));
    }
}

/// A node that is registered until this is dropped.
struct Registration {
    name: String,
    stream: TcpStream,
    known: Arc<SharedNames>,
}

impl Registration {
    /// Waits until the node hangs up; it has nothing more to say.
    async fn stay(mut self) {
        let _ = self.stream.read_u8().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.known.names().unregister(&self.name);
    }
}

/// Serves one client, which asks one thing. Returns the node if it has registered.
async fn answer(stream: TcpStream, own_port: u16, known: Arc<SharedNames>) -> Option<Registration> {
    timeout(PATIENCE, answer_patiently(stream, own_port, known))
        .await
        .ok()?
        .ok()?
}

async fn answer_patiently(
    mut stream: TcpStream,
    own_port: u16,
    known: Arc<SharedNames>,
) -> io::Result<Option<Registration>> {
    let length = usize::from(stream.read_u16().await?);
    let mut request = [0; MAX_REQUEST];
    let Some(request) = request.get_mut(..length) else {
        return Ok(None);
    };
    stream.read_exact(request).await?;
    let answer = match Request::read(request) {
        Some(Request::Alive(node)) if is_local(&stream) => {
            return register(stream, node, known).await;
        }
        Some(Request::Port(name)) => port_answer(known.names().find(&name).as_deref()),
        Some(Request::Names) => names_answer(own_port, known.names().present()),
        Some(Request::Kill) if is_local(&stream) => REFUSAL.to_vec(),
        Some(Request::Alive(_) | Request::Kill) | None => return Ok(None),
    };
    stream.write_all(&answer).await?;
    Ok(None)
}

async fn register(mut stream: TcpStream, node: Node, known: Arc<SharedNames>) -> io::Result<Option<Registration>> {
    let (name, highest) = (node.name.clone(), node.highest);
    if !known.names().register(node) {
        stream.write_all(&alive_answer(highest, None)).await?;
        return Ok(None);
    }
    let mut alive = Registration { name, stream, known };
    let answer = alive_answer(highest, Some(random()));
    alive.stream.write_all(&answer).await?;
    Ok(Some(alive))
}

/// As with epmd, only nodes on this host may register, since only they can be found at its ports.
fn is_local(stream: &TcpStream) -> bool {
    match (stream.peer_addr(), stream.local_addr()) {
        (Ok(peer), Ok(local)) => peer.ip().to_canonical().is_loopback() || peer.ip() == local.ip(),
        _gone => false,
    }
}

/// A creation must differ from the node's previous one. It need not be hard to guess.
fn random() -> u32 {
    (RandomState::new().hash_one(()) >> 32) as u32
}

#[cfg(test)]
mod tests;
