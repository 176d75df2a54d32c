use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::super::*;
use super::{Fresh, SELF, THERE, limits, node, whole};

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
            let answer = Listing {
                incomplete: kind == 1,
                ..whole(query, names.iter().map(|name| node(name)).collect())
            };
            if kind == 1 {
                said.remove(&query);
            } else {
                said.entry(query).or_default().insert(0, names.clone());
            }
            let changes = set.answer(Duration::from_secs(now), answer, SELF, &THERE);
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
                    // One that waited, and joined with a later answer, is in none that was noted.
                    for query in listed.get(name).into_iter().flatten() {
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
    fn the_same_answer_again_changes_what_it_would_if_it_were_read(steps in proptest::collection::vec((0u64..8, 0u32..3, 0usize..7), 1..80)) {
        let lists: [&[(&str, u8)]; 6] = [
            &[],
            &[("a@h", 1)],
            &[("a@h", 1), ("b@i", 1), (SELF, 1)],
            &[("a@h", 2), ("b@i", 0)],
            &[("b@h", 3), ("b@i", 2)],
            &[("b@i", 1), ("c@i", 1), ("d@i", 1)],
        ];
        let listed = |list: usize| lists[list].iter().map(|(name, last)| Listed {
            host: Some(name.split_once('@').unwrap().1.into()),
            addresses: [*last].iter().filter(|last| **last > 0).map(|last| [10, 0, 0, *last].into()).collect(),
            ..node(name)
        }).collect();
        let (mut read, mut known) = (Membership::new(limits(3)), Membership::new(limits(3)));
        let mut last: HashMap<u32, usize> = HashMap::new();
        let mut now = 0;
        for (step, query, list) in steps {
            now += step;
            if list == lists.len() {
                read.failed(query);
                known.failed(query);
                continue;
            }
            let at = Duration::from_secs(now);
            let take = |set: &mut Membership| set.answer(at, whole(query, listed(list)), SELF, &THERE);
            let mut changes = take(&mut read);
            let mut same = if last.get(&query) == Some(&list) {
                known.again(at, query, &THERE)
            } else {
                take(&mut known)
            };
            if same.reread {
                last.clear();
            }
            if same.refused.is_empty() && same.waiting == 0 {
                last.insert(query, list);
            } else {
                last.remove(&query);
            }
            for changes in [&mut same, &mut changes] {
                for names in [&mut changes.expired, &mut changes.withdrawn, &mut changes.gone] {
                    names.sort();
                }
            }
            prop_assert_eq!(same, changes);
            prop_assert_eq!(known.len(), read.len());
        }
    }

    #[test]
    fn whatever_answers_nobody_makes_room_for_names_that_do_not(steps in proptest::collection::vec((0u64..9, proptest::collection::vec(0u8..20, 0..8)), 1..60), max in 1usize..6) {
        let vm = Fresh(|name: &str| name.starts_with("up"));
        let mut set = Membership::new(limits(max));
        let mut now = 0;
        let mut trusted = 0;
        for (step, numbers) in steps {
            now += step;
            let names = numbers.iter().map(|number| if *number < 7 { format!("up{number}@h") } else { format!("down{number}@h") });
            let listed: Vec<_> = names.map(|name| node(&name)).collect();
            let changes = set.answer(Duration::from_secs(now), Listing { incomplete: true, ..whole(0, listed) }, SELF, &vm);
            // No answer was whole, so that nobody is missing: who went has made room.
            prop_assert!(changes.expired.iter().all(|name| name.starts_with("down")));
            prop_assert!(changes.expired.len() <= changes.added.iter().filter(|name| name.starts_with("up")).count());
            trusted += changes.added.iter().filter(|name| name.starts_with("down")).count();
            prop_assert!(trusted <= max.div_ceil(2));
            prop_assert!(set.len() <= max);
        }
    }
}

/// What `Discovery` keeps besides the members: the address book.
#[derive(Default)]
struct Shelf(HashMap<String, Vec<IpAddr>>);

impl Shelf {
    fn note(&mut self, set: &Membership, changes: &Changes) {
        for host in &changes.gone {
            self.0.remove(host);
        }
        for name in changes.added.iter().chain(&changes.moved) {
            if let Some((Some(host), addresses)) = set.location(name)
                && !addresses.is_empty()
            {
                self.0.insert(host.into(), addresses.to_vec());
            }
        }
    }
}

proptest! {
    #[test]
    fn whoever_comes_goes_and_waits_all_books_are_kept(steps in proptest::collection::vec((0u64..7, 0u32..2, 0u8..8, proptest::collection::vec((0u8..16, 0u8..3), 0..8)), 1..80), max in 1usize..6) {
        // An even number's node is up.
        let up = |name: &str| name.trim_start_matches('n').split('@').next().unwrap().parse::<u8>().unwrap() % 2 == 0;
        let vm = Fresh(|name: &str| up(name) && name.starts_with("n1"));
        let mut set = Membership::new(limits(max));
        let mut shelf = Shelf::default();
        let mut under_way: Vec<String> = Vec::new();
        let mut now = 0;
        for (step, query, kind, numbers) in steps {
            now += step;
            let at = Duration::from_secs(now);
            let before: HashSet<String> = set.names().map(str::to_owned).collect();
            let changes = match kind {
                0 => {
                    set.failed(query);
                    Changes::default()
                }
                1 => {
                    let ended: Vec<_> = under_way.drain(..).map(|name| (name.clone(), up(&name))).collect();
                    set.probed(at, &ended, &vm)
                }
                2 => set.again(at, query, &vm),
                _ => {
                    let listed = numbers.iter().map(|(number, last)| Listed {
                        name: format!("n{number}@h{}", number % 4),
                        host: Some(format!("h{}", number % 4)),
                        addresses: [*last].iter().filter(|last| **last > 0).map(|last| [10, 0, 0, *last].into()).collect(),
                    }).collect();
                    set.answer(at, Listing { incomplete: kind == 3, ..whole(query, listed) }, SELF, &vm)
                }
            };
            shelf.note(&set, &changes);
            while under_way.len() < 3 && let Some(probed) = set.next_probe() {
                prop_assert!(!under_way.contains(&probed.name));
                under_way.push(probed.name);
            }
            // What was told is what has become of the members.
            let after: HashSet<String> = set.names().map(str::to_owned).collect();
            let added: HashSet<String> = changes.added.iter().cloned().collect();
            let expired: HashSet<String> = changes.expired.iter().cloned().collect();
            prop_assert_eq!(&after - &before, &added - &expired);
            prop_assert_eq!(&before - &after, &expired - &added);
            prop_assert!(set.len() <= max);
            // Each host knows how many of them it has, and nothing else is a host.
            let mut hosts: HashMap<String, usize> = HashMap::new();
            for member in set.members.values() {
                *hosts.entry(member.host.clone().unwrap()).or_default() += 1;
            }
            prop_assert_eq!(set.hosts.counts(), hosts.clone());
            prop_assert!(shelf.0.keys().all(|host| hosts.contains_key(host)));
            // Whoever is missed is looked for when an answer comes again.
            prop_assert!(set.missing >= set.members.values().filter(|member| member.missed != 0).count());
            prop_assert!(after.iter().all(|name| set.candidates.get(name).is_none()));
        }
    }
}
