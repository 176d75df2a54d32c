use super::*;

#[test]
fn whoever_was_linked_once_stays_known() {
    assert!(!was_linked("linked-4370@n1.test"));
    note_link("linked-4370@n1.test");
    note_link("linked-4370@n1.test");
    assert!(was_linked("linked-4370@n1.test"));
    assert!(!was_linked("linked-4370@n2.test"));
    note_answer("linked-4370@n2.test");
    assert!(has_answered("linked-4370@n1.test") && has_answered("linked-4370@n2.test"));
    assert!(!was_linked("linked-4370@n2.test"));
}
