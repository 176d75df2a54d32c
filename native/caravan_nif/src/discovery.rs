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
use crate::membership::{Answer, Changes, Limits, MAX_QUERIES, Membership, Vm};
use crate::naming::Naming;
use crate::node_name::{PortRules, Template};
use crate::recent::Recent;
use crate::resolver::{self, Lookup, Missing, Spec, Type};
use crate::standing;

pub use self::proving::Admission;
use self::proving::Probes;

/// How this VM speaks distribution; set once, when the library is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// How names become ports.
    pub rules: PortRules,
    /// Whether distribution runs over IPv6.
    pub ipv6: bool,
}

static SETTINGS: OnceCell<Settings> = OnceCell::new();
static BOOK: Lazy<RwLock<Book>> = Lazy::new(RwLock::default);
/// The hosts that links were lately begun to. One that is tried again may be elsewhere than the book says.
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

/// Notes that a link to a host is begun. Was one begun shortly before?
pub fn tried(host: &str) -> bool {
    TRIES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .note(host.to_ascii_lowercase(), Instant::now())
}

/// What a topology looks up and how it names the nodes.
pub struct Plan {
    /// The queries.
    pub queries: Vec<String>,
    /// All but the query of each look-up.
    pub spec: Spec,
    /// The base of the names.
    pub sname: String,
    /// The form of the names.
    pub template: String,
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
}

/// What one poll found and changed.
pub struct Report {
    /// The look-up.
    pub lookup: Lookup,
    /// How many endpoints it found.
    pub endpoints: usize,
    /// SRV targets without an address.
    pub unresolved: Vec<String>,
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
        let template = Template::parse(&plan.template)?;
        if template.has_host() && plan.spec.record_type != Type::Srv {
            return Err(Error::InvalidOption {
                option: "node_name",
                expected:
                    "no {host} unless type is :srv, since address records name no host; use {ip}"
                        .into(),
                got: plan.template,
            });
        }
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
        if !template.takes_sname(&plan.sname) {
            return Err(Error::InvalidOption {
                option: "node_sname",
                expected: "what can stand in a node name: letters, digits, - and _".into(),
                got: plan.sname,
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
        Ok(Self {
            queries: plan.queries,
            owner: Owner {
                id: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
                bound: !allow.is_empty(),
            },
            naming: Naming {
                sname: plan.sname,
                template,
                allow,
                both_families: plan.spec.record_type == Type::Ip,
            },
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
        let (changes, endpoints, unresolved) = match known.get(place) {
            Some(Some(known)) if lookup.unchanged && lookup.digest == Some(known.digest) => (
                membership.again(now, index, vm),
                known.endpoints,
                known.unresolved.clone(),
            ),
            // A poll that began later ended before this one: what was known is no more, and nothing was read.
            _ if lookup.unchanged => (Changes::default(), 0, Vec::new()),
            _ => {
                let Settings { rules, ipv6 } = settings();
                let (listed, refused) =
                    self.naming
                        .names(&lookup.endpoints, self_name, &rules, ipv6);
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
                });
                if let Some(known) = known.get_mut(place) {
                    *known = learnt;
                }
                (changes, lookup.endpoints.len(), lookup.unresolved.clone())
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
            changes,
        })
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
