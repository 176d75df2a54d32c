mod graph;
mod simulation;

use super::*;

/// Computed by another program from what the head of the module says. They never change.
#[test]
fn a_rank_is_the_same_in_every_version() {
    for (node, member, expected) in [
        ("app-4370@10.0.0.1", "app-4370@10.0.0.2", 0x76fe_e896_58ff_e1ca),
        ("app-4370@10.0.0.2", "app-4370@10.0.0.1", 0x1d31_f26e_28af_b51a),
        ("app-4370@10.0.0.1", "app-4370@10.0.0.3", 0x2a8c_cfad_2e01_8452),
        (
            "my_app-3434@host1.example.org",
            "my_app-3435@host1.example.org",
            0x915b_e15a_6991_2147,
        ),
        ("a@h", "a@h", 0x584c_5722_93a4_9228),
        ("nœud-1@h.test", "app@[::1]", 0x3f36_17bb_395a_d2b4),
        ("", "", 0xcfa3_c5eb_015b_4663),
    ] {
        let rank = rank(NameHash::of(node), NameHash::of(member));
        assert_eq!(
            rank, expected,
            "{node} ranks {member} {rank:#018x}, not {expected:#018x}"
        );
    }
}
