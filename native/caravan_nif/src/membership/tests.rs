mod properties;

use super::*;

pub(super) const SELF: &str = "me@h";

pub(super) fn limits(max_members: usize) -> Limits {
    Limits {
        expire_after: Duration::from_secs(10),
        withdraw_after: Some(Duration::from_secs(5)),
        max_members,
        probes: true,
    }
}

/// A VM in which no name is an atom.
pub(super) struct Fresh<F>(pub(super) F);

impl<F: Fn(&str) -> bool> Vm for Fresh<F> {
    fn is_atom(&self, _name: &str) -> bool {
        false
    }
    fn has_answered(&self, name: &str) -> bool {
        self.0(name)
    }
    fn atoms_left(&self) -> usize {
        usize::MAX
    }
}

/// Every node is there.
pub(super) const THERE: Fresh<fn(&str) -> bool> = Fresh(|_| true);

pub(super) fn node(name: &str) -> Listed {
    Listed {
        name: name.into(),
        host: Some("h".into()),
        addresses: vec![[10, 0, 0, 1].into()],
    }
}

pub(super) fn whole(query: u32, listed: Vec<Listed>) -> Listing {
    Listing {
        query,
        listed,
        incomplete: false,
    }
}

pub(super) fn answer(set: &mut Membership, now: u64, query: u32, names: &[&str]) -> Changes {
    let listed = names.iter().map(|name| node(name)).collect();
    let mut changes = set.answer(Duration::from_secs(now), whole(query, listed), SELF, &THERE);
    changes.added.sort();
    changes.expired.sort();
    changes
}

#[test]
fn only_changes_are_told_and_self_is_never_a_member() {
    let mut set = Membership::new(limits(10));
    assert_eq!(
        answer(&mut set, 0, 0, &["a@h", SELF, "b@h", "a@h"]).added,
        ["a@h", "b@h"]
    );
    assert_eq!(answer(&mut set, 1, 0, &["b@h", "a@h"]), Changes::default());
    assert_eq!(set.len(), 2);
    let capitals = set.answer(
        Duration::from_secs(2),
        whole(0, vec![node("me@host.test")]),
        "me@Host.test",
        &THERE,
    );
    assert_eq!(capitals, Changes::default());
}

#[test]
fn a_member_goes_only_after_its_time_and_by_repeated_answers() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h", "b@h"]);
    assert_eq!(
        answer(&mut set, 100, 0, &["b@h"]),
        Changes::default(),
        "one answer after a long silence proves nothing"
    );
    assert_eq!(answer(&mut set, 105, 0, &["b@h"]).withdrawn, ["a@h"]);
    assert_eq!(answer(&mut set, 106, 0, &["a@h", "b@h"]).returned, ["a@h"]);
    answer(&mut set, 107, 0, &["b@h"]);
    assert_eq!(answer(&mut set, 116, 0, &["b@h"]).expired, Vec::<String>::new());
    assert_eq!(answer(&mut set, 117, 0, &["b@h"]).expired, ["a@h"]);
    assert_eq!(set.len(), 1);
}

#[test]
fn an_incomplete_answer_adds_and_says_nothing_of_the_others() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h", "b@h"]);
    let mut incomplete = |now, names: &[&str]| {
        let answer = Listing {
            incomplete: true,
            ..whole(0, names.iter().map(|name| node(name)).collect())
        };
        set.answer(Duration::from_secs(now), answer, SELF, &THERE)
    };
    assert_eq!(incomplete(1, &["b@h", "c@h"]).added, ["c@h"]);
    for now in [20, 40, 60] {
        assert_eq!(incomplete(now, &["b@h"]), Changes::default());
    }
    answer(&mut set, 61, 0, &["b@h"]);
    assert_eq!(answer(&mut set, 66, 0, &["b@h"]).withdrawn.len(), 2);
}

#[test]
fn a_host_is_gone_with_the_last_member_on_it() {
    let mut set = Membership::new(limits(10));
    let mut answer = |now, names: &[&str]| {
        let listed = names.iter().map(|name| Listed {
            host: Some("h.test".into()),
            ..node(name)
        });
        let now = Duration::from_secs(now);
        let changes = set.answer(now, whole(0, listed.collect()), SELF, &THERE);
        (changes.expired, changes.gone)
    };
    answer(0, &["a-4001@h.test", "a-4002@h.test"]);
    answer(1, &["a-4002@h.test"]);
    assert_eq!(answer(12, &["a-4002@h.test"]), (vec!["a-4001@h.test".into()], vec![]));
    answer(13, &[]);
    assert_eq!(answer(24, &[]), (vec!["a-4002@h.test".into()], vec!["h.test".into()]));
}

