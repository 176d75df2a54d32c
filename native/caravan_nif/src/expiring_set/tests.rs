use super::*;

#[test]
fn a_thing_is_there_for_a_while_from_when_it_was_last_noted() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut tries = Recent::new(Duration::from_secs(10));
    assert!(!tries.note("n1.test", at(1)));
    assert!(!tries.note("n2.test", at(1)));
    assert!(tries.note("n1.test", at(10)));
    assert!(tries.note("n1.test", at(19)));
    assert!(tries.has(&"n1.test", at(28)) && !tries.has(&"n1.test", at(29)));
    assert!(!tries.note("n1.test", at(29)));
    assert_eq!(tries.noted.len(), 1);
}
