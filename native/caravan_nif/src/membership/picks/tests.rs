mod properties;

use super::super::tests::{Fresh, SELF, THERE, limits, node, whole};
use super::super::{Limits, Listing, Refusal};
use super::*;

const NOBODY: Fresh<fn(&str) -> bool> = Fresh(|_| false);

fn set(wanted: usize) -> Membership {
    Membership::new(limits(1_000)).with_picks(SELF, wanted)
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let name = |number| format!("n{number}@h");
    numbers.into_iter().map(name).collect()
}

/// The best first.
fn ranked(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_key(|name| Reverse(rank(NameHash::of(SELF), NameHash::of(name))));
    names
}

fn answer(set: &mut Membership, now: u64, names: &[String]) -> LinkChanges {
    let listed = names.iter().map(|name| node(name)).collect();
    let now = Duration::from_secs(now);
    let mut links = set.answer(now, whole(0, listed), SELF, &THERE).links.unwrap();
    links.expired.sort();
    links
}

fn hear(set: &mut Membership, name: &str, what: Reach) -> LinkChanges {
    let heard = [(name.to_owned(), what)];
    set.reach(Duration::ZERO, &heard, &THERE).links.unwrap()
}

fn picked(names: &[&String]) -> LinkChanges {
    LinkChanges {
        picked: names.iter().map(ToString::to_string).collect(),
        ..LinkChanges::default()
    }
}

#[test]
fn the_best_are_picks_and_of_the_others_nothing_is_told() {
    let all = ranked(names(0..50));
    let mut set = set(4);
    assert_eq!(
        answer(&mut set, 0, &names(0..50)),
        picked(&[&all[0], &all[1], &all[2], &all[3]])
    );
    assert_eq!(
        answer(&mut set, 1, &names(0..50)),
        LinkChanges::default(),
        "a quiet poll"
    );
    assert_eq!(set.len(), 50);
    // Missing long enough, all but the best leave; one of them was a pick.
    let left = answer(&mut set, 2, &all[..3]);
    assert_eq!(left, LinkChanges::default());
    let left = answer(&mut set, 20, &all[..3]);
    assert_eq!(left.withdrawn, [all[3].clone()]);
    assert_eq!(left.expired, Vec::<String>::new(), "it is no peer any more");
    assert_eq!((left.picked, set.len()), (vec![], 3));
}

#[test]
fn a_pick_out_of_reach_is_replaced_until_it_is_back() {
    let all = ranked(names(0..50));
    let mut set = set(3);
    answer(&mut set, 0, &all);
    assert_eq!(
        hear(&mut set, &all[1], Reach::Unlinked),
        LinkChanges::default(),
        "it may be back in a moment"
    );
    assert_eq!(hear(&mut set, &all[1], Reach::OutOfReach), picked(&[&all[3]]));
    assert_eq!(hear(&mut set, &all[3], Reach::OutOfReach), picked(&[&all[4]]));
    assert_eq!(hear(&mut set, &all[3], Reach::OutOfReach), LinkChanges::default());
    let back = hear(&mut set, &all[1], Reach::Linked);
    assert_eq!((back.picked, back.spared.len()), (vec![], 2));
    assert!(back.spared.contains(&all[3]) && back.spared.contains(&all[4]));
    assert_eq!(
        hear(&mut set, &all[0], Reach::OutOfReach),
        picked(&[&all[4]]),
        "one that was out of reach is probed first"
    );
    assert_eq!(next_probes(&mut set), all[3..4]);
    let changes = set.probed(Duration::ZERO, &[(all[3].clone(), true)], &THERE);
    let links = changes.links.unwrap();
    assert_eq!((&links.picked[..], &links.spared[..]), (&all[3..4], &all[4..5]));
}

#[test]
fn a_spare_that_is_linked_is_known_until_it_isnt() {
    let all = ranked(names(0..10));
    let mut set = set(2);
    answer(&mut set, 0, &all);
    let linked = hear(&mut set, &all[5], Reach::Linked).linked;
    assert_eq!(linked, [all[5].clone()]);
    assert_eq!(hear(&mut set, "stranger@h", Reach::Linked), LinkChanges::default());
    // It is there already when it is picked.
    hear(&mut set, &all[0], Reach::OutOfReach);
    for out in &all[2..5] {
        hear(&mut set, out, Reach::OutOfReach);
    }
    assert_eq!(hear(&mut set, &all[1], Reach::OutOfReach).picked, [all[6].clone()]);
    // Two of a kind that are missing: one that is linked, and one that the VM has forgotten.
    let mut set = self::set(2);
    answer(&mut set, 0, &all);
    hear(&mut set, &all[5], Reach::Linked);
    hear(&mut set, &all[6], Reach::Linked);
    hear(&mut set, &all[6], Reach::Unlinked);
    answer(&mut set, 1, &all[..5]);
    assert_eq!(answer(&mut set, 20, &all[..5]).expired, [all[5].clone()]);
    assert_eq!(set.len(), 5);
}

