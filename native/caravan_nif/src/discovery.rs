//! One topology's discovery: looks up a query, makes node names of the endpoints, keeps the membership and the address
//! book.

mod proving;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use once_cell::sync::{Lazy, OnceCell};

use crate::addresses::{Book, Network, Owner};
use crate::error::Error;
use crate::linked;
use crate::machine;
use crate::membership::{Answer, Changes, Limits, MAX_QUERIES, Membership, Vm};
use crate::naming::{Names, Naming, Note, Own};
use crate::node_name::{self, Listening, PortRules};
use crate::recent::Recent;
use crate::resolver::{self, Lookup, Missing, Spec, Type};
use crate::standing;
use crate::template::{self, Template};

pub use self::proving::Admission;
use self::proving::Probes;

/// How this VM speaks distribution; set once, when the library is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// How names become ports.
    pub rules: PortRules,
    /// How this node listens.
    pub listening: Listening,
    /// Whether distribution runs over IPv6.
    pub ipv6: bool,
}

static SETTINGS: OnceCell<Settings> = OnceCell::new();
static BOOK: Lazy<RwLock<Book>> = Lazy::new(RwLock::default);
/// The nodes that links were lately begun to. One that is tried again may be elsewhere than the book says.
static TRIES: Lazy<Mutex<Recent<String>>> =
    Lazy::new(|| Mutex::new(Recent::new(Duration::from_secs(10))));
static START: Lazy<Instant> = Lazy::new(Instant::now);
static NEXT_OWNER: AtomicU64 = AtomicU64::new(0);

/// Sets how this VM speaks distribution; the first call counts.
pub fn configure(settings: Settings) {
    let _ = SETTINGS.set(settings);
}

/// How this VM speaks distribution.
pub fn settings() -> Settings {
    SETTINGS.get().copied().unwrap_or_default()
}

/// The address that discovery found for a host, in the wanted family.
pub fn address(host: &str, ipv6: bool) -> Option<IpAddr> {
    BOOK.read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(host, ipv6)
        .next()
}

/// The port that the node `name`, bound to one address or to none, is to listen on; 0 for any free one.
///
/// # Errors
/// Those of the name, and `PortTaken`.
pub fn listen(name: &[u8], bound: Option<IpAddr>) -> Result<u16, Error> {
    let Settings {
        rules,
        listening,
        ipv6,
    } = settings();
    let port = node_name::listen_port(name, &rules, listening)?;
    if port != 0 && machine::is_taken(port, bound, ipv6) {
        return Err(Error::PortTaken {
            name: name.to_vec(),
            port,
        });
    }
    Ok(port)
}

/// The port that a release's tool named `own` has to dial where its node `name` listens on another than others dial.
pub fn inner_port(own: &[u8], name: &[u8]) -> Option<u16> {
    let port = settings().listening.port?;
    node_name::asks(own, name).then_some(port)
}

/// Notes that a link to a node is begun. Was one begun shortly before?
pub fn tried(node: &str) -> bool {
    TRIES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .note(node.to_ascii_lowercase(), Instant::now())
}

/// What a topology looks up and how it names the nodes.
pub struct Plan {
    /// The queries.
    pub queries: Vec<String>,
    /// All but the query of each look-up.
    pub spec: Spec,
    /// This node's name.
    pub own: String,
    /// Whether it uses long names; `None` where its links are not Erlang's own.
    pub long_names: Option<bool>,
    /// The address that it listens on, where that is one only.
    pub bound: Option<IpAddr>,
    /// The base of the names, if it isn't the own one.
    pub sname: Option<String>,
    /// The form of the names, if it isn't that of the own one.
    pub template: Option<String>,
    /// The networks that nodes may be in; none for all.
    pub allow: Vec<String>,
    /// How long members are kept, and how many.
    pub limits: Limits,
}

/// A topology's membership, and what fills it.
pub struct Discovery {
    queries: Vec<String>,
    spec: Spec,
    naming: Naming,
    long_names: Option<bool>,
    bound: Option<IpAddr>,
    /// What of the options doesn't suit the own name.
    pub note: Option<Note>,
    state: Mutex<State>,
    probes: Probes,
    owner: Owner,
}

