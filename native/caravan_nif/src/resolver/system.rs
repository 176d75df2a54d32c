//! The system's configuration: `resolv.conf` and the hosts file, or what takes their place, read again when they
//! change.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::hosts_file::HostsFile;
use super::nameserver;
use super::resolv_conf::ResolvConf;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub(super) use self::platform::HOSTS;
use self::platform::{RESOLVER, State};

/// The server that the C library queries if `resolv.conf` names none.
const LOCAL_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), nameserver::PORT);

/// Modification times older than this tell two changes apart, even on file systems with coarse clocks.
const SETTLED: Duration = Duration::from_secs(2);

/// The configuration of one lookup.
#[derive(Clone)]
pub(super) struct System {
    pub(super) resolver: Arc<Resolver>,
    pub(super) hosts: Arc<HostsFile>,
}

/// What follows from `resolv.conf`.
pub(super) struct Resolver {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) conf: ResolvConf,
    /// Why the servers are not the file's.
    pub(super) instead: Option<String>,
}

impl System {
    pub(super) fn current() -> Self {
        static LAST: Mutex<Last> = Mutex::new((None, None));
        let (resolver, hosts) = &mut *LAST.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            resolver: current(
                platform::resolver(),
                resolver,
                || Resolver::new(platform::resolv_conf()),
            ),
            hosts: current(file(&platform::hosts()), hosts, || {
                HostsFile::parse(&read(&platform::hosts()).unwrap_or_default())
            }),
        }
    }
}

impl Resolver {
    fn new(text: io::Result<String>) -> Self {
        let conf = ResolvConf::parse(text.as_deref().unwrap_or_default(), &platform::hostname());
        let servers: Vec<SocketAddr> = conf
            .servers
            .iter()
            .map(|(ip, scope)| address(*ip, scope.as_deref()))
            .collect();
        if !servers.is_empty() {
            return Self {
                servers,
                conf,
                instead: None,
            };
        }
        Self {
            servers: vec![LOCAL_SERVER],
            conf,
            instead: Some(match text {
                Ok(_) => format!("{RESOLVER} names no server"),
                Err(error) => format!("{RESOLVER} can't be read: {error}"),
            }),
        }
    }
}

/// The C library turns the scope, an interface's name or number, into what the kernel wants, without any query.
fn address(ip: IpAddr, scope: Option<&str>) -> SocketAddr {
    let scoped = scope.and_then(|scope| {
        (format!("{ip}%{scope}"), nameserver::PORT)
            .to_socket_addrs()
            .ok()?
            .next()
    });
    scoped.unwrap_or(SocketAddr::new(ip, nameserver::PORT))
}

type Last = (Option<Seen<Resolver>>, Option<Seen<HostsFile>>);

/// The content of a source when it was last read.
struct Seen<T> {
    observed: Observed,
    content: Arc<T>,
}

/// The state of a source before it was read.
struct Observed {
    state: Option<State>,
    /// Whether a change since would show in its state.
    settled: bool,
}

fn file(path: &Path) -> Observed {
    let metadata = fs::metadata(path).ok();
    let now = SystemTime::now();
    Observed {
        settled: metadata.as_ref().is_none_or(|file| {
            let age = now.duration_since(platform::changed(file));
            age.is_ok_and(|age| age > SETTLED)
        }),
        state: metadata.as_ref().map(platform::state),
    }
}

fn read(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn current<T>(now: Observed, last: &mut Option<Seen<T>>, read: impl FnOnce() -> T) -> Arc<T> {
    if let Some(Seen { observed, content }) = last
        && observed.settled
        && observed.state == now.state
    {
        return Arc::clone(content);
    }
    let content = Arc::new(read());
    *last = Some(Seen {
        observed: now,
        content: Arc::clone(&content),
    });
    content
}
