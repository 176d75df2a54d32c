//! What clusters of many nodes come to, with four picks each. Names and ranks are fixed, so are the outcomes.

use proptest::prelude::*;

use super::super::{NameHash, mix};
use super::graph::Cluster;

const LINKS: usize = 4;

fn simulate(size: usize) {
    let mut cluster = Cluster::new(size, LINKS);
    let graph = cluster.graph();
    let highest = graph.degrees().max().unwrap();
    let diameter = graph.diameter();
    let joins: Vec<_> = (0..100)
        .map(|number| cluster.changed_by(&format!("app-4370@192.168.0.{number}")))
        .collect();
    let few = joins.iter().filter(|changed| **changed <= 13).count();
    let mean = joins.iter().sum::<usize>() as f64 / 100.0;
    // Not every other one by name: half of them, by chance.
    cluster.lose(|node| mix(node as u64) & 1 == 0);
    let repaired = cluster.graph();
    eprintln!(
        "{size} nodes: {} links, degree {} to {highest}, diameter {diameter:?}; a join changes {mean} picks on average, \
         {} at the most, of 100 joins {few} at most 13; after half have died: {} links, degree {} to {}, diameter {:?}",
        graph.links(),
        graph.degrees().min().unwrap(),
        joins.iter().max().unwrap(),
        repaired.links(),
        repaired.degrees().min().unwrap(),
        repaired.degrees().max().unwrap(),
        repaired.diameter(),
    );
    assert!(diameter.is_some_and(|diameter| diameter <= 8));
    assert!(graph.degrees().all(|degree| degree >= LINKS));
    assert!(highest < 20);
    // By how many a node is picked is Poisson distributed: eight picks change on average, more than 13 in 0.8 % of joins.
    assert!((7.0..9.0).contains(&mean) && few >= 95);
    assert!(repaired.is_connected());
    assert!(repaired.degrees().all(|degree| degree >= LINKS));
}

#[test]
fn a_thousand_nodes() {
    simulate(1_000);
}

#[test]
fn ten_thousand_nodes() {
    simulate(10_000);
}

#[test]
#[ignore = "minutes; run it with --release"]
fn a_hundred_thousand_nodes() {
    simulate(100_000);
}

/// Ranks that are the same both ways are what was not chosen.
#[test]
fn ranks_that_are_the_same_both_ways_make_fewer_links_and_longer_ways() {
    let symmetric = |a: NameHash, b: NameHash| mix(mix(a.0) ^ mix(b.0));
    let theirs = Cluster::ranked(1_000, LINKS, symmetric).graph();
    let ours = Cluster::new(1_000, LINKS).graph();
    eprintln!(
        "symmetric: {} links, degree to {:?}, diameter {:?}; ours: {} links, degree to {:?}, diameter {:?}",
        theirs.links(),
        theirs.degrees().max(),
        theirs.diameter(),
        ours.links(),
        ours.degrees().max(),
        ours.diameter(),
    );
    assert!(theirs.links() * 10 < ours.links() * 8);
    assert!(theirs.diameter() > ours.diameter());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn three_picks_or_more_connect_any_cluster(size in 2usize..=2_000, links in 3usize..=8) {
        prop_assert!(Cluster::new(size, links).graph().is_connected());
    }

    #[test]
    fn whoever_dies_the_others_are_connected_again(size in 2usize..=500, links in 3usize..=6, seed: u64, share in 1u64..10) {
        let mut cluster = Cluster::new(size, links);
        cluster.lose(|node| mix(seed ^ node as u64) % 10 < share);
        prop_assert!(cluster.graph().is_connected());
    }
}