#[test]
fn a_member_of_two_queries_stays_while_one_stands_behind_it() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h"]);
    answer(&mut set, 0, 1, &["a@h"]);
    for now in 1..50 {
        assert_eq!(answer(&mut set, now, 0, &["b@h"]).expired, Vec::<String>::new());
    }
    assert_eq!(set.len(), 2);
}

#[test]
fn an_answer_to_another_query_proves_no_absence() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h"]);
    answer(&mut set, 0, 1, &["b@h"]);
    // A random subset; from now on only the other query is answered.
    answer(&mut set, 1, 0, &[]);
    for now in 1..50 {
        assert_eq!(answer(&mut set, now, 1, &["b@h"]), Changes::default(), "at {now}");
    }
}

#[test]
fn time_in_which_a_query_failed_does_not_count() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h", "b@h"]);
    answer(&mut set, 0, 1, &["a@h", "c@h"]);
    for now in 1..=3 {
        answer(&mut set, now, 0, &["b@h"]);
        answer(&mut set, now, 1, &["c@h"]);
    }
    set.failed(0);
    for now in 4..100 {
        assert_eq!(answer(&mut set, now, 1, &["c@h"]), Changes::default());
    }
    // Missing for 2 s before the failure and for 3 s since.
    assert_eq!(answer(&mut set, 100, 0, &["b@h"]), Changes::default());
    assert_eq!(answer(&mut set, 102, 0, &["b@h"]), Changes::default());
    assert_eq!(answer(&mut set, 103, 0, &["b@h"]).withdrawn, ["a@h"]);
    set.failed(0);
    // The same answer again counts as if it were read.
    let mut again = |now| set.again(Duration::from_secs(now), 0, &THERE).expired;
    assert_eq!(again(203), Vec::<String>::new());
    assert_eq!(again(207), Vec::<String>::new());
    assert_eq!(again(208), ["a@h"]);
}

#[test]
fn new_addresses_are_a_move_and_no_addresses_are_not() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h"]);
    let listed = |addresses| {
        vec![Listed {
            name: "a@h".into(),
            host: Some("h".into()),
            addresses,
        }]
    };
    let mut take = |addresses| {
        set.answer(Duration::from_secs(1), whole(0, listed(addresses)), SELF, &THERE)
            .moved
    };
    assert_eq!(take(vec![]), Vec::<String>::new());
    assert_eq!(take(vec![[10, 0, 0, 2].into()]), ["a@h"]);
    assert_eq!(
        take(vec![[10, 0, 0, 2].into(), [10, 0, 0, 2].into()]),
        Vec::<String>::new()
    );
}

#[test]
fn a_host_is_where_the_latest_answer_says_whichever_of_its_nodes_that_lists() {
    let mut set = Membership::new(limits(10));
    let mut take = |query, name: &str, last| {
        let listed = Listed {
            addresses: vec![[10, 0, 0, last].into()],
            ..node(name)
        };
        let now = Duration::from_secs(1);
        let changes = set.answer(now, whole(query, vec![listed]), SELF, &THERE);
        (changes.moved, changes.reread)
    };
    assert_eq!(take(0, "a-4001@h", 1), (vec![], false));
    assert_eq!(take(1, "a-4002@h", 2), (vec![], true));
    assert_eq!(take(0, "a-4001@h", 1), (vec!["a-4001@h".into()], true));
    assert_eq!(take(0, "a-4001@h", 1), (vec![], false));
    assert_eq!(take(1, "a-4002@h", 1), (vec!["a-4002@h".into()], false));
}

#[test]
fn random_subsets_converge_and_never_shrink() {
    let mut set = Membership::new(Limits {
        expire_after: Duration::from_secs(300),
        withdraw_after: None,
        max_members: 100,
        probes: true,
    });
    let all: Vec<String> = (0..30).map(|number| format!("n{number}@h")).collect();
    let mut last = 0;
    for round in 0..200usize {
        let names: Vec<&str> = (0..8)
            .map(|pick| all[(round * 7 + pick * 11 + round / 30) % 30].as_str())
            .collect();
        let changes = answer(&mut set, round as u64 * 5, 0, &names);
        assert!(changes.expired.is_empty());
        assert!(set.len() >= last);
        last = set.len();
    }
    assert_eq!(set.len(), 30);
}
