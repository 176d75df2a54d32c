//! The system's configuration: `resolv.conf` and the hosts file, read again when they change.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::hosts::Hosts;
use super::resolv_conf::ResolvConf;

pub(super) const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Whom the C library asks where `resolv.conf` names nobody.
const LOCAL_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// A time of change older than this tells two changes apart, on file systems with coarse clocks too.
const SETTLED: Duration = Duration::from_secs(2);

/// The configuration of one look-up.
#[derive(Clone)]
pub(super) struct System {
    pub(super) resolver: Arc<Resolver>,
    pub(super) hosts: Arc<Hosts>,
}

/// What follows from `resolv.conf`.
pub(super) struct Resolver {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) conf: ResolvConf,
    /// Why the servers are not those of the file.
    pub(super) instead: Option<String>,
}

impl System {
    pub(super) fn current() -> Self {
        static LAST: Mutex<Last> = Mutex::new((None, None));
        let (resolver, hosts) = &mut *LAST.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            resolver: current(RESOLV_CONF, resolver, Resolver::new),
            hosts: current(HOSTS, hosts, |text| {
                Hosts::parse(text.as_deref().unwrap_or_default())
            }),
        }
    }
}

impl Resolver {
    fn new(text: io::Result<String>) -> Self {
        let hostname = fs::read_to_string(HOSTNAME).unwrap_or_default();
        let conf = ResolvConf::parse(text.as_deref().unwrap_or_default(), &hostname);
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
                Ok(_) => format!("{RESOLV_CONF} names no server"),
                Err(error) => format!("{RESOLV_CONF} can't be read: {error}"),
            }),
        }
    }
}

/// The C library turns the scope, an interface's name or number, into what the kernel wants; it asks nobody for that.
fn address(ip: IpAddr, scope: Option<&str>) -> SocketAddr {
    let scoped =
        scope.and_then(|scope| (format!("{ip}%{scope}"), 53).to_socket_addrs().ok()?.next());
    scoped.unwrap_or(SocketAddr::new(ip, 53))
}

type Last = (Option<Seen<Resolver>>, Option<Seen<Hosts>>);

/// What a file said when it was last read.
struct Seen<T> {
    state: Option<State>,
    /// Whether a change of the file since would show in its state.
    settled: bool,
    content: Arc<T>,
}

/// What changes when a file does: device, inode, length, times of change of the content and of the inode.
type State = (u64, u64, u64, (i64, i64), (i64, i64));

fn current<T>(
    path: &str,
    last: &mut Option<Seen<T>>,
    parse: impl FnOnce(io::Result<String>) -> T,
) -> Arc<T> {
    let now = SystemTime::now();
    let metadata = fs::metadata(path).ok();
    let state = metadata.as_ref().map(|file| {
        let content = (file.mtime(), file.mtime_nsec());
        let inode = (file.ctime(), file.ctime_nsec());
        (file.dev(), file.ino(), file.len(), content, inode)
    });
    if let Some(seen) = last
        .as_ref()
        .filter(|seen| seen.settled && seen.state == state)
    {
        return Arc::clone(&seen.content);
    }
    let settled = metadata.is_none_or(|file| {
        let changed = SystemTime::UNIX_EPOCH
            + Duration::from_secs(file.ctime().max(file.mtime()).max(0).unsigned_abs());
        now.duration_since(changed).is_ok_and(|age| age > SETTLED)
    });
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let content = Arc::new(parse(text));
    *last = Some(Seen {
        state,
        settled,
        content: Arc::clone(&content),
    });
    content
}