#[test]
fn who_is_withdrawn_is_no_pick_until_it_is_back() {
    let all = ranked(names(0..10));
    let mut set = set(2);
    answer(&mut set, 0, &all);
    hear(&mut set, &all[1], Reach::Linked);
    answer(&mut set, 1, &all[2..]);
    let gone = answer(&mut set, 7, &all[2..]);
    let mut withdrawn = gone.withdrawn;
    withdrawn.sort_by_key(|name| *name == all[1]);
    assert_eq!(withdrawn, all[..2]);
    assert_eq!(gone.picked, all[2..4]);
    assert_eq!(gone.spared, Vec::<String>::new());
    let back = answer(&mut set, 8, &all);
    assert_eq!((back.picked, back.linked), (all[..2].to_vec(), vec![]));
    assert_eq!(back.spared.len(), 2);
}

#[test]
fn only_picks_cost_atoms() {
    struct Few;
    impl Vm for Few {
        fn is_atom(&self, _name: &str) -> bool {
            false
        }
        fn has_answered(&self, _name: &str) -> bool {
            true
        }
        fn atoms_left(&self) -> usize {
            2
        }
    }
    let all = ranked(names(0..10));
    let mut set = set(4);
    let listed = all.iter().map(|name| node(name)).collect();
    let changes = set.answer(Duration::ZERO, whole(0, listed), SELF, &Few);
    assert_eq!(changes.links.unwrap().picked, all[..2]);
    assert_eq!(changes.refused, [(all[2].clone(), Refusal::AtomLimit)]);
    assert_eq!(set.len(), 10);
    // The next poll finds the same.
    let again = set.again(Duration::from_secs(1), 0, &Few);
    assert_eq!(again.links.unwrap().picked, all[2..4]);
}

fn all_out_of_reach(set: &mut Membership, mut changes: Changes, vm: &impl Vm) -> (usize, Changes) {
    let mut picks = 0;
    while !changes.links.as_ref().unwrap().picked.is_empty() {
        let heard: Vec<_> = changes.links.unwrap().picked;
        picks += heard.len();
        let heard: Vec<_> = heard.into_iter().map(|name| (name, Reach::OutOfReach)).collect();
        changes = set.reach(Duration::ZERO, &heard, vm);
    }
    (picks, changes)
}

fn next_probes(set: &mut Membership) -> Vec<String> {
    std::iter::from_fn(|| set.next_probe().map(|node| node.name)).collect()
}

/// A membership that picks two of a hundred members, ranked and as they were listed, and what the answer changed.
fn two_of_a_hundred() -> (Vec<String>, Vec<Listed>, Membership, Changes) {
    let all = ranked(names(0..100));
    let mut set = Membership::new(Limits {
        expire_after: Duration::from_secs(300),
        ..limits(1_000)
    })
    .with_picks(SELF, 2);
    let listed: Vec<_> = all.iter().map(|name| node(name)).collect();
    let changes = set.answer(Duration::ZERO, whole(0, listed.clone()), SELF, &NOBODY);
    (all, listed, set, changes)
}

#[test]
fn names_are_probed_before_they_are_picked_once_as_many_as_are_wanted_are_out_of_reach() {
    let (all, listed, mut set, changes) = two_of_a_hundred();
    let (picks, changes) = all_out_of_reach(&mut set, changes, &NOBODY);
    assert_eq!(picks, 2);
    let due = ranked(next_probes(&mut set));
    assert_eq!(due, all[2..2 + PROBED_AT_ONCE]);
    assert_eq!(set.waiting(&changes), PROBED_AT_ONCE);
    // One answers; the other is passed over.
    let ended = [(due[0].clone(), false), (due[1].clone(), true)];
    let changes = set.probed(Duration::ZERO, &ended, &NOBODY);
    assert_eq!(changes.links.unwrap().picked, [all[3].clone()]);
    assert_eq!(ranked(next_probes(&mut set)), all[34..36], "two in place of these");
    assert_eq!(set.len(), 100);
    // When the second pick has answered, nothing more is probed.
    let changes = set.probed(Duration::ZERO, &[(all[4].clone(), true)], &NOBODY);
    assert_eq!(changes.links.unwrap().picked, [all[4].clone()]);
    assert_eq!(next_probes(&mut set), Vec::<String>::new());
    // Those in vain are probed again after a while, if they are still wanted.
    for out in [&all[3], &all[4]] {
        hear_nobody(&mut set, out);
    }
    let soon = set.answer(
        IN_VAIN - Duration::from_secs(1),
        whole(0, listed.clone()),
        SELF,
        &NOBODY,
    );
    assert_eq!(soon.links.unwrap(), LinkChanges::default());
    assert!(!next_probes(&mut set).contains(&all[2]));
    set.answer(IN_VAIN, whole(0, listed), SELF, &NOBODY);
    assert!(next_probes(&mut set).contains(&all[2]));
}

fn hear_nobody(set: &mut Membership, name: &str) {
    set.reach(Duration::ZERO, &[(name.to_owned(), Reach::OutOfReach)], &NOBODY);
}

