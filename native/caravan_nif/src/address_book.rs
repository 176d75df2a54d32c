//! The one address book of this VM: the topologies write it, and who sets a link up reads it.

mod book;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

pub use self::book::{Book, Owner};
use crate::expiring_set::ExpiringSet;

static BOOK: Lazy<RwLock<Book>> = Lazy::new(RwLock::default);

/// The nodes that links were lately begun to. One that is tried again may be elsewhere than the book says.
static RECENT_TRIES: Lazy<Mutex<ExpiringSet<String>>> =
    Lazy::new(|| Mutex::new(ExpiringSet::new(Duration::from_secs(10))));

/// Changes the book. Nobody reads it meanwhile.
pub fn change(change: impl FnOnce(&mut Book)) {
    change(&mut BOOK.write().unwrap_or_else(PoisonError::into_inner));
}

/// The address that discovery found for a host, in the wanted family.
pub fn address(host: &str, ipv6: bool) -> Option<IpAddr> {
    BOOK.read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(host, ipv6)
        .next()
}

/// Notes that a link to a node is begun. Was one begun shortly before?
pub fn tried(node: &str) -> bool {
    RECENT_TRIES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(node.to_ascii_lowercase(), Instant::now())
}
