use loom::sync::Arc;
use loom::thread;

use super::*;

#[test]
fn the_handle_is_used_once_whoever_comes_first() {
    loom::model(|| {
        let slot = Arc::new(AbortSlot::new());
        let caller_dies = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.abort().is_some())
        };
        let came_back = slot.put(()).is_some();
        assert_ne!(came_back, caller_dies.join().unwrap());
        assert_eq!(slot.abort(), None);
    });
}
