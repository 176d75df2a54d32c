//! The address book of this VM: topologies write it, and whatever sets up a link reads it.

mod book;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use self::book::Book;
pub use self::book::Owner;
use crate::expiring_set::ExpiringSet;
use crate::sync::RwLock;

static BOOK: Lazy<SharedBook> = Lazy::new(SharedBook::new);

/// The recently dialed nodes. One that is retried may be elsewhere than the book says.
static RECENT_TRIES: Lazy<Mutex<ExpiringSet<String>>> =
    Lazy::new(|| Mutex::new(ExpiringSet::new(Duration::from_secs(10))));

/// Forgets the hosts in `gone` for this owner, and records the addresses of others.
pub fn update<'a>(owner: Owner, gone: &[String], found: impl Iterator<Item = (&'a str, Arc<[IpAddr]>)>) {
    BOOK.update(owner, gone, found);
}

/// Forgets everything that an owner recorded.
pub fn remove_owner(owner: Owner) {
    BOOK.write(|book| book.remove_owner(owner));
}

/// The address that discovery found for a host, in the wanted family.
pub fn address(host: &str, ipv6: bool) -> Option<IpAddr> {
    BOOK.address(host, ipv6)
}

/// A book shared by threads.
struct SharedBook(RwLock<Book>);

impl SharedBook {
    fn new() -> Self {
        Self(RwLock::new(Book::default()))
    }

    /// A single write, so that a host that goes and comes back in one answer is never missing in between.
    fn update<'a>(&self, owner: Owner, gone: &[String], found: impl Iterator<Item = (&'a str, Arc<[IpAddr]>)>) {
        self.write(|book| {
            for host in gone {
                book.remove(owner, host);
            }
            for (host, addresses) in found {
                book.put(owner, host, addresses);
            }
        });
    }

    fn write(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn address(&self, host: &str, ipv6: bool) -> Option<IpAddr> {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        book.get(host, ipv6).next()
    }
}

/// Records that a node is dialed; returns whether it was dialed shortly before.
pub fn tried(node: &str) -> bool {
    RECENT_TRIES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(node.to_ascii_lowercase(), Instant::now())
}

#[cfg(all(test, caravan_loom))]
mod models;
