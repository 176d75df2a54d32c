//! Asks a node for its name: starts a handshake and ends it before the cookie is used. The node there doesn't log that.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::error::Error;
use crate::handshake::{self, HandshakeError, Identity};
use crate::node_name::MAX_NAME;
use crate::socket_limit;
use crate::target::Target;

/// The longest message is the challenge, with the longest name.
const MAX_MESSAGE: usize = 32 + MAX_NAME;

/// The identity of the node known as `name`. `own` is this node's name.
///
/// # Errors
/// `Handshake` if whatever listens there doesn't tell, `Network`, `Timeout` or `Unresponsive` if nobody is there, and
/// those of the name.
pub async fn identify(name: String, own: &str, patience: Duration) -> Result<Identity, Error> {
    let start = Instant::now();
    let deadline = (start + patience).into();
    let target = Target::of(&name)?;
    let context = || target.context(start);
    let Some(_socket) = socket_limit::probe_permit(deadline).await else {
        return Err(Error::no_socket(context()));
    };
    let (stream, _address) = match timeout_at(deadline, target.connect()).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(Error::unreachable(context(), &error)),
        Err(_elapsed) => return Err(Error::Timeout { context: context() }),
    };
    match timeout_at(deadline, greet(stream, &handshake::asker(own))).await {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(error)) => Err(Error::Handshake {
            context: context(),
            reason: error.to_string(),
        }),
        Err(_elapsed) => Err(Error::Unresponsive { context: context() }),
    }
}

async fn greet(mut stream: TcpStream, from: &str) -> Result<Identity, HandshakeError> {
    // A peer that hangs up, or sends anything but a message, doesn't speak this protocol.
    let broken = |_: io::Error| HandshakeError::NotErlang;
    stream.write_all(&handshake::send_name(from)).await.map_err(broken)?;
    handshake::read_status(&message(&mut stream).await.map_err(broken)?)?;
    handshake::read_challenge(&message(&mut stream).await.map_err(broken)?)
}

async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests;
