//! How error messages begin, and what else goes into them.

use std::fmt;
use std::io;
use std::time::Duration;

/// What the operating system reported about a connection.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".into(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection before it answered".into(),
        _ => error.to_string(),
    }
}

/// The beginning of an error message of a lookup or a probe: what was done, where, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// "looked up" or "probed".
    pub action: &'static str,
    /// The name looked up, with its record type (`_app._tcp.example.org SRV`), or the node probed.
    pub question: String,
    /// The servers queried, in order, or where the node was probed.
    pub servers: Vec<String>,
    /// The time spent.
    pub elapsed: Duration,
}

impl Context {
    /// Before any server has been queried.
    pub fn new(action: &'static str, question: &str) -> Self {
        Self {
            action,
            question: question.to_owned(),
            servers: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = match self.servers.as_slice() {
            [] => "no server".to_owned(),
            servers => servers.join(" and "),
        };
        write!(
            f,
            "{} {} at {servers} ({} ms)",
            self.action,
            Printable(self.question.as_bytes()),
            self.elapsed.as_millis()
        )
    }
}

/// Further names that were tried.
pub(super) struct AlsoTried<'a>(pub(super) &'a [String]);

impl fmt::Display for AlsoTried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", nor {}", self.0.join(" or "))
    }
}

/// Bytes from outside, made printable and short: they may be hostile, and end up in a log.
pub(super) struct Printable<'a>(pub(super) &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        write!(f, "\"{}", self.0[..self.0.len().min(MOST)].escape_ascii())?;
        if self.0.len() > MOST {
            write!(f, "…\" ({} bytes)", self.0.len())
        } else {
            write!(f, "\"")
        }
    }
}
