use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use super::*;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn what_is_sent_does_not_wake_the_runtime() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = server.local_addr().expect("an address");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle().clone();
    let socket = {
        let _registers = handle.enter();
        std::sync::Arc::new(Socket::connected(address).expect("a socket"))
    };
    let (sender, received) = channel();
    let reading = std::sync::Arc::clone(&socket);
    let reader = handle.spawn(async move {
        let mut buffer = [0; 16];
        while let Ok(length) = reading.recv(&mut buffer).await {
            sender.send(length).expect("a receiver");
        }
    });
    std::thread::spawn(move || runtime.block_on(reader));
    // Whether the thread comes to rest again in time.
    let rests_again = |before: u64, within: Duration| {
        let start = Instant::now();
        while handle.metrics().worker_park_count(0) == before {
            if start.elapsed() > within {
                return false;
            }
            std::thread::yield_now();
        }
        true
    };
    let at_rest = || handle.metrics().worker_park_count(0);
    assert!(rests_again(0, DEADLINE));

    let before = at_rest();
    socket.send(b"ping").expect("sent");
    assert!(!rests_again(before, Duration::from_millis(100)));

    let mut buffer = [0; 16];
    let (length, from) = server.recv_from(&mut buffer).expect("a datagram");
    server.send_to(&buffer[..length], from).expect("sent");
    assert_eq!(received.recv_timeout(DEADLINE), Ok(4));
    assert!(rests_again(before, DEADLINE));
}
