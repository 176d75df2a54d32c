//! The DNS server of Caravan's demo, tests and benches: real sockets, records that come and go, and faults on command.
//!
//! `main`, `serve` and `control` do the IO and share `state`; the rest is pure: a line to a command, a request to bytes.

mod command;
mod control;
mod fault;
mod flags;
mod malformed;
mod message;
mod random;
mod record;
mod respond;
mod serve;
mod state;
mod zone;

use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::control::say;
use crate::flags::Flags;
use crate::serve::Sockets;
use crate::state::State;

fn main() -> ExitCode {
    match flags::parse(std::env::args().skip(1)).and_then(start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("caravan_dns: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<(), String> {
    if flags.help {
        return say(flags::HELP).map_err(|error| format!("can't write to stdout: {error}"));
    }
    // One thread: the other cores are for what is tested and measured.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the event loop could not be started: {error}"))?;
    runtime.block_on(run(flags))
}

async fn run(flags: Flags) -> Result<(), String> {
    let state = Arc::new(State::new(flags.seed));
    let done = Arc::new(Notify::new());
    let mut servers = JoinSet::new();
    let mut ready = String::new();
    for address in flags.listen {
        let sockets =
            Sockets::bind(address, !flags.no_tcp).map_err(|error| format!("can't listen on {address}: {error}"))?;
        ready += &format!("listening {}\n", sockets.address);
        servers.spawn(sockets.serve(state.clone()));
    }
    if let Some(address) = flags.control {
        let bound = TcpListener::bind(address)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|error| format!("can't listen on {address}: {error}"))?;
        ready += &format!("control {address}\n");
        tokio::spawn(control::listen(listener, state.clone(), done.clone()));
    }
    say(&(ready + "ready\n")).map_err(|error| format!("can't write to stdout: {error}"))?;
    control::read_stdin(state, flags.keep_running, done.clone());

    tokio::select! {
        () = done.notified() => Ok(()),
        Some(ended) = servers.join_next() => Err(format!("a socket failed: {ended:?}")),
    }
}
