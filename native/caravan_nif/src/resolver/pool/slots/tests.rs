use proptest::prelude::*;

use super::*;

fn at(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

/// Sockets are named by their keys, and requests by numbers.
fn with_socket(now: Instant) -> Slots<u64, u32> {
    let mut slots = Slots::new();
    slots.open(0, 7, 7, now);
    slots
}

#[test]
fn no_two_pending_questions_on_a_socket_share_an_id() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    let first = slots.put(7, [5, 6].into_iter(), now, 1).map(|(id, _)| id);
    let second = slots.put(7, [5, 5, 6].into_iter(), now, 2).map(|(id, _)| id);
    assert_eq!((first, second), (Ok(5), Ok(6)));
    assert_eq!(slots.put(7, [5, 6].into_iter(), now, 3).map(|(id, _)| id), Err(3));
    assert_eq!(slots.take(7, 5, |_| true), Some(1));
    assert_eq!(slots.put(7, [5].into_iter(), now, 4).map(|(id, _)| id), Ok(5));
}

#[test]
fn idle_sockets_are_not_looked_at_before_the_first_of_them_is_old() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    slots.open(1, 8, 8, at(now, 5_000));
    assert_eq!(slots.rest(at(now, 5_000)), Some(Duration::from_secs(5)));
    assert!(slots.put(8, [1].into_iter(), at(now, 6_500), 1).is_ok());
    assert_eq!(slots.rest(at(now, 6_000)), Some(SWEEP));
    assert_eq!(slots.sweep(at(now, 6_500)), [1]);
    assert_eq!(slots.rest(at(now, 6_500)), Some(Duration::from_millis(3_500)));
    // One that is about to be too old can wait for the others.
    assert_eq!(slots.rest(at(now, 9_999)), Some(SWEEP));
    assert_eq!(slots.sweep(at(now, 15_000)), []);
    assert_eq!(slots.rest(at(now, 15_000)), None);
}

#[test]
fn a_socket_takes_sixteen_questions_and_ends_with_the_last_of_them() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    let ids = |first: u16| first..;
    for use_of_it in 0..16 {
        assert_eq!(slots.usable(0, now), Some(7));
        assert!(slots.put(7, ids(use_of_it), now, use_of_it.into()).is_ok());
    }
    assert_eq!(slots.put(7, ids(99), now, 99).map(|(id, _)| id), Err(99));
    assert_eq!(slots.usable(0, now), None);
    slots.open(0, 8, 8, now);
    assert_eq!(slots.usable(0, now), Some(8));
    for id in 0..16 {
        assert_eq!(slots.take(7, id, |_| true), Some(id.into()));
    }
    assert!(slots.0.iter().all(|slot| slot.key == 8));
}

#[test]
fn an_old_socket_takes_no_more_and_stays_for_what_is_pending() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    let late = at(now, 10_000);
    assert!(slots.put(7, [1].into_iter(), at(now, 20_000), 1).is_ok());
    assert_eq!(slots.usable(0, at(now, 9_999)), Some(7));
    assert_eq!(slots.usable(0, late), None);
    // Found before it was too old, and used after that.
    assert_eq!(slots.put(7, [2].into_iter(), late, 2).map(|(id, _)| id), Err(2));
    assert_eq!(slots.sweep(late), []);
    assert!(!slots.is_empty());
    assert_eq!(slots.take(7, 1, |_| true), Some(1));
    assert!(slots.is_empty());
}

#[test]
fn an_idle_socket_is_closed_when_it_is_old() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    assert_eq!(slots.sweep(at(now, 9_999)), []);
    assert!(!slots.is_empty());
    assert_eq!(slots.sweep(at(now, 10_000)), []);
    assert!(slots.is_empty());
}

#[test]
fn another_id_socket_or_question_takes_nothing() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    assert!(slots.put(7, [1].into_iter(), now, 1).is_ok());
    assert_eq!(slots.take(7, 2, |_| true), None);
    assert_eq!(slots.take(8, 1, |_| true), None);
    assert_eq!(slots.take(7, 1, |request| *request == 2), None);
    assert_eq!(slots.take(7, 1, |request| *request == 1), Some(1));
    assert_eq!(slots.take(7, 1, |_| true), None);
}

