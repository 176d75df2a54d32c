use super::*;

#[test]
fn the_bound_is_a_quarter_of_what_there_is() {
    let limits = |soft| format!("Limit  Soft Limit  Hard Limit\nMax open files   {soft}   9  files\n");
    for (soft, expected) in [
        ("1024", 256),
        ("100", MIN_SOCKETS),
        ("1048576", MAX_SOCKETS),
        ("unlimited", MAX_SOCKETS),
    ] {
        assert_eq!(bound(&limits(soft)), expected, "{soft}");
    }
    assert_eq!(bound(""), MIN_SOCKETS);
}
