//! The functions of `Caravan.Native`. Decode, call, encode; no decisions.

mod decode;
mod encode;
mod port;
mod request;
mod text;
mod vm;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustler::{Atom, Binary, Encoder, Env, Resource, ResourceArc, Term};

use self::decode::{
    ConfigSpec, ExEnd, ExFamily, ExPurpose, ExReach, IdentitySpec, Ip, LoadInfo, LookupSpec, QuestionSpec,
};
use self::encode::handshake::{ExAnswer, ExScan};
use self::encode::{ExAdmissionReport, ExMismatch, ExServerEvent, Failure, Outcome, atoms};
use self::text::{TextBuffer, text};
use self::vm::Beam;
use crate::ask::interview::{self, Interview};
use crate::discovery::Discovery;
use crate::epmd::names::Names;
use crate::epmd::server::{self, SharedNames};
use crate::error::{Context, Error};
use crate::node_name;
use crate::{address_book, resolver, settings};

rustler::init!("Elixir.Caravan.Native", load = load);

/// A topology's discovery, held by its process and dropped with it.
struct MembershipRef(std::sync::Arc<Discovery>);

#[rustler::resource_impl]
impl Resource for MembershipRef {
    const IMPLEMENTS_DESTRUCTOR: bool = true;

    fn destructor(self, _env: Env<'_>) {
        request::drop_later(self.0);
    }
}

/// What Caravan's epmd knows, held by the process that feeds it.
struct EpmdRef(std::sync::Arc<SharedNames>);

#[rustler::resource_impl]
impl Resource for EpmdRef {}

/// An interview that Elixir conducts, over TLS.
struct InterviewRef(Mutex<Interview>);

#[rustler::resource_impl]
impl Resource for InterviewRef {}

impl InterviewRef {
    fn lock(&self) -> MutexGuard<'_, Interview> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells in the file itself which library it is, and of which version: Mix looks for it before it installs one.
#[unsafe(no_mangle)]
static CARAVAN_NIF: &str = concat!("caravan_nif ", env!("CARGO_PKG_VERSION"), "\n");

fn load(_env: Env<'_>, info: Term<'_>) -> bool {
    match info.decode::<(&str, LoadInfo)>() {
        Ok((env!("CARGO_PKG_VERSION"), info)) => {
            settings::configure(info.read());
            true
        }
        _of_another_version => false,
    }
}

#[rustler::nif]
fn loaded() -> bool {
    true
}

#[rustler::nif]
fn listen<'a>(env: Env<'a>, name: Term<'a>, bound: Option<Ip>) -> Term<'a> {
    let mut buffer = TextBuffer::new();
    let Some(text) = text(name, &mut buffer) else {
        return Failure::from(&node_name::no_text(format!("{name:?}"))).encode(env);
    };
    match settings::listen(text, bound.map(|ip| ip.0)) {
        Ok(port) => (atoms::ok(), port).encode(env),
        Err(error) => Failure::from(&error).encode(env),
    }
}

#[rustler::nif]
fn inner_port<'a>(env: Env<'a>, own: Term<'a>, name: Term<'a>) -> Term<'a> {
    let (mut own_buffer, mut buffer) = (TextBuffer::new(), TextBuffer::new());
    let port = text(own, &mut own_buffer)
        .zip(text(name, &mut buffer))
        .and_then(|(own, name)| settings::inner_port(own, name));
    match port {
        Some(port) => (atoms::ok(), port).encode(env),
        None => atoms::error().encode(env),
    }
}

#[rustler::nif]
fn address<'a>(env: Env<'a>, host: Term<'a>, family: ExFamily) -> Term<'a> {
    let mut buffer = TextBuffer::new();
    let host = text(host, &mut buffer).and_then(|host| std::str::from_utf8(host).ok());
    found(env, host.and_then(|host| address_book::address(host, family.is_ipv6())))
}

#[rustler::nif]
fn local_address<'a>(env: Env<'a>, remote: Term<'a>) -> Term<'a> {
    let mut buffer = TextBuffer::new();
    let remote = text(remote, &mut buffer).and_then(|ip| std::str::from_utf8(ip).ok()?.parse().ok());
    found(env, remote.and_then(crate::local_host::source_address))
}

