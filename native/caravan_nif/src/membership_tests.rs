use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SELF: &str = "me@h";

fn limits(max_members: usize) -> Limits {
    Limits {
        expire_after: Duration::from_secs(10),
        withdraw_after: Some(Duration::from_secs(5)),
        max_members,
    }
}

fn node(name: &str) -> Listed {
    Listed {
        name: name.into(),
        host: None,
        addresses: vec![[10, 0, 0, 1].into()],
    }
}

fn whole(query: u32, listed: Vec<Listed>) -> Answer {
    Answer {
        query,
        listed,
        incomplete: false,
    }
}

fn answer(set: &mut Membership, now: u64, query: u32, names: &[&str]) -> Changes {
    let listed = names.iter().map(|name| node(name)).collect();
    let mut changes = set.answer(
        Duration::from_secs(now),
        whole(query, listed),
        SELF,
        |_| false,
        |_| (),
    );
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
    assert_eq!(
        answer(&mut set, 116, 0, &["b@h"]).expired,
        Vec::<String>::new()
    );
    assert_eq!(answer(&mut set, 117, 0, &["b@h"]).expired, ["a@h"]);
    assert_eq!(set.len(), 1);
}

#[test]
fn an_incomplete_answer_adds_and_says_nothing_of_the_others() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h", "b@h"]);
    let mut incomplete = |now, names: &[&str]| {
        let answer = Answer {
            incomplete: true,
            ..whole(0, names.iter().map(|name| node(name)).collect())
        };
        set.answer(Duration::from_secs(now), answer, SELF, |_| false, |_| ())
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
    let mut gone = Vec::new();
    let mut answer = |now, names: &[&str]| {
        let listed = names.iter().map(|name| Listed {
            host: Some("h.test".into()),
            ..node(name)
        });
        let now = Duration::from_secs(now);
        set.answer(
            now,
            whole(0, listed.collect()),
            SELF,
            |_| false,
            |host| gone.push(host.to_owned()),
        )
        .expired
    };
    answer(0, &["a-4001@h.test", "a-4002@h.test"]);
    answer(1, &["a-4002@h.test"]);
    assert_eq!(answer(12, &["a-4002@h.test"]), ["a-4001@h.test"]);
    answer(13, &[]);
    assert_eq!(answer(24, &[]), ["a-4002@h.test"]);
    assert_eq!(gone, ["h.test"]);
}

