//! The probe that asks whether a node is there: a dead peer then costs no BEAM process.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout_at};

use crate::discovery::{Settings, address, settings};
use crate::error::{Asked, Error};
use crate::naming::host_of;
use crate::node_name;
use crate::sockets;

/// A node that takes longer than this to hang up may have gone on only just now. One that is busy starting takes long, too.
const AWAKE: Duration = Duration::from_millis(250);

/// What a node that was stopped is given to hear of the links it has lost, before it gets new ones.
const RECOVERY: Duration = Duration::from_millis(500);

/// Opens a TCP connection to where a node should listen, hangs up, and waits until the node does so, too.
///
/// The system accepts connections for a node that is stopped or stuck. A dial would wait there, and be the first thing
/// the node hears of when it goes on, before it has heard that its old links are gone. So a node that may have been
/// stopped until now, because it took its time or was `missed` before, is there only half a second after it has
/// answered, whatever is left of the `patience`.
///
/// # Errors
/// `Network` or `Timeout` when nobody is there, and those of the name.
pub async fn probe(name: String, patience: Duration, missed: bool) -> Result<(), Error> {
    let prompt = ask(name, patience).await?;
    if missed || !prompt {
        sleep(RECOVERY).await;
    }
    Ok(())
}

/// Whether the node, which is there, hung up at once.
async fn ask(name: String, patience: Duration) -> Result<bool, Error> {
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
    let deadline = (start + patience).into();
    let Some(_place) = sockets::place(deadline).await else {
        return Err(Error::no_socket(asked()));
    };
    match timeout_at(deadline, connect(host, known, port, ipv6)).await {
        Ok(Ok(stream)) => match timeout_at(deadline, hang_up(stream)).await {
            Ok(took) => Ok(took <= AWAKE),
            Err(_elapsed) => Err(Error::Network {
                asked: asked(),
                reason: "the host takes the connection, but nobody serves it, as if the node were stopped".into(),
            }),
        },
        Ok(Err(error)) => Err(Error::unreachable(asked(), &error)),
        Err(_elapsed) => Err(Error::Timeout { asked: asked() }),
    }
}

async fn connect(
    host: &str,
    known: Option<IpAddr>,
    port: u16,
    ipv6: bool,
) -> io::Result<TcpStream> {
    if let Some(ip) = known {
        return TcpStream::connect((ip, port)).await;
    }
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

/// How long the other end took to hang up, too.
async fn hang_up(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    let mut ignored = [0; 256];
    // A reset is an end, too.
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    start.elapsed()
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