fn found(env: Env<'_>, address: Option<std::net::IpAddr>) -> Term<'_> {
    match address {
        Some(ip) => (atoms::ok(), encode::Ip(ip)).encode(env),
        None => atoms::error().encode(env),
    }
}

#[rustler::nif]
fn tried(node: Term<'_>) -> bool {
    let mut buffer = TextBuffer::new();
    let node = text(node, &mut buffer).and_then(|node| std::str::from_utf8(node).ok());
    node.is_some_and(address_book::tried)
}

#[rustler::nif]
fn lookup<'a>(env: Env<'a>, tag: Term<'a>, spec: LookupSpec) -> Term<'a> {
    let outcome = spec.read().and_then(|spec| {
        let context = Context::new("looked up", &spec.query);
        request::look_up_at_once(env, tag, context, spec)
    });
    started(env, outcome)
}

#[rustler::nif]
fn nameserver<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    match resolver::nameserver(text) {
        Ok(server) => (atoms::ok(), server.to_string()).encode(env),
        Err(error) => Failure::from(&error).encode(env),
    }
}

#[rustler::nif]
fn check(config: ConfigSpec) -> Outcome<()> {
    Outcome(config.read().and_then(|config| config.check()))
}

#[rustler::nif]
fn membership_new(env: Env<'_>, config: ConfigSpec, own: IdentitySpec) -> Term<'_> {
    let discovery = config.read().and_then(|config| Discovery::new(config, &own.read()));
    match discovery {
        Ok(discovery) => {
            let discovery = std::sync::Arc::new(discovery);
            let mismatch = discovery.mismatch.as_ref().map(ExMismatch::from);
            let membership = MembershipRef(std::sync::Arc::clone(&discovery));
            (atoms::ok(), ResourceArc::new(membership), mismatch).encode(env)
        }
        Err(error) => Failure::from(&error).encode(env),
    }
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn poll<'a>(
    env: Env<'a>,
    membership: ResourceArc<MembershipRef>,
    index: u32,
    tag: Term<'a>,
    self_name: String,
    atoms: (usize, usize),
) -> Term<'a> {
    // The task holds the discovery and not the resource, which ends with its owner.
    let discovery = std::sync::Arc::clone(&membership.0);
    let context = Context::new("looked up", discovery.query(index));
    let work = async move { Outcome(discovery.poll(index, &self_name, &Beam::new(atoms)).await) };
    started(env, request::look_up(env, tag, context, work))
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn probe_candidates<'a>(
    env: Env<'a>,
    membership: ResourceArc<MembershipRef>,
    tag: Term<'a>,
    atoms: (usize, usize),
) -> Term<'a> {
    let discovery = std::sync::Arc::clone(&membership.0);
    let context = Context::new("probed", "the new names");
    let work = async move { Outcome(Ok(discovery.probe_candidates(&Beam::new(atoms)).await)) };
    started(env, request::look_up(env, tag, context, work))
}

// Takes a lock that a poll holds for some ms while it applies an answer with thousands of names.
#[rustler::nif(schedule = "DirtyCpu")]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn reach<'a>(
    env: Env<'a>,
    membership: ResourceArc<MembershipRef>,
    heard: Vec<(Atom, ExReach)>,
    atoms: (usize, usize),
) -> Term<'a> {
    let text = |(node, reach): (Atom, ExReach)| Some((node.to_term(env).atom_to_string().ok()?, reach.into()));
    let heard: Vec<_> = heard.into_iter().filter_map(text).collect();
    let report = membership.0.reach(&heard, &Beam::new(atoms));
    ExAdmissionReport::from(&report).encode(env)
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn others_want(membership: ResourceArc<MembershipRef>, node: Term<'_>) -> bool {
    let mut buffer = TextBuffer::new();
    let name = text(node, &mut buffer).and_then(|name| std::str::from_utf8(name).ok());
    name.is_some_and(|name| membership.0.others_want(name))
}

#[rustler::nif]
fn probe<'a>(env: Env<'a>, tag: Term<'a>, name: String, timeout: u64, purpose: ExPurpose) -> Term<'a> {
    let context = Context::new("probed", &name);
    let patience = Duration::from_millis(timeout);
    let work = async move { Outcome(crate::probe::probe(name, patience, purpose.into()).await) };
    started(env, request::probe(env, tag, context, work))
}

#[rustler::nif]
fn handshake<'a>(env: Env<'a>, tag: Term<'a>, spec: QuestionSpec<'a>) -> Term<'a> {
    let (question, mandatory) = spec.read();
    let context = Context::new("probed", question.place.name());
    let work = async move {
        let answer = crate::ask::ask(question).await;
        Outcome(answer.map(|answer| ExAnswer { answer, mandatory }))
    };
    started(env, request::probe(env, tag, context, work))
}

#[rustler::nif]
fn cookie_refused(name: &str, creation: u32, cookie: Binary<'_>) -> Atom {
    interview::note_refusal(name, creation, &cookie);
    atoms::ok()
}

