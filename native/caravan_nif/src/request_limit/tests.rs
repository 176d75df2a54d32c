use super::*;

#[test]
fn however_many_probes_there_are_look_ups_find_places() {
    let probes: Vec<_> = std::iter::from_fn(probe_permit).collect();
    assert!(probes.len() <= MAX_PROBES && probes.len() > MAX_PROBES / 2);
    let lookups: Vec<_> = std::iter::from_fn(lookup_permit).collect();
    assert!(lookups.len() >= MAX_REQUESTS - MAX_PROBES);
}
