//! Random numbers, repeatable with `--seed`. PURE.

use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64: its state only ever grows by a constant, so one atomic addition is all that queries share.
pub(crate) struct Dice(AtomicU64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn roll(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Keeps the first `keep` items, and `count` random ones of the rest, in random order.
    pub(crate) fn pick<T>(&self, items: &mut Vec<T>, keep: usize, count: usize) {
        let end = items.len().min(keep.saturating_add(count));
        for place in keep..end {
            // The bias of the remainder is far below what any test could see.
            let chosen = place + (self.roll() % (items.len() - place) as u64) as usize;
            items.swap(place, chosen);
        }
        items.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself() {
        let rolls = |seed| {
            let dice = Dice::new(seed);
            [dice.roll(), dice.roll(), dice.roll()]
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn picks_are_random_subsets_without_repetition() {
        let dice = Dice::new(1);
        let mut seen = [0; 10];
        for _ in 0..1_000 {
            let mut items: Vec<usize> = (0..10).collect();
            dice.pick(&mut items, 0, 3);
            assert_eq!(items.len(), 3);
            items.iter().for_each(|&item| seen[item] += 1);
            items.sort_unstable();
            items.dedup();
            assert_eq!(items.len(), 3);
        }
        assert!(seen.iter().all(|&times| (200..400).contains(&times)), "{seen:?}");
    }

    #[test]
    fn picks_keep_the_first_and_never_more_than_there_are() {
        let dice = Dice::new(1);
        let mut items = vec![0, 1, 2, 3];
        dice.pick(&mut items, 2, 1);
        assert_eq!((items.len(), &items[..2]), (3, &[0, 1][..]));
        dice.pick(&mut items, 2, 100);
        assert_eq!(items.len(), 3);
        dice.pick(&mut items, 5, 0);
        assert_eq!(items.len(), 3);
        dice.pick(&mut items, 0, 0);
        assert!(items.is_empty());
    }
}
