use std::collections::HashSet;

use super::super::tests::{Fresh, SELF, THERE, limits, node, whole};
use super::super::*;

const NOWHERE: Fresh<fn(&str) -> bool> = Fresh(|_| false);

const HOUR: u64 = 3_600;

fn names(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}{number}@h")).collect()
}

/// A topology among nodes that answer probes and dials, or don't.
struct Trial<F> {
    set: Membership,
    answers: F,
    linked: HashSet<String>,
    added: usize,
    expired: Vec<String>,
}

impl<F: Fn(&str) -> bool> Trial<F> {
    fn new(limits: Limits, answers: F) -> Self {
        Self {
            set: Membership::new(limits),
            answers,
            linked: HashSet::new(),
            added: 0,
            expired: Vec::new(),
        }
    }

    /// An answer, and the probes that follow; what came of the answer itself.
    fn poll(&mut self, now: u64, names: &[String]) -> Changes {
        let now = Duration::from_secs(now);
        let listed = names.iter().map(|name| node(name)).collect();
        let vm = Fresh(|name: &str| self.linked.contains(name));
        let mut changes = self.set.answer(now, whole(0, listed), SELF, &vm);
        let mut ended = Vec::new();
        while let Some(probed) = self.set.next_probe() {
            let answered = (self.answers)(&probed.name);
            ended.push((probed.name, answered));
        }
        let mut more = self.set.probed(now, &ended, &vm);
        for changes in [&mut changes, &mut more] {
            self.added += changes.added.len();
            self.expired.append(&mut changes.expired);
            let up = changes.added.iter().filter(|name| (self.answers)(name));
            self.linked.extend(up.cloned());
        }
        changes
    }
}

#[test]
fn however_many_names_a_long_life_brings_all_are_joined() {
    let mut trial = Trial::new(
        Limits {
            expire_after: Duration::from_secs(300),
            ..limits(1_000)
        },
        |_| true,
    );
    // Every four hours another thousand, for more than two weeks.
    for deploy in 0..100 {
        let pods = names(&format!("pod{deploy}-"), 0..1_000);
        for minute in 0..15 {
            trial.poll(deploy * 4 * HOUR + minute * 60, &pods);
        }
        assert!(pods.iter().all(|pod| trial.set.location(pod).is_some()));
    }
    assert_eq!(trial.added, 100_000);
}

#[test]
fn names_that_nobody_serves_cost_half_a_budget_at_the_most_however_many_and_long() {
    let mut trial = Trial::new(limits(1_000), |_| false);
    for poll in 0..1_000 {
        trial.poll(poll as u64 * HOUR / 4, &names("x", poll * 1_000..(poll + 1) * 1_000));
        assert!(trial.set.candidates.len() <= 1_000);
    }
    assert_eq!(trial.added, 500);
}

#[test]
fn a_name_beyond_half_the_budget_waits_until_its_host_answers() {
    let mut trial = Trial::new(limits(10), |name| name.starts_with("up"));
    let old = trial.poll(0, &names("old", 0..5));
    assert_eq!((old.added.len(), old.waiting), (5, 0));
    let mut listed = names("up", 0..2);
    listed.extend(names("down", 0..2));
    let new = trial.poll(1, &listed);
    assert_eq!((new.waiting, new.refused), (4, vec![]));
    assert!(trial.set.location("up0@h").is_some() && trial.set.location("up1@h").is_some());
    // Told only now that it was probed in vain; and probed once for each answer that lists it.
    let again = trial.poll(2, &listed);
    let refused: Vec<_> = again.refused.iter().map(|(_, why)| *why).collect();
    assert_eq!((again.waiting, refused), (2, vec![Refusal::NoAnswer; 2]));
    assert_eq!(trial.set.waiting(&again), 0);
}

#[test]
fn a_failing_deploy_only_makes_later_names_wait_for_a_probe() {
    let mut trial = Trial::new(limits(10), |name| name.starts_with("good"));
    trial.poll(0, &names("bad", 0..20));
    for day in 1..30 {
        let good = names(&format!("good{day}-"), 0..3);
        trial.poll(day * 24 * HOUR, &good);
        trial.poll(day * 24 * HOUR + 60, &good);
        assert!(good.iter().all(|name| trial.set.location(name).is_some()));
    }
    // Whoever comes up after all gives back the trust.
    let up = Fresh(|name: &str| name.starts_with("bad"));
    let now = Duration::from_secs(40 * 24 * HOUR);
    let listed = vec![node("other@h")];
    let changes = trial.set.answer(now, whole(0, listed), SELF, &up);
    assert_eq!(changes.added, ["other@h"]);
}

#[test]
fn at_the_end_of_the_budget_names_wait_for_it_to_refill_the_last_seen_first() {
    let mut set = Membership::new(limits(4));
    let at = |now| Duration::from_secs(now);
    let of = |names: &[&str]| Listing {
        incomplete: true,
        ..whole(0, names.iter().map(|name| node(name)).collect())
    };
    set.budget = AtomBudget::new(1);
    set.limits.expire_after = at(2 * HOUR);
    assert_eq!(set.answer(at(0), of(&["a@h"]), SELF, &THERE).added, ["a@h"]);
    let early = set.answer(at(1), of(&["b@h"]), SELF, &THERE);
    assert_eq!(early.refused, [("b@h".into(), Refusal::AtomLimit)]);
    let later = set.answer(at(2), of(&["c@h"]), SELF, &THERE);
    assert_eq!(later.refused, [("c@h".into(), Refusal::AtomLimit)]);
    assert_eq!(set.answer(at(HOUR), of(&[]), SELF, &THERE).added, ["c@h"]);
}