#[test]
fn silence_is_noticed_when_it_is_due() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    assert!(slots.put(7, [1].into_iter(), at(now, 500), 1).is_ok());
    assert!(slots.put(7, [2].into_iter(), at(now, 600), 2).is_ok());
    assert_eq!(slots.sweep(at(now, 499)), []);
    assert_eq!(slots.sweep(at(now, 500)), [1]);
    assert_eq!(slots.take(7, 1, |_| true), None);
    assert_eq!(slots.take(7, 2, |_| true), Some(2));
}

#[test]
fn a_socket_that_fails_gives_back_all_that_is_pending() {
    let now = Instant::now();
    let mut slots = with_socket(now);
    for request in 1..4 {
        assert!(slots.put(7, (0..).map(|id: u16| id), now, request).is_ok());
    }
    assert_eq!(slots.fail(7), [1, 2, 3]);
    assert!(slots.is_empty());
    assert_eq!(slots.fail(7), []);
}

#[derive(Debug, Clone)]
enum Step {
    Ask(usize, u16),
    Answer(usize),
    Wait(u64),
    Fail(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..24_u16).prop_map(|(place, id)| Step::Ask(place, id)),
        4 => any::<usize>().prop_map(Step::Answer),
        1 => (0..6_000_u64).prop_map(Step::Wait),
        1 => any::<usize>().prop_map(Step::Fail),
    ]
}

proptest! {
    /// Whatever happens, each request comes back once, from the socket and the id it went out with.
    #[test]
    fn no_request_is_lost_or_comes_back_twice(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut now = Instant::now();
        let mut slots: Slots<u64, u32> = Slots::new();
        let mut keys = 100;
        // What is out: the request, its socket and id.
        let mut out: Vec<(u32, u64, u16)> = Vec::new();
        let mut uses = std::collections::HashMap::new();
        let mut request = 0;
        for step in steps {
            match step {
                Step::Ask(place, id) => {
                    let key = slots.usable(place, now).unwrap_or_else(|| {
                        keys += 1;
                        slots.open(place, keys, keys, now);
                        keys
                    });
                    request += 1;
                    let due = now + Duration::from_millis(500);
                    if let Ok((id, socket)) = slots.put(key, id.., due, request) {
                        prop_assert_eq!(*socket, key);
                        prop_assert!(out.iter().all(|(_, other, taken)| (*other, *taken) != (key, id)));
                        out.push((request, key, id));
                        let used = uses.entry(key).or_insert(0);
                        *used += 1;
                        prop_assert!(*used <= MAX_USES);
                    }
                }
                Step::Answer(at) if !out.is_empty() => {
                    let (request, key, id) = out.swap_remove(at % out.len());
                    prop_assert_eq!(slots.take(key, id, |_| true), Some(request));
                }
                Step::Fail(at) if !out.is_empty() => {
                    let key = out[at % out.len()].1;
                    let mut failed = slots.fail(key);
                    failed.sort_unstable();
                    let mut pending: Vec<_> = out.extract_if(.., |(_, on, _)| *on == key).map(|(of, ..)| of).collect();
                    pending.sort_unstable();
                    prop_assert_eq!(failed, pending);
                }
                Step::Wait(ms) => {
                    now += Duration::from_millis(ms);
                    for late in slots.sweep(now) {
                        let at = out.iter().position(|(request, ..)| *request == late);
                        prop_assert!(at.is_some());
                        out.swap_remove(at.unwrap_or_default());
                    }
                }
                Step::Answer(_) | Step::Fail(_) => {}
            }
        }
        let mut rest = slots.sweep(now + MAX_AGE);
        rest.sort_unstable();
        let mut pending: Vec<_> = out.into_iter().map(|(request, ..)| request).collect();
        pending.sort_unstable();
        prop_assert_eq!(rest, pending);
        prop_assert!(slots.is_empty());
    }
}
