use super::*;

#[test]
fn a_stranger_rests_longer_each_time() {
    let start = Instant::now();
    let mut strangers = Strangers::default();
    let mut now = start;
    let mut rests = Vec::new();
    for _ in 0..8 {
        assert!(!strangers.rest("h", 1, now));
        strangers.met("h", 1, now);
        let begin = now;
        while strangers.rest("h", 1, now) {
            now += Duration::from_secs(1);
        }
        rests.push((now - begin).as_secs());
    }
    assert_eq!(rests, [10, 20, 40, 80, 160, 320, 600, 600]);
    assert!(!strangers.rest("h", 2, start) && !strangers.rest("i", 1, start));
}

#[test]
fn who_is_gone_or_long_unseen_is_forgotten() {
    let start = Instant::now();
    let mut strangers = Strangers::default();
    strangers.met("h", 1, start);
    strangers.gone("h", 1);
    assert!(!strangers.rest("h", 1, start));
    strangers.met("h", 1, start);
    strangers.met("h", 1, start + FIRST);
    // The second rest was twice as long; after as long again nobody remembers.
    let later = start + FIRST + FIRST * 4;
    strangers.met("h", 2, later);
    assert_eq!(strangers.0.len(), 1);
}
