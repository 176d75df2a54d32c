use super::*;

const HALF: Duration = Duration::from_millis(500);

fn after(beats: &[u64]) -> Heartbeat {
    let mut heartbeat = Heartbeat::default();
    for &ms in beats {
        heartbeat.beat(Duration::from_millis(ms));
    }
    heartbeat
}

#[test]
fn a_steady_heartbeat_asks_for_no_time() {
    let heartbeat = after(&[9_000, 9_500, 10_000, 11_900]);
    assert_eq!(heartbeat.remaining(HALF, Duration::from_millis(11_900)), Duration::ZERO);
}

#[test]
fn after_a_gap_there_is_time_from_its_end_on() {
    let heartbeat = after(&[1_000, 3_000, 3_100]);
    for (now, left) in [(3_000, 500), (3_100, 400), (3_500, 0), (99_000, 0)] {
        assert_eq!(
            heartbeat.remaining(HALF, Duration::from_millis(now)),
            Duration::from_millis(left)
        );
    }
}
