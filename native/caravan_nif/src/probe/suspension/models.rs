use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::*;

const GRACE: Duration = Duration::from_millis(500);

#[test]
fn a_gap_is_found_once_and_ends_when_the_process_resumes() {
    loom::model(|| {
        let monitor = Arc::new(Monitor::new());
        let ms = Arc::new(AtomicU64::new(1_000));
        let beat = |monitor: &Monitor, ms: &AtomicU64| {
            monitor.remaining(GRACE, || Duration::from_millis(ms.load(Ordering::SeqCst)))
        };
        beat(&monitor, &ms);
        let other = {
            let (monitor, ms) = (Arc::clone(&monitor), Arc::clone(&ms));
            thread::spawn(move || beat(&monitor, &ms))
        };
        // The process is suspended for ten seconds, wherever the other thread is.
        ms.store(11_000, Ordering::SeqCst);
        assert_eq!(beat(&monitor, &ms), GRACE);
        other.join().unwrap();
        ms.store(11_400, Ordering::SeqCst);
        assert_eq!(beat(&monitor, &ms), Duration::from_millis(100));
    });
}
