//! What goes into a membership and what comes out. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::picks::LinkChanges;

/// How many members are kept, and for how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A member missing from successful answers for this long stops being one.
    pub expire_after: Duration,
    /// A member missing from successful answers for this long is reported as withdrawn.
    pub withdraw_after: Option<Duration>,
    /// The most members, and about the most new atoms per hour.
    pub max_members: usize,
    /// Whether a node listens where its name says, so that a probe tells whether it is there.
    pub probes: bool,
}

/// What the VM can tell.
pub trait Vm {
    /// Is the name an atom already? Then it costs nothing.
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
    /// The host that its addresses are recorded under, unless the name has a literal address.
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
    /// Whether part of it is missing: that part may list further nodes.
    pub incomplete: bool,
}

/// Why a name did not become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is not a valid node name, or its host is not a valid host name.
    InvalidName,
    /// The topology is full.
    MaxMembers,
    /// There is no atom left for it now.
    AtomLimit,
    /// It is one of many new names, and its host doesn't answer.
    NoAnswer,
    /// Its address is outside the allowed networks.
    NotAllowed,
    /// Its host is an address of the family that isn't dialed.
    OtherFamily,
    /// Its host has no dot, and this node uses long names.
    ShortName,
    /// Its host has a dot, and this node uses short names.
    LongName,
    /// Its record's port is 0, and names can't be made without one.
    NoPort,
    /// It listens on another port than the one that its name stands for here.
    OtherPort,
}

/// What one answer changed; only transitions. Of all members, known to the VM or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New members.
    pub added: Vec<String>,
    /// No longer members.
    pub expired: Vec<String>,
    /// Members that have been missing for `withdraw_after`.
    pub withdrawn: Vec<String>,
    /// Withdrawn members that are back.
    pub returned: Vec<String>,
    /// Members with new addresses, or with some at last.
    pub moved: Vec<String>,
    /// Hosts without any member left.
    pub gone: Vec<String>,
    /// Whether known answers of other queries must be read again: a host has new addresses, or a member has made room.
    pub reread: bool,
    /// Names that were not admitted, in this answer.
    pub refused: Vec<(String, Refusal)>,
    /// How many names of this answer wait, perhaps not for long.
    pub waiting: usize,
    /// If not everybody is to be linked: the part that concerns the VM.
    pub links: Option<LinkChanges>,
}

/// What the VM hears of the changes.
#[derive(Debug)]
pub struct Told<'a> {
    /// To be linked.
    pub added: &'a [String],
    /// No longer members.
    pub expired: &'a [String],
    /// Members that have been missing for `withdraw_after`.
    pub withdrawn: &'a [String],
    /// Withdrawn ones that are back.
    pub returned: &'a [String],
    /// Members with other addresses than before.
    pub moved: &'a [String],
    /// Members that are no longer to be dialed.
    pub spared: &'a [String],
    /// Members that aren't to be dialed, but are linked.
    pub linked: &'a [String],
    /// Members have joined that aren't named here. The VM should report which of them are linked.
    pub joined: bool,
}

impl Changes {
    /// Is there nothing that the VM must hear at once?
    pub fn is_silent(&self) -> bool {
        let told = self.told();
        let names = [told.added, told.expired, told.spared, told.linked];
        names.iter().all(|names| names.is_empty()) && !told.joined
    }

    /// What the VM hears of them.
    pub fn told(&self) -> Told<'_> {
        let Some(links) = &self.links else {
            return Told {
                added: &self.added,
                expired: &self.expired,
                withdrawn: &self.withdrawn,
                returned: &self.returned,
                moved: &self.moved,
                spared: &[],
                linked: &[],
                joined: false,
            };
        };
        Told {
            added: &links.picked,
            expired: &links.expired,
            withdrawn: &links.withdrawn,
            returned: &[],
            moved: &links.moved,
            spared: &links.spared,
            linked: &links.linked,
            joined: !self.added.is_empty(),
        }
    }
}
