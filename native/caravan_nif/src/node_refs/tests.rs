use super::*;

#[test]
fn others_stand_behind_a_node_until_the_last_of_them_leaves() {
    let names = ["standing-4370@n1.test"];
    let others = |topology| held_by_others(topology, names[0]);
    retain(901, names);
    assert!(!others(901) && others(902));
    retain(902, names);
    retain(902, names);
    assert!(others(901));
    release(902, names);
    release(902, names);
    assert!(!others(901) && others(902));
    release(901, names);
    assert!(!others(902));
}