struct FullTable(usize);

impl Vm for FullTable {
    fn is_atom(&self, name: &str) -> bool {
        name == "known@h"
    }
    fn has_answered(&self, _name: &str) -> bool {
        true
    }
    fn atoms_left(&self) -> usize {
        self.0
    }
}

#[test]
fn while_the_table_of_atoms_is_nearly_full_only_names_that_are_atoms_join() {
    let mut set = Membership::new(limits(10));
    let of = |names: &[&str]| whole(0, names.iter().map(|name| node(name)).collect());
    let changes = set.answer(Duration::ZERO, of(&["a@h", "known@h", "b@h"]), SELF, &FullTable(1));
    assert_eq!(changes.added, ["a@h", "known@h"]);
    assert_eq!(changes.refused, [("b@h".into(), Refusal::AtomLimit)]);
    let later = set.answer(Duration::from_secs(1), of(&["b@h"]), SELF, &FullTable(1));
    assert_eq!(later.added, ["b@h"]);
}

#[test]
fn members_that_never_answered_make_room_for_who_does_and_for_nobody_else() {
    let mut trial = Trial::new(limits(2), |name| name.starts_with("up"));
    trial.set.budget = AtomBudget::new(100);
    let dead = names("dead", 0..1);
    trial.poll(0, &dead);
    trial.poll(1, &[dead.clone(), names("up", 0..1)].concat());
    assert_eq!(trial.set.len(), 2);
    let all = [dead.clone(), names("dead", 1..2), names("up", 0..2)].concat();
    // The dead one has only just come.
    trial.poll(1, &all);
    assert_eq!(trial.expired, Vec::<String>::new());
    trial.poll(3, &all);
    assert_eq!(trial.expired, dead);
    assert!(trial.set.location("up1@h").is_some());
    // Now that all are there nobody makes room any more.
    let full = trial.poll(60, &[all, names("up", 2..3)].concat());
    assert_eq!(trial.expired, dead);
    assert!(full.refused.contains(&("up2@h".into(), Refusal::MaxMembers)));
}

#[test]
fn where_nothing_can_be_probed_the_links_are_the_proof() {
    let mut set = Membership::new(Limits {
        probes: false,
        ..limits(10)
    });
    let listed = || names("n", 0..10).iter().map(|name| node(name)).collect();
    let first = set.answer(Duration::ZERO, whole(0, listed()), SELF, &NOWHERE);
    assert_eq!((first.added.len(), first.waiting), (5, 5));
    assert!(set.next_probe().is_none());
    let rest = set.answer(Duration::from_secs(1), whole(0, listed()), SELF, &THERE);
    assert_eq!((rest.added.len(), set.len()), (5, 10));
}

#[test]
fn who_joins_after_the_answers_have_dropped_it_leaves_like_any_other() {
    let mut set = Membership::new(limits(2));
    let at = Duration::from_secs;
    let of = |names: &[&str]| whole(0, names.iter().map(|name| node(name)).collect());
    let first = set.answer(at(0), of(&["a@h", "b@h"]), SELF, &NOWHERE);
    assert_eq!((first.added.len(), first.waiting), (1, 1));
    let late = set.next_probe().expect("one waits for a probe").name;
    let rest = if late == "a@h" { "b@h" } else { "a@h" };
    let second = set.answer(at(1), of(&[rest]), SELF, &NOWHERE);
    assert_eq!((second.refused.len(), second.waiting), (0, 0));
    let joined = set.probed(at(2), &[(late.clone(), true)], &NOWHERE);
    assert_eq!(joined.added, [late.as_str()]);
    // The same answer comes again and again, and is not read any more.
    let mut left = Vec::new();
    for now in (5..60).step_by(5) {
        let changes = set.again(at(now), 0, &NOWHERE);
        left.extend(changes.expired.into_iter().map(|name| (name, now)));
    }
    assert_eq!(left, [(late, 15)]);
}

#[test]
fn names_that_were_never_linked_do_not_end_the_trust_where_nothing_can_be_probed() {
    let mut set = Membership::new(Limits {
        probes: false,
        ..limits(10)
    });
    let vm = Fresh(|name: &str| name.starts_with("good"));
    let hour = |hours: u64| Duration::from_secs(hours * HOUR);
    // Each day a pod dies before anybody is linked with it.
    for day in 0..100 {
        let names = [format!("good{day}@h"), format!("bad{day}@h")];
        let listed: Vec<_> = names.iter().map(|name| node(name)).collect();
        let first = set.answer(hour(day * 24), whole(0, listed.clone()), SELF, &vm);
        let then = set.answer(hour(day * 24 + 1), whole(0, listed), SELF, &vm);
        assert_eq!(first.added.len() + then.added.len(), 2, "day {day}");
    }
}
