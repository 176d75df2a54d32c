//! Windows, where the network adapters and the registry hold the configuration. It is translated into `resolv.conf`.

use std::env;
use std::fmt::Write;
use std::fs::Metadata;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::windows::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use ipconfig::OperStatus;

use super::Observed;

pub(in crate::resolver) const HOSTS: &str = "the hosts file";
pub(super) const RESOLVER: &str = "the network adapters' settings";

/// The server addresses of an adapter without any: nobody has them (RFC 3879).
const NOBODY: Ipv6Addr = Ipv6Addr::new(0xfec0, 0, 0, 0xffff, 0, 0, 0, 0);

/// What changes when a file does: length and time of change.
pub(super) type State = (u64, u64);

pub(super) fn state(file: &Metadata) -> State {
    (file.len(), file.last_write_time())
}

/// When the file last changed in a way that its state shows.
pub(super) fn changed(file: &Metadata) -> SystemTime {
    file.modified().unwrap_or_else(|_unknown| SystemTime::now())
}

pub(super) fn hosts() -> PathBuf {
    let windows = env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    PathBuf::from(windows).join(r"System32\drivers\etc\hosts")
}

/// There is no cheap way to tell when the adapters' settings change, so they are read again once a second when needed.
pub(super) fn resolver() -> Observed {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Observed {
        state: now.ok().map(|now| (0, now.as_secs())),
        settled: true,
    }
}

pub(super) fn resolv_conf() -> io::Result<String> {
    let mut conf = String::new();
    for adapter in ipconfig::get_adapters().map_err(io::Error::other)? {
        if adapter.oper_status() == OperStatus::IfOperStatusUp {
            for server in adapter.dns_servers().iter().filter(|ip| !is_nobody(ip)) {
                let _ = writeln!(conf, "nameserver {server}");
            }
        }
    }
    let search = ipconfig::computer::get_search_list().unwrap_or_default();
    if !search.is_empty() {
        let _ = writeln!(conf, "search {}", search.join(" "));
    }
    Ok(conf)
}

fn is_nobody(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.segments()[..7] == NOBODY.segments()[..7])
}

/// Its domain gives the search list where there is none.
pub(super) fn hostname() -> String {
    match ipconfig::computer::get_domain() {
        Ok(Some(domain)) => format!("this.{domain}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
