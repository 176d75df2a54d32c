use super::*;

#[test]
fn however_many_probes_there_are_look_ups_find_places() {
    let probes: Vec<_> = std::iter::from_fn(for_probe).collect();
    assert!(probes.len() <= PROBES && probes.len() > PROBES / 2);
    let lookups: Vec<_> = std::iter::from_fn(for_lookup).collect();
    assert!(lookups.len() >= MOST - PROBES);
}
