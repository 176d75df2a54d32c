//! Commands from stdin and from control connections. IO.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::serve::back_off;
use crate::state::State;

/// Stdin has its own thread, since reading it blocks. Its end stops the server when the owner is gone.
pub(crate) fn read_stdin(state: Arc<State>, keep_running: bool, done: Arc<Notify>) {
    std::thread::spawn(move || {
        let quit = obey_stdin(&state).unwrap_or(false);
        if quit || !keep_running {
            done.notify_one();
        }
    });
}

fn obey_stdin(state: &State) -> io::Result<bool> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    while stdin.read_until(b'\n', &mut line)? > 0 {
        let outcome = state.command(&line);
        say(&outcome.text)?;
        if outcome.quit {
            return Ok(true);
        }
        line.clear();
    }
    Ok(false)
}

/// Flushes, so that the line arrives at once, whatever stdout is.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

pub(crate) async fn listen(listener: TcpListener, state: Arc<State>, done: Arc<Notify>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(obey_connection(stream, state.clone(), done.clone()));
            }
            Err(_) => back_off().await,
        }
    }
}

async fn obey_connection(stream: TcpStream, state: Arc<State>, done: Arc<Notify>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        let outcome = state.command(&line);
        stream.write_all(outcome.text.as_bytes()).await?;
        if outcome.quit {
            done.notify_one();
        }
        line.clear();
    }
    Ok(())
}
