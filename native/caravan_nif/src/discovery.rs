//! One topology's discovery: looks up a query, makes node names of the endpoints, keeps the membership and the address
//! book; and the probe that asks whether a node's port is open.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use once_cell::sync::{Lazy, OnceCell};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::addresses::{Book, Network, Owner};
use crate::error::{Asked, Error};
use crate::membership::{Changes, Limits, Membership};
use crate::naming::{Naming, host_of};
use crate::node_name::{self, PortRules, Template};
use crate::resolver::{self, Lookup, Spec, Type};
use crate::sockets;

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
    membership: Mutex<Membership>,
    owner: Owner,
}

/// What one poll found and changed.
pub struct Report {
    /// The look-up.
    pub lookup: Lookup,
    /// What it changed.
    pub changes: Changes,
    /// The members now.
    pub members: usize,
}

impl Discovery {
    /// Checks the plan.
    ///
    /// # Errors
    /// `InvalidOption` for a template or a network that is none.
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
        if plan.queries.is_empty() || plan.queries.len() > 64 {
            return Err(Error::InvalidOption {
                option: "query",
                expected: "1 to 64 names".into(),
                got: format!("{} names", plan.queries.len()),
            });
        }
        let allow = plan
            .allow
            .iter()
            .map(|text| Network::parse(text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            queries: plan.queries,
            spec: plan.spec,
            naming: Naming {
                sname: plan.sname,
                template,
                allow,
            },
            membership: Mutex::new(Membership::new(plan.limits)),
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Looks up query number `index` and takes the answer in; a failure changes nothing.
    ///
    /// # Errors
    /// Those of a look-up.
    pub async fn poll(
        &self,
        index: u32,
        self_name: &str,
        is_atom: impl Fn(&str) -> bool,
    ) -> Result<Report, Error> {
        let query = self
            .queries
            .get(index as usize)
            .cloned()
            .unwrap_or_default();
        let lookup = resolver::lookup(&Spec {
            query,
            ..self.spec.clone()
        })
        .await?;
        let Settings { rules, ipv6 } = settings();
        let (listed, refused) = self
            .naming
            .names(&lookup.endpoints, self_name, &rules, ipv6);
        let mut gone = Vec::new();
        let mut membership = self
            .membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut changes =
            membership.answer(START.elapsed(), index, listed, self_name, is_atom, |host| {
                gone.push(host.to_owned());
            });
        changes.refused.extend(refused);
        self.note(&membership, &changes, &gone);
        Ok(Report {
            lookup,
            changes,
            members: membership.len(),
        })
    }

    fn note(&self, membership: &Membership, changes: &Changes, gone: &[String]) {
        let mut book = BOOK.write().unwrap_or_else(PoisonError::into_inner);
        for host in gone {
            book.remove(self.owner, host);
        }
        for name in changes.added.iter().chain(&changes.moved) {
            if let Some((Some(host), addresses)) = membership.location(name)
                && !addresses.is_empty()
            {
                book.put(self.owner, host, addresses);
            }
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        BOOK.write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove_owner(self.owner);
    }
}

/// Opens and closes one TCP connection to where a node should listen: a dead peer then costs no BEAM process.
///
/// # Errors
/// `Network` or `Timeout` when nobody is there, and those of the name.
pub async fn probe(name: String, patience: Duration) -> Result<(), Error> {
    let start = Instant::now();
    let Settings { rules, ipv6 } = settings();
    let port = node_name::dist_port(name.as_bytes(), &rules)?;
    let host = host_of(&name);
    let known = host.parse().ok().or_else(|| address(host, ipv6));
    let asked = || Asked {
        did: "probed",
        question: name.clone(),
        servers: vec![known.map_or_else(
            || format!("{host}:{port}"),
            |ip| SocketAddr::new(ip, port).to_string(),
        )],
        elapsed: start.elapsed(),
    };
    let Some(_place) = sockets::place(tokio::time::Instant::now() + patience).await else {
        return Err(Error::no_socket());
    };
    let work = async {
        match known {
            Some(ip) => TcpStream::connect((ip, port)).await,
            None => {
                let mut found = lookup_host((host, port)).await?;
                let address = found
                    .find(|address| address.is_ipv6() == ipv6)
                    .ok_or_else(|| {
                        io::Error::new(
                            io::ErrorKind::AddrNotAvailable,
                            "the host has no address of this node's family",
                        )
                    })?;
                TcpStream::connect(address).await
            }
        }
    };
    match timeout(patience.saturating_sub(start.elapsed()), work).await {
        Ok(Ok(_stream)) => Ok(()),
        Ok(Err(error)) => Err(Error::unreachable(asked(), &error)),
        Err(_elapsed) => Err(Error::Timeout { asked: asked() }),
    }
}