struct State {
    membership: Membership,
    /// What each query found last, if nothing of it was refused.
    known: Vec<Option<Known>>,
}

/// An answer that is in the membership already.
struct Known {
    digest: u64,
    self_name: String,
    endpoints: usize,
    unresolved: Vec<String>,
    itself: Vec<String>,
}

/// What one poll found and changed.
pub struct Report {
    /// The look-up.
    pub lookup: Lookup,
    /// How many endpoints it found.
    pub endpoints: usize,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
    /// The names in it that lead to this node.
    pub itself: Vec<String>,
    /// What it changed.
    pub changes: Changes,
    /// The members now.
    pub members: usize,
    /// How many names wait that could be members soon: for a probe or, where nothing can be probed, for links.
    pub waiting: usize,
}

impl Discovery {
    /// Checks the plan.
    ///
    /// # Errors
    /// `InvalidOption` for a template, a base of names or a network that is none, `InvalidName` for such a query.
    pub fn new(plan: Plan) -> Result<Self, Error> {
        let rules = settings().rules;
        let by_host = plan.spec.record_type == Type::Srv;
        let base = plan
            .own
            .split_once('@')
            .map_or(&*plan.own, |(base, _)| base);
        let template = match (&plan.template, &plan.sname) {
            (Some(text), _) => Template::parse(text)?,
            (None, Some(_)) => Template::with_sname(by_host),
            (None, None) => Template::like(base, by_host, &rules),
        };
        if template.has_host() && !by_host {
            return Err(Error::InvalidOption {
                option: "node_name",
                expected:
                    "no {host} unless type is :srv, since address records name no host; use {ip}"
                        .into(),
                got: plan.template.unwrap_or_default(),
            });
        }
        // Address records carry no port: such peers share this node's, and so its whole base.
        let own_sname = if by_host {
            template::sname_of(base)
        } else {
            base
        };
        let sname = plan.sname.unwrap_or_else(|| own_sname.to_owned());
        if plan.queries.is_empty() || plan.queries.len() > MAX_QUERIES {
            return Err(Error::InvalidOption {
                option: "query",
                expected: "1 to 64 names".into(),
                got: format!("{} names", plan.queries.len()),
            });
        }
        for query in &plan.queries {
            resolver::name(query)?;
        }
        if !template.takes_sname(&sname) {
            return Err(Error::InvalidOption {
                option: "node_sname",
                expected: "what can stand in a node name: letters, digits, - and _".into(),
                got: sname,
            });
        }
        let allow: Vec<Network> = plan
            .allow
            .iter()
            .map(|text| Network::parse(text))
            .collect::<Result<_, _>>()?;
        let state = State {
            membership: Membership::new(plan.limits),
            known: plan.queries.iter().map(|_| None).collect(),
        };
        let naming = Naming {
            sname,
            template,
            both_families: plan.spec.record_type == Type::Ip,
            allow,
        };
        Ok(Self {
            queries: plan.queries,
            owner: Owner {
                id: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
                bound: !naming.allow.is_empty(),
            },
            note: naming.note(&plan.own, &rules),
            naming,
            long_names: plan.long_names,
            bound: plan.bound,
            spec: plan.spec,
            state: Mutex::new(state),
            probes: Probes::default(),
        })
    }

    /// Query number `index`; empty where there is none.
    pub fn query(&self, index: u32) -> &str {
        self.queries.get(index as usize).map_or("", String::as_str)
    }