#[test]
fn a_node_that_reaches_nobody_does_not_probe_all_members() {
    let all = ranked(names(0..3_000));
    let mut set = Membership::new(limits(3_000)).with_picks(SELF, 2);
    let listed = all.iter().map(|name| node(name)).collect();
    let changes = set.answer(Duration::ZERO, whole(0, listed), SELF, &NOBODY);
    let (picks, _) = all_out_of_reach(&mut set, changes, &NOBODY);
    assert_eq!(picks, 2);
    let mut probed = 0;
    loop {
        let due = next_probes(&mut set);
        if due.is_empty() {
            break;
        }
        probed += due.len();
        let ended: Vec<_> = due.into_iter().map(|name| (name, false)).collect();
        let links = set.probed(Duration::ZERO, &ended, &NOBODY).links.unwrap();
        assert_eq!(links, LinkChanges::default());
    }
    assert!(
        (MOST_IN_VAIN..MOST_IN_VAIN + PROBED_AT_ONCE).contains(&probed),
        "{probed}"
    );
}

#[test]
fn where_nothing_can_be_probed_picks_out_of_reach_cost_half_a_budget_of_atoms_at_most() {
    let all = ranked(names(0..100));
    let mut set = Membership::new(Limits {
        probes: false,
        ..limits(100)
    })
    .with_picks(SELF, 2);
    let listed = all.iter().map(|name| node(name)).collect();
    let changes = set.answer(Duration::ZERO, whole(0, listed), SELF, &NOBODY);
    let (picks, changes) = all_out_of_reach(&mut set, changes, &NOBODY);
    assert_eq!(picks, 50);
    assert!(set.waiting(&changes) > 0, "the links are the proof");
}

#[test]
fn picks_stay_when_a_better_member_gets_no_atom() {
    struct Full;
    impl Vm for Full {
        fn is_atom(&self, name: &str) -> bool {
            name != ranked(names(0..10))[0]
        }
        fn has_answered(&self, _name: &str) -> bool {
            true
        }
        fn atoms_left(&self) -> usize {
            0
        }
    }
    let all = ranked(names(0..10));
    let mut set = set(3);
    answer(&mut set, 0, &all[1..]);
    let listed = all.iter().map(|name| node(name)).collect();
    let changes = set.answer(Duration::from_secs(1), whole(0, listed), SELF, &Full);
    assert_eq!(changes.refused, [(all[0].clone(), Refusal::AtomLimit)]);
    assert_eq!(changes.links.unwrap(), LinkChanges::default());
    // One of them is lost, and the next is an atom.
    let out = [(all[1].clone(), Reach::OutOfReach)];
    let links = set.reach(Duration::from_secs(1), &out, &Full).links.unwrap();
    assert_eq!(links, picked(&[&all[4]]));
}

#[test]
fn picks_stay_while_better_members_are_probed() {
    let (all, listed, mut set, changes) = two_of_a_hundred();
    all_out_of_reach(&mut set, changes, &NOBODY);
    // Only the two worst are there.
    let mut picks = BTreeSet::new();
    while picks.len() < 2 {
        let ended = next_probes(&mut set).into_iter().map(|name| {
            let there = all[98..].contains(&name);
            (name, there)
        });
        let changes = set.probed(Duration::ZERO, &ended.collect::<Vec<_>>(), &NOBODY);
        picks.extend(changes.links.unwrap().picked);
    }
    assert_eq!(picks, all[98..].iter().cloned().collect());
    for name in &picks {
        set.reach(Duration::ZERO, &[(name.clone(), Reach::Linked)], &NOBODY);
    }
    let later = set.answer(IN_VAIN, whole(0, listed), SELF, &NOBODY);
    assert_eq!(next_probes(&mut set).len(), PROBED_AT_ONCE);
    assert_eq!(later.links.unwrap(), LinkChanges::default());
}

/// The private memory of this process, in bytes.
#[cfg(target_os = "linux")]
fn memory() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let dirty = rollup.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
    dirty.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "measures the process, so it runs alone, with --release"]
fn a_spare_costs_tens_of_bytes_more_than_any_member() {
    const MEMBERS: usize = 500_000;
    // Nothing is freed in between, so that no memory is used twice.
    let mut kept = Vec::new();
    let mut cost = |wanted: Option<usize>| {
        let set = Membership::new(limits(MEMBERS));
        let mut set = match wanted {
            Some(wanted) => set.with_picks(SELF, wanted),
            None => set,
        };
        let before = memory();
        for thousand in 0..MEMBERS / 1_000 {
            let name = |number| format!("app-4370@10.{}.{}.{number}", thousand / 250, thousand % 250);
            let listed = (0..1_000).map(|number| node(&name(number))).collect();
            let added = Listing {
                incomplete: true,
                ..whole(0, listed)
            };
            set.answer(Duration::ZERO, added, SELF, &THERE);
        }
        assert_eq!(set.len(), MEMBERS);
        kept.push(set);
        (memory() - before) / MEMBERS
    };
    let (member, spare) = (cost(None), cost(Some(4)));
    eprintln!("{member} bytes a member; {spare} if it is a spare");
    assert!(spare < member + 100);
}
