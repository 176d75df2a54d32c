use super::*;

#[test]
fn others_stand_behind_a_node_until_the_last_of_them_leaves() {
    let names = ["standing-4370@n1.test".to_owned()];
    let others = |topology| others(topology, &names[0]);
    enter(901, &names);
    assert!(!others(901) && others(902));
    enter(902, &names);
    enter(902, &names);
    assert!(others(901));
    leave(902, &names);
    leave(902, &names);
    assert!(!others(901) && others(902));
    leave(901, &names);
    assert!(!others(902));
}