    /// Looks up query number `index` and takes the answer in; a failure changes nothing.
    ///
    /// # Errors
    /// Those of a look-up.
    pub async fn poll(&self, index: u32, self_name: &str, vm: &impl Vm) -> Result<Report, Error> {
        let place = index as usize;
        let known = match self.state().known.get(place) {
            Some(Some(known)) if known.self_name == self_name => Some(known.digest),
            _ => None,
        };
        let lookup = resolver::lookup(&Spec {
            query: self.query(index).to_owned(),
            known,
            ..self.spec.clone()
        })
        .await
        .inspect_err(|_| self.failed(index))?;
        let mut state = self.state();
        let now = START.elapsed();
        let State { membership, known } = &mut *state;
        let (changes, endpoints, unresolved, itself) = match known.get(place) {
            Some(Some(known)) if lookup.unchanged && lookup.digest == Some(known.digest) => (
                membership.again(now, index, vm),
                known.endpoints,
                known.unresolved.clone(),
                known.itself.clone(),
            ),
            // A poll that began later ended before this one: what was known is no more, and nothing was read.
            _ if lookup.unchanged => (Changes::default(), 0, Vec::new(), Vec::new()),
            _ => {
                let Names {
                    listed,
                    refused,
                    itself,
                } = self.names(&lookup, self_name);
                let answer = Answer {
                    query: index,
                    listed,
                    incomplete: match lookup.incomplete {
                        Some(Missing::Records(_)) => true,
                        Some(Missing::Addresses(_)) => self.naming.needs_addresses(),
                        None => false,
                    },
                };
                let mut changes = membership.answer(now, answer, self_name, vm);
                changes.refused.extend(refused);
                // What was refused or waits may find a place later.
                let accepted = lookup.incomplete.is_none()
                    && changes.refused.is_empty()
                    && changes.waiting == 0
                    && lookup.refused.count == 0;
                let learnt = lookup.digest.filter(|_| accepted).map(|digest| Known {
                    digest,
                    self_name: self_name.to_owned(),
                    endpoints: lookup.endpoints.len(),
                    unresolved: lookup.unresolved.clone(),
                    itself: itself.clone(),
                });
                if let Some(known) = known.get_mut(place) {
                    *known = learnt;
                }
                let unresolved = lookup.unresolved.clone();
                (changes, lookup.endpoints.len(), unresolved, itself)
            }
        };
        self.note(&mut state, &changes);
        self.probes.more();
        Ok(Report {
            lookup,
            endpoints,
            unresolved,
            members: state.membership.len(),
            waiting: state.membership.waiting(&changes),
            itself,
            changes,
        })
    }

    fn names(&self, lookup: &Lookup, self_name: &str) -> Names {
        let Settings {
            rules,
            listening,
            ipv6,
        } = settings();
        let own = Own {
            name: self_name,
            long_names: self.long_names,
            port: node_name::outer_port(self_name.as_bytes(), &rules, listening)
                .filter(|_| self.long_names.is_some()),
            mapped: listening.port.is_some(),
            is_here: &|address| machine::is_here(address, self.bound),
            is_other: &linked::has_been,
        };
        self.naming.names(&lookup.endpoints, &own, &rules, ipv6)
    }

    fn failed(&self, index: u32) {
        // There is no such query, which is an error, too.
        if (index as usize) < self.queries.len() {
            self.state().membership.failed(index);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: &mut State, changes: &Changes) {
        if changes.reread {
            state.known.fill_with(|| None);
        }
        let mut book = BOOK.write().unwrap_or_else(PoisonError::into_inner);
        for host in &changes.gone {
            book.remove(self.owner, host);
        }
        for name in changes.added.iter().chain(&changes.moved) {
            if let Some((Some(host), addresses)) = state.membership.location(name)
                && !addresses.is_empty()
            {
                book.put(self.owner, host, addresses);
            }
        }
        drop(book);
        // Whoever comes and goes at once is gone.
        standing::enter(self.owner.id, changes.added.iter().chain(&changes.returned));
        standing::leave(
            self.owner.id,
            changes.expired.iter().chain(&changes.withdrawn),
        );
    }

    /// Does another topology of this VM stand behind the node?
    pub fn others_want(&self, name: &str) -> bool {
        standing::others(self.owner.id, name)
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        BOOK.write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove_owner(self.owner);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        standing::leave(self.owner.id, state.membership.names());
    }
}
