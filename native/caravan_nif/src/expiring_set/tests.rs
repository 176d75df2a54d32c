use super::*;

#[test]
fn a_thing_is_there_for_a_while_from_when_it_was_last_noted() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut tries = ExpiringSet::new(Duration::from_secs(10));
    assert!(!tries.insert("n1.test", at(1)));
    assert!(!tries.insert("n2.test", at(1)));
    assert!(tries.insert("n1.test", at(10)));
    assert!(tries.insert("n1.test", at(19)));
    assert!(tries.contains(&"n1.test", at(28)) && !tries.contains(&"n1.test", at(29)));
    assert_eq!(tries.find(at(28), |name| name.starts_with("n1")), Some(&"n1.test"));
    assert_eq!(tries.find(at(29), |name| name.starts_with("n1")), None);
    assert!(!tries.insert("n1.test", at(29)));
    assert_eq!(tries.inserted.len(), 1);
}
