//! Unix, where the configuration is in files.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Observed, file, read};

pub(in crate::resolver) const HOSTS: &str = "/etc/hosts";
pub(super) const RESOLVER: &str = "/etc/resolv.conf";
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// What changes when a file does: device, inode, length, times of change of the content and of the inode.
pub(super) type State = (u64, u64, u64, (i64, i64), (i64, i64));

pub(super) fn state(file: &Metadata) -> State {
    let content = (file.mtime(), file.mtime_nsec());
    let inode = (file.ctime(), file.ctime_nsec());
    (file.dev(), file.ino(), file.len(), content, inode)
}

/// When the file last changed in a way that its state shows.
pub(super) fn changed(file: &Metadata) -> SystemTime {
    let seconds = file.ctime().max(file.mtime()).max(0).unsigned_abs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn hosts() -> PathBuf {
    HOSTS.into()
}

pub(super) fn resolver() -> Observed {
    file(Path::new(RESOLVER))
}

pub(super) fn resolv_conf() -> io::Result<String> {
    read(Path::new(RESOLVER))
}

pub(super) fn hostname() -> String {
    fs::read_to_string(HOSTNAME).unwrap_or_default()
}
