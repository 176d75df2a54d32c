//! What goes into a membership and what comes out. Pure.

use std::net::IpAddr;
use std::time::Duration;

/// How long members are kept, and how many.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A member that successful answers lack this long is no longer one.
    pub expire_after: Duration,
    /// A member that successful answers lack this long is reported as withdrawn.
    pub withdraw_after: Option<Duration>,
    /// No more members than this, and about as many atoms an hour.
    pub max_members: usize,
    /// Whether a node listens where its name says, so that a probe tells whether it is there.
    pub probes: bool,
}

/// What the VM knows.
pub trait Vm {
    /// Is the name an atom already? Then it costs none.
    fn is_atom(&self, name: &str) -> bool;
    /// Has the node ever been linked, or answered a probe?
    fn has_answered(&self, name: &str) -> bool;
    /// How many atoms may be made before the VM's table is more than three quarters full.
    fn atoms_left(&self) -> usize;
}

/// A node that an answer lists.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The node's name.
    pub name: String,
    /// The host that its addresses are noted under, unless the name has a literal address.
    pub host: Option<String>,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
}

/// A successful answer to one query.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The query's number, 0 to 63.
    pub query: u32,
    /// The nodes it lists.
    pub listed: Vec<Listed>,
    /// Whether a part of it is missing: who is not listed may be in that.
    pub incomplete: bool,
}

/// Why a name did not become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It can't be a node's name, or its host can't be a host's.
    InvalidName,
    /// The topology is full.
    MaxMembers,
    /// No atom is to be had for it now.
    AtomLimit,
    /// It is one of many new names, and its host does not answer.
    NoAnswer,
    /// Its address is in none of the allowed networks.
    NotAllowed,
    /// Its host is an address of the family that is not dialed.
    OtherFamily,
    /// Its host has no dot, and this node uses long names.
    ShortName,
    /// Its host has a dot, and this node uses short names.
    LongName,
    /// Its record's port is 0, and names can't be made without one.
    NoPort,
}

/// What one answer changed; only transitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New members.
    pub added: Vec<String>,
    /// No longer members.
    pub expired: Vec<String>,
    /// Members that have been missing for `withdraw_after`.
    pub withdrawn: Vec<String>,
    /// Withdrawn ones that are back.
    pub returned: Vec<String>,
    /// Members with other addresses than before, or with some at last.
    pub moved: Vec<String>,
    /// Hosts that have no member any more.
    pub gone: Vec<String>,
    /// What other queries were told has to be read again: a host has other addresses, or a member has made room.
    pub reread: bool,
    /// Names that were not admitted, in this answer.
    pub refused: Vec<(String, Refusal)>,
    /// How many names of this answer wait, maybe not for long.
    pub waiting: usize,
}
