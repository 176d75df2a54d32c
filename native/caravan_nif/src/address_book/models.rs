use loom::thread;

use super::*;

#[test]
fn a_host_that_moves_is_never_missing() {
    loom::model(|| {
        let book = loom::sync::Arc::new(SharedBook::new());
        let owner = Owner { id: 1, bound: false };
        let at = |last: u8| std::iter::once(("n1.test", Arc::from([IpAddr::from([10, 0, 0, last])])));
        book.update(owner, &[], at(1));
        let dial = {
            let book = loom::sync::Arc::clone(&book);
            thread::spawn(move || book.address("n1.test", false))
        };
        book.update(owner, &["n1.test".into()], at(2));
        assert!(dial.join().unwrap().is_some());
        assert_eq!(book.address("n1.test", false), Some([10, 0, 0, 2].into()));
    });
}