#[rustler::nif]
fn cookie_refuser(name: &str, cookie: Binary<'_>) -> Option<u32> {
    interview::refuser(name, &cookie)
}

#[rustler::nif]
fn interview<'a>(env: Env<'a>, own: &str, cookie: Option<Binary<'a>>) -> Term<'a> {
    let (interview, hello) = Interview::begin(own, cookie.map(|cookie| cookie.to_vec()));
    let interview = ResourceArc::new(InterviewRef(Mutex::new(interview)));
    (interview, encode::handshake::binary(env, &hello)).encode(env)
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn interview_received<'a>(
    env: Env<'a>,
    interview: ResourceArc<InterviewRef>,
    bytes: Binary<'a>,
    mandatory: u64,
) -> Term<'a> {
    encode::handshake::next(env, interview.lock().received(&bytes), mandatory)
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn interview_over(env: Env<'_>, interview: ResourceArc<InterviewRef>, end: ExEnd, mandatory: u64) -> Term<'_> {
    let found = match end {
        ExEnd::Closed => interview.lock().closed(),
        ExEnd::TimedOut => interview.lock().timed_out(),
    };
    encode::handshake::found(env, &found, mandatory)
}

#[rustler::nif]
fn scan<'a>(env: Env<'a>, tag: Term<'a>, host: String, count: u16, own: String, timeout: u64) -> Term<'a> {
    let context = Context::new("asked", &host);
    let patience = Duration::from_millis(timeout);
    let work = async move { ExScan(crate::scan::scan(&host, crate::scan::ports(count), &own, patience).await) };
    started(env, request::probe(env, tag, context, work))
}

#[rustler::nif]
fn linked(node: Term<'_>) -> Atom {
    let mut buffer = TextBuffer::new();
    if let Some(name) = text(node, &mut buffer).and_then(|name| std::str::from_utf8(name).ok()) {
        crate::known_nodes::note_link(name);
    }
    atoms::ok()
}

#[rustler::nif]
fn was_linked(node: Term<'_>) -> bool {
    let mut buffer = TextBuffer::new();
    let name = text(node, &mut buffer).and_then(|name| std::str::from_utf8(name).ok());
    name.is_some_and(crate::known_nodes::was_linked)
}

#[rustler::nif]
fn resumed_lately() -> bool {
    crate::probe::resumed_lately()
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn exec(program: String, arguments: Vec<String>, variables: Vec<(String, String)>) -> (Atom, String) {
    (
        atoms::error(),
        crate::exec::exec(&program, &arguments, &variables).to_string(),
    )
}

#[rustler::nif]
fn epmd_address(text: Term<'_>) -> bool {
    socket_address(text).is_some()
}

#[rustler::nif]
fn epmd<'a>(env: Env<'a>, address: Term<'a>, name: Term<'a>, port: u16) -> Term<'a> {
    let mut buffer = TextBuffer::new();
    let name = text(name, &mut buffer).and_then(|name| std::str::from_utf8(name).ok());
    let (Some(address), Some(name)) = (socket_address(address), name) else {
        return atoms::error().encode(env);
    };
    let names = Names::new(name, port, settings::settings().rules);
    let known = std::sync::Arc::new(SharedNames::new(names));
    let owner = env.pid();
    let tell = move |event| request::send(&owner, &ExServerEvent(event));
    match request::serve(env, server::serve(address, known.clone(), tell)) {
        Ok(()) => (atoms::ok(), ResourceArc::new(EpmdRef(known))).encode(env),
        Err(_no_thread) => atoms::error().encode(env),
    }
}

#[rustler::nif]
#[expect(clippy::needless_pass_by_value, reason = "NIF arguments arrive by value")]
fn epmd_linked(epmd: ResourceArc<EpmdRef>, own: Term<'_>, peer: Term<'_>, up: bool) -> Atom {
    let (mut own_buffer, mut peer_buffer) = (TextBuffer::new(), TextBuffer::new());
    let own = text(own, &mut own_buffer).and_then(|name| std::str::from_utf8(name).ok());
    let peer = text(peer, &mut peer_buffer).and_then(|name| std::str::from_utf8(name).ok());
    if let (Some(own), Some(peer)) = (own, peer) {
        epmd.0.names().linked(own, peer, up);
    }
    atoms::ok()
}

fn socket_address(term: Term<'_>) -> Option<std::net::SocketAddr> {
    let mut buffer = TextBuffer::new();
    let text = text(term, &mut buffer)?;
    server::address(std::str::from_utf8(text).ok()?, settings::settings().ipv6)
}

fn started<'a>(env: Env<'a>, outcome: Result<(), Error>) -> Term<'a> {
    match outcome {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => Failure::from(&error).encode(env),
    }
}
