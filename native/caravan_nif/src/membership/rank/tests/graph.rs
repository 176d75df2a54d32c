//! Clusters on paper: who picks whom, and what graph the links are.

use std::collections::BTreeSet;

use super::super::{NameHash, rank};

/// Each node picks the members that it ranks best. Nodes are numbers here, those of `names`.
pub(super) struct Cluster {
    names: Vec<NameHash>,
    alive: Vec<bool>,
    picks: Vec<Vec<usize>>,
    links: usize,
    rank: fn(NameHash, NameHash) -> u64,
}

impl Cluster {
    pub(super) fn new(size: usize, links: usize) -> Self {
        Self::ranked(size, links, rank)
    }

    pub(super) fn ranked(size: usize, links: usize, rank: fn(NameHash, NameHash) -> u64) -> Self {
        let name = |number: usize| {
            let [.., a, b, c] = number.to_be_bytes();
            NameHash::of(&format!("app-4370@10.{a}.{b}.{c}"))
        };
        let mut cluster = Self {
            names: (0..size).map(name).collect(),
            alive: vec![true; size],
            picks: Vec::new(),
            links,
            rank,
        };
        cluster.pick();
        cluster
    }

    fn pick(&mut self) {
        self.picks = (0..self.names.len())
            .map(|node| if self.alive[node] { self.best(node) } else { Vec::new() })
            .collect();
    }

    /// The live members that the node ranks best, the best first.
    fn best(&self, node: usize) -> Vec<usize> {
        let mut best: Vec<(u64, usize)> = Vec::with_capacity(self.links + 1);
        for (member, name) in self.names.iter().enumerate() {
            if member == node || !self.alive[member] {
                continue;
            }
            let rank = (self.rank)(self.names[node], *name);
            if best.len() == self.links && best[self.links - 1].0 >= rank {
                continue;
            }
            let place = best.partition_point(|(better, _)| *better >= rank);
            best.insert(place, (rank, member));
            best.truncate(self.links);
        }
        best.into_iter().map(|(_, member)| member).collect()
    }

    /// These die, and who has picked them picks others.
    pub(super) fn lose(&mut self, dies: impl Fn(usize) -> bool) {
        for node in 0..self.names.len() {
            self.alive[node] &= !dies(node);
        }
        self.pick();
    }

    /// How many picks would change if a node of this name joined: its own, and those of the nodes that now pick it.
    pub(super) fn changed_by(&self, name: &str) -> usize {
        let new = NameHash::of(name);
        let picked_by = (0..self.names.len()).filter(|node| {
            let of = |member| (self.rank)(self.names[*node], member);
            let last = self.picks[*node].last();
            last.is_none_or(|last| of(new) > of(self.names[*last]))
        });
        self.links + picked_by.count()
    }

    pub(super) fn graph(&self) -> Graph {
        let mut neighbours = vec![BTreeSet::new(); self.names.len()];
        for (node, picks) in self.picks.iter().enumerate() {
            for pick in picks {
                neighbours[node].insert(*pick);
                neighbours[*pick].insert(node);
            }
        }
        Graph {
            neighbours: (0..self.names.len())
                .filter(|node| self.alive[*node])
                .map(|node| (node, neighbours[node].iter().copied().collect()))
                .collect(),
            size: self.names.len(),
        }
    }
}

/// The links between live nodes, whoever has picked whom.
pub(super) struct Graph {
    neighbours: Vec<(usize, Vec<usize>)>,
    size: usize,
}

impl Graph {
    pub(super) fn links(&self) -> usize {
        self.degrees().sum::<usize>() / 2
    }

    pub(super) fn degrees(&self) -> impl Iterator<Item = usize> {
        self.neighbours.iter().map(|(_, peers)| peers.len())
    }

    /// The longest of all shortest ways, or `None` where there is none between some two nodes. Walks from 64 nodes at
    /// a time: a bit for each of them says whether it has reached a node.
    pub(super) fn diameter(&self) -> Option<usize> {
        let mut diameter = 0;
        for sources in self.neighbours.chunks(64) {
            let all = u64::MAX >> (64 - sources.len());
            let mut reached = vec![0u64; self.size];
            for (bit, (node, _)) in sources.iter().enumerate() {
                reached[*node] |= 1 << bit;
            }
            let mut steps = 0;
            loop {
                let mut next = reached.clone();
                for (node, peers) in &self.neighbours {
                    for peer in peers {
                        next[*node] |= reached[*peer];
                    }
                }
                if next == reached {
                    break;
                }
                steps += 1;
                reached = next;
            }
            if !self.neighbours.iter().all(|(node, _)| reached[*node] == all) {
                return None;
            }
            diameter = diameter.max(steps);
        }
        Some(diameter)
    }

    pub(super) fn is_connected(&self) -> bool {
        let mut seen = vec![false; self.size];
        let mut peers: Vec<&[usize]> = vec![&[]; self.size];
        for (node, of) in &self.neighbours {
            peers[*node] = of;
        }
        let Some((first, _)) = self.neighbours.first() else {
            return true;
        };
        let mut left = vec![*first];
        seen[*first] = true;
        let mut count = 0;
        while let Some(node) = left.pop() {
            count += 1;
            for peer in peers[node] {
                if !std::mem::replace(&mut seen[*peer], true) {
                    left.push(*peer);
                }
            }
        }
        count == self.neighbours.len()
    }
}