#[test]
fn a_member_of_two_queries_stays_while_one_stands_behind_it() {
    let mut set = Membership::new(limits(10));
    answer(&mut set, 0, 0, &["a@h"]);
    answer(&mut set, 0, 1, &["a@h"]);
    for now in 1..50 {
        assert_eq!(
            answer(&mut set, now, 0, &["b@h"]).expired,
            Vec::<String>::new()
        );
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
        assert_eq!(
            answer(&mut set, now, 1, &["b@h"]),
            Changes::default(),
            "at {now}"
        );
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
    let mut again = |now| set.again(Duration::from_secs(now), 0, |_| ()).expired;
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
        set.answer(
            Duration::from_secs(1),
            whole(0, listed(addresses)),
            SELF,
            |_| false,
            |_| (),
        )
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
fn a_flood_of_names_is_bounded_in_members_and_in_atoms() {
    let mut set = Membership::new(limits(3));
    let (mut added, mut full, mut atoms) = (0, 0, 0);
    for round in 0..1000u64 {
        let names: Vec<String> = (0..5)
            .map(|number| format!("n{round}-{number}@h"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let changes = answer(&mut set, round * 20, 0, &names);
        added += changes.added.len();
        full += changes
            .refused
            .iter()
            .filter(|(_, why)| *why == Refusal::MaxMembers)
            .count();
        atoms += changes
            .refused
            .iter()
            .filter(|(_, why)| *why == Refusal::AtomLimit)
            .count();
        assert!(set.len() <= 3);
    }
    assert_eq!(added, 6, "twice max_members over a topology's life");
    assert!(full > 0 && atoms > 0);
    let known = set.answer(
        Duration::from_secs(1_000_000),
        whole(0, vec![node("known@h")]),
        SELF,
        |_| true,
        |_| (),
    );
    assert_eq!(
        known.added,
        ["known@h"],
        "a name that is an atom already costs none"
    );
}

#[test]
fn random_subsets_converge_and_never_shrink() {
    let mut set = Membership::new(Limits {
        expire_after: Duration::from_secs(300),
        withdraw_after: None,
        max_members: 100,
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

proptest! {
    #[test]
    fn any_answers_keep_the_invariants(steps in proptest::collection::vec((0u64..20, 0u32..3, 0u8..6, proptest::collection::vec(0u8..12, 0..8)), 1..80), max in 1usize..8) {
        let mut set = Membership::new(limits(max));
        let mut now = 0;
        let mut seen: HashMap<String, u64> = HashMap::new();
        let mut made = 0;
        // What each query said, the last first, since it last failed or was answered in part; and whom it ever listed.
        let mut said: HashMap<u32, Vec<Vec<String>>> = HashMap::new();
        let mut listed: HashMap<String, HashSet<u32>> = HashMap::new();
        for (step, query, kind, numbers) in steps {
            now += step;
            let names: Vec<String> = numbers.iter().map(|number| if *number == 0 { SELF.into() } else { format!("n{number}@h") }).collect();
            if kind == 0 {
                let before = set.len();
                set.failed(query);
                said.remove(&query);
                prop_assert_eq!(set.len(), before);
                continue;
            }
            let answer = Answer {
                incomplete: kind == 1,
                ..whole(query, names.iter().map(|name| node(name)).collect())
            };
            if kind == 1 {
                said.remove(&query);
            } else {
                said.entry(query).or_default().insert(0, names.clone());
            }
            let changes = set.answer(Duration::from_secs(now), answer, SELF, |_| false, |_| ());
            made += changes.added.len();
            for name in names {
                if set.location(&name).is_some() {
                    listed.entry(name.clone()).or_default().insert(query);
                }
                seen.insert(name, now);
            }
            for (names, time) in [(&changes.expired, 10), (&changes.withdrawn, 5)] {
                for name in names {
                    prop_assert!(now - seen[name] >= time, "{name} left before its time");
                    for query in &listed[name] {
                        let lacks = said.get(query).is_some_and(|said| said.iter().take(2).all(|names| !names.contains(name)));
                        prop_assert!(lacks, "query {query} may know {name}");
                    }
                }
            }
            for name in &changes.expired {
                listed.remove(name);
            }
            prop_assert!(set.location(SELF).is_none());
            prop_assert!(set.len() <= max);
            prop_assert!(made <= 2 * max);
        }
    }

    #[test]
    fn the_same_answer_again_changes_what_it_would_if_it_were_read(steps in proptest::collection::vec((0u64..8, 0u32..3, 0usize..4), 1..80)) {
        let lists: [&[&str]; 4] = [&[], &["a@h"], &["a@h", "b@h", SELF], &["b@h", "c@h", "d@h"]];
        let (mut read, mut known) = (Membership::new(limits(3)), Membership::new(limits(3)));
        let mut last: HashMap<u32, usize> = HashMap::new();
        let mut now = 0;
        for (step, query, list) in steps {
            now += step;
            let changes = answer(&mut read, now, query, lists[list]);
            let mut same = if last.get(&query) == Some(&list) {
                known.again(Duration::from_secs(now), query, |_| ())
            } else {
                answer(&mut known, now, query, lists[list])
            };
            same.expired.sort();
            if same.refused.is_empty() {
                last.insert(query, list);
            } else {
                last.remove(&query);
            }
            let withdrawn = |changes: &Changes| {
                let mut names = changes.withdrawn.clone();
                names.sort();
                names
            };
            prop_assert_eq!(withdrawn(&same), withdrawn(&changes));
            prop_assert_eq!((same.added, same.expired, same.returned), (changes.added, changes.expired, changes.returned));
            prop_assert_eq!(known.len(), read.len());
        }
    }
}
