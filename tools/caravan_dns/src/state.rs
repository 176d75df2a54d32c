//! What commands and queries share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use hickory_server::net::xfer::Protocol;
use hickory_server::server::Request;

use crate::command::{Command, parse};
use crate::random::Dice;
use crate::respond::{Delivery, Script, respond};

pub(crate) struct State {
    script: RwLock<Script>,
    dice: Dice,
    udp: AtomicU64,
    tcp: AtomicU64,
}

/// The response to a command line, and whether the server continues.
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) quit: bool,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            script: RwLock::default(),
            dice: Dice::new(seed),
            udp: AtomicU64::new(0),
            tcp: AtomicU64::new(0),
        }
    }

    /// Counts and answers a query. The lock is held while the bytes are built, never while they are sent.
    pub(crate) fn respond(&self, request: &Request) -> Delivery {
        let seen = if request.protocol() == Protocol::Tcp {
            &self.tcp
        } else {
            &self.udp
        };
        seen.fetch_add(1, Ordering::Relaxed);
        let script = self.script.read().unwrap_or_else(PoisonError::into_inner);
        respond(&script, &self.dice, request)
    }

    pub(crate) fn command(&self, line: &[u8]) -> Outcome {
        let line = String::from_utf8_lossy(line);
        let command = parse(line.trim_ascii());
        let quit = command == Ok(Command::Quit);
        let text = match command.and_then(|command| self.run(command)) {
            Ok(text) => text,
            Err(sentence) => format!("error {sentence}"),
        };
        Outcome {
            text: text + "\n",
            quit,
        }
    }

    fn run(&self, command: Command) -> Result<String, String> {
        let mut script = self.script.write().unwrap_or_else(PoisonError::into_inner);
        match command {
            Command::Add(record) => script.zone.add(record),
            Command::Remove { name, kind, data } => {
                script.zone.remove(&name, kind, data.as_ref())?;
            }
            Command::List => {
                let mut lines = script.zone.list();
                lines.push("ok".into());
                return Ok(lines.join("\n"));
            }
            Command::Clear => script.zone.clear(),
            Command::Fault { fault, name } => script.faults.set(fault, name.as_ref()),
            Command::Additional(types) => script.additional = types,
            Command::Flood { name, count } => script.zone.flood(&name, count),
            Command::Stats => {
                let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                return Ok(format!("ok udp={} tcp={}", seen(&self.udp), seen(&self.tcp)));
            }
            Command::Quit => {}
        }
        Ok("ok".into())
    }
}
