use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Two listeners on adjacent ports.
async fn neighbors() -> (TcpListener, TcpListener, u16) {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        if let Some(next) = port.checked_add(1)
            && let Ok(second) = TcpListener::bind(("127.0.0.1", next)).await
        {
            return (first, second, port);
        }
    }
}

/// Answers everyone with these bytes; counts how many have come.
fn serve(listener: TcpListener, answer: &'static [u8]) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(answer).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    count
}

const NODE: &[u8] = b"\0\x03sok\0\x16N\0\0\0\0\0\0\0\x05\0\0\0\x2a\0\0\0\x09\0\x03x@y";

#[tokio::test]
async fn finds_the_nodes_and_leaves_strangers_alone() {
    let (node, stranger, port) = neighbors().await;
    let (asked, bothered) = (serve(node, NODE), serve(stranger, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    for _ in 0..3 {
        let found = scan("127.0.0.1", port..=port + 1, "me@here", Duration::from_secs(5)).await;
        let name = "x@y".into();
        assert_eq!(found.nodes, [Found { port, name, flags: 5 }]);
        assert_eq!(found.unreached, None);
    }
    let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
    assert_eq!((count(&asked), count(&bothered)), (3, 1));
}

#[tokio::test]
async fn a_silent_port_costs_its_patience_and_a_refused_one_nothing() {
    let (silent, closed, port) = neighbors().await;
    drop(closed);
    let patience = Duration::from_millis(200);
    let begun = Instant::now();
    let found = scan("127.0.0.1", port..=port + 1, "me@here", patience).await;
    assert!(begun.elapsed() >= patience);
    assert_eq!((found.nodes, found.unreached), (Vec::new(), None));
    // It rests now, so nobody waits for it.
    assert!(strangers().rest("127.0.0.1", port, Instant::now()));
    drop(silent);
}

#[tokio::test]
async fn says_why_a_host_is_not_reached() {
    let found = scan("no-such-host.invalid", 4370..=4371, "me@here", Duration::from_secs(5)).await;
    assert!(found.nodes.is_empty());
    assert!(matches!(found.unreached, Some(Unreached::NoAddress(_))));
}
