//! What was found at the other end of a handshake.

use rustler::{Binary, Encoder, Env, NewBinary, Term};

use super::{Failure, Outcome, atoms};
use crate::ask::Answer;
use crate::ask::interview::Move;
use crate::handshake::conversation::{Cookie, Finding, Stage};
use crate::handshake::{Status, flags};
use crate::scan::Scan;
use crate::target::Unreached;

/// What to do next in an interview: `:wait`, `{:send, bytes}` or `{:end, found}`.
pub(crate) fn next(env: Env<'_>, step: Move, mandatory: u64) -> Term<'_> {
    match step {
        Move::Wait => atoms::wait().encode(env),
        Move::Send(bytes) => (atoms::send(), binary(env, &bytes)).encode(env),
        Move::End(finding) => (atoms::end(), found(env, &finding, mandatory)).encode(env),
    }
}

/// An answer, and the flags that this node requires of others.
pub(crate) struct ExAnswer {
    pub(crate) answer: Answer,
    pub(crate) mandatory: u64,
}

impl Encoder for Outcome<ExAnswer> {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let ExAnswer { answer, mandatory } = match &self.0 {
            Ok(answer) => answer,
            Err(error) => return Failure::from(error).encode(env),
        };
        let found = match &answer.found {
            Ok(finding) => found(env, finding, *mandatory),
            Err(unreached) => not_reached(env, unreached),
        };
        let elapsed = u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX);
        (atoms::ok(), (found, &answer.place, elapsed)).encode(env)
    }
}

/// `{:ok, [{name, port}], unreached}`: the nodes on some ports of a host, and why it could not be reached, or `nil`.
pub(crate) struct ExScan(pub(crate) Scan);

impl Encoder for ExScan {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let nodes: Vec<_> = self.0.nodes.iter().map(|node| (&node.name, node.port)).collect();
        let unreached = self.0.unreached.as_ref().map(|why| not_reached(env, why));
        (atoms::ok(), nodes, unreached).encode(env)
    }
}

pub(crate) fn found<'a>(env: Env<'a>, finding: &Finding, mandatory: u64) -> Term<'a> {
    match finding {
        Finding::Node(node, cookie) => {
            let cookie = match cookie {
                Cookie::Untested => atoms::untested(),
                Cookie::Same => atoms::same(),
                Cookie::Other => atoms::other(),
            };
            let missing = flags::missing(node.flags, mandatory);
            let identity = (&node.name, node.creation, node.flags);
            (atoms::node(), identity, missing, cookie).encode(env)
        }
        Finding::Rejected(Status::NotAllowed) => atoms::not_allowed().encode(env),
        Finding::Rejected(Status::Busy | Status::Ok) => atoms::busy().encode(env),
        Finding::Tls(alert) => (atoms::tls(), alert).encode(env),
        Finding::NotErlang(banner) => (atoms::not_erlang(), binary(env, banner)).encode(env),
        Finding::HungUp(stage) => (atoms::hung_up(), atom(*stage)).encode(env),
        Finding::Silent(stage) => (atoms::silent(), atom(*stage)).encode(env),
    }
}

fn not_reached<'a>(env: Env<'a>, unreached: &Unreached) -> Term<'a> {
    match unreached {
        Unreached::Refused => atoms::refused().encode(env),
        Unreached::Unreachable(reason) => (atoms::unreachable(), reason).encode(env),
        Unreached::NoAddress(reason) => (atoms::no_address(), reason).encode(env),
        Unreached::Timeout | Unreached::NoSocket => atoms::timeout().encode(env),
    }
}

fn atom(stage: Stage) -> rustler::Atom {
    match stage {
        Stage::Status => atoms::status(),
        Stage::Challenge => atoms::challenge(),
        Stage::Proof => atoms::proof(),
    }
}

pub(crate) fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Binary<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}
