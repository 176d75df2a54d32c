use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn hosts_that_nobody_waits_for_any_more_are_not_resolved() {
    let (resolver_is_stuck, gate) = mpsc::channel::<()>();
    let (gate, begun) = (Arc::new(Mutex::new(gate)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..100 {
        let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
        let host = bounded(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let _open = gate.lock().unwrap().recv();
        });
        assert!(timeout(Duration::from_millis(1), host).await.is_err());
    }
    drop(resolver_is_stuck);
    assert_eq!(bounded(|| 7).await.unwrap(), 7);
    assert!((1..=8).contains(&begun.load(Ordering::SeqCst)));
}
