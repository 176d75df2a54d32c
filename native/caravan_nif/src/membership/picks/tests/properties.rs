use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn whatever_comes_and_goes_the_picks_are_the_best_within_reach(steps in proptest::collection::vec((0u8..5, 0usize..24, any::<u32>()), 1..60), wanted in 2usize..6) {
        let mut set = set(wanted);
        let mut now = 0;
        // What the VM has been told.
        let mut picks: BTreeSet<String> = BTreeSet::new();
        for (kind, number, bits) in steps {
            now += 6;
            let name = format!("n{number}@h");
            let heard = match kind {
                0 => Some(Reach::Linked),
                1 => Some(Reach::Unlinked),
                2 => Some(Reach::OutOfReach),
                _ => None,
            };
            let changes = match heard {
                Some(heard) => set.reach(Duration::from_secs(now), &[(name.clone(), heard)], &THERE),
                None => {
                    let listed = (0..24).filter(|number| bits >> number & 1 == 1).map(|number| node(&format!("n{number}@h"))).collect();
                    set.answer(Duration::from_secs(now), whole(0, listed), SELF, &THERE)
                }
            };
            let links = changes.links.unwrap();
            for name in links.expired.iter().chain(&links.withdrawn).chain(&links.spared) {
                picks.remove(name);
            }
            for name in &links.picked {
                prop_assert!(picks.insert(name.clone()), "{name} is picked twice");
            }
            let members: Vec<String> = set.members.iter().filter(|(_, member)| !member.withdrawn).map(|(name, _)| name.to_string()).collect();
            let known: BTreeSet<String> = set.picks.as_ref().unwrap().known.iter().filter(|(_, known)| known.pick).map(|(name, _)| name.to_string()).collect();
            prop_assert_eq!(&known, &picks, "what was told is what is");
            // The best, until enough of them are within reach; without those that have to answer first.
            let mut within_reach = 0;
            let unreached = &set.picks.as_ref().unwrap().unreached;
            let expected: BTreeSet<String> = ranked(members).into_iter().filter(|name| !unreached.contains(name.as_str())).take_while(|name| {
                let more = within_reach < wanted;
                let out_of_reach = set.picks.as_ref().unwrap().known.get(name.as_str()).is_some_and(|known| known.out_of_reach);
                within_reach += usize::from(!out_of_reach);
                more
            }).collect();
            prop_assert_eq!(&known, &expected);
        }
    }

    #[test]
    fn the_picks_are_the_same_in_whatever_order_the_members_came(mut numbers in Just((0..200).collect::<Vec<usize>>()).prop_shuffle(), cut in 1usize..199, wanted in 2usize..6) {
        let all = ranked(names(0..200));
        let mut set = set(wanted);
        let late = numbers.split_off(cut);
        answer(&mut set, 0, &names(numbers));
        let listed = names(late).iter().map(|name| node(name)).collect();
        set.answer(Duration::ZERO, whole(1, listed), SELF, &THERE);
        let mut picks: Vec<String> = set.picks.unwrap().known.keys().map(ToString::to_string).collect();
        picks.sort_by_key(|name| all.iter().position(|other| other == name));
        prop_assert_eq!(&picks[..], &all[..wanted]);
    }

    #[test]
    fn one_that_joins_or_leaves_changes_one_pick_at_the_most(size in 3usize..100, wanted in 2usize..6, number in 1_000usize..2_000) {
        let before = names(0..size);
        let mut set = set(wanted);
        answer(&mut set, 0, &before);
        let with: Vec<String> = before.iter().cloned().chain(names([number])).collect();
        let joined = answer(&mut set, 0, &with);
        let one = joined.picked.len();
        prop_assert!(one == 0 || joined.picked == names([number]));
        prop_assert_eq!(joined.spared.len(), if size < wanted { 0 } else { one });
        answer(&mut set, 1, &before);
        let left = answer(&mut set, 20, &before);
        prop_assert_eq!(left.withdrawn.len(), one);
        prop_assert_eq!(left.picked, joined.spared);
    }
}
