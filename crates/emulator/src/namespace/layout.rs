//! Addresses and ways, worked out from a topology alone.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use weir_link::Direction;

use super::topology::{INTERNET, Topology};
use crate::links::LinkIndex;

/// A node of a network: hosts first, then switches, then the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeIndex(pub(crate) usize);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Host,
    Switch,
    Internet,
}

/// The way from a node to another: a link, and which way over it.
pub(crate) type Step = (LinkIndex, Direction);

/// Who has which address, and which way packets go.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<Node>,
    /// Of each link the node at its first and at its second end.
    pub(crate) ends: Vec<[NodeIndex; 2]>,
    /// The way out, if there is one.
    pub(crate) internet: Option<NodeIndex>,
    /// The step from a node (first index) towards a node (second).
    steps: Vec<Vec<Option<Step>>>,
    by_address: BTreeMap<Ipv4Addr, NodeIndex>,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    /// Of hosts alone.
    pub(crate) address: Option<Ipv4Addr>,
}

impl Layout {
    /// Of a topology that was checked.
    pub(crate) fn new(topology: &Topology) -> Self {
        let base = u32::from(topology.addresses);
        let mut nodes = Vec::new();
        for (number, host) in topology.hosts.iter().enumerate() {
            let address = Some(Ipv4Addr::from(base + 1 + number as u32));
            nodes.push(Node { name: host.name.clone(), kind: NodeKind::Host, address });
        }
        for name in &topology.switches {
            nodes.push(Node { name: name.clone(), kind: NodeKind::Switch, address: None });
        }
        let internet = topology.has_way_out().then_some(NodeIndex(nodes.len()));
        if internet.is_some() {
            let name = INTERNET.to_owned();
            nodes.push(Node { name, kind: NodeKind::Internet, address: None });
        }
        let place = |name: &String| {
            let found = nodes.iter().position(|node| node.name == *name);
            NodeIndex(found.expect("a checked topology names no node that is not there"))
        };
        let ends: Vec<[NodeIndex; 2]> = topology
            .links
            .iter()
            .map(|link| [place(&link.ends[0]), place(&link.ends[1])])
            .collect();
        let steps = steps(&nodes, &ends);
        let by_address = nodes
            .iter()
            .enumerate()
            .filter_map(|(number, node)| Some((node.address?, NodeIndex(number))))
            .collect();
        Layout { nodes, ends, internet, steps, by_address }
    }

    pub(crate) fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// The step from a node towards an address: that of a host, else the way out.
    pub(crate) fn step(&self, from: NodeIndex, to: Ipv4Addr) -> Option<Step> {
        let to = self.by_address.get(&to).copied().or(self.internet)?;
        self.step_to(from, to)
    }

    /// The step from a node towards another.
    pub(crate) fn step_to(&self, from: NodeIndex, to: NodeIndex) -> Option<Step> {
        *self.steps.get(from.0)?.get(to.0)?
    }

    /// Where a link leads in a direction.
    pub(crate) fn end(&self, (link, direction): Step) -> NodeIndex {
        self.ends[link.0][far(direction)]
    }

    /// The links that end at a node, each with the direction that leads away from it.
    pub(crate) fn links_of(&self, node: NodeIndex) -> Vec<Step> {
        let mut found = Vec::new();
        for (number, ends) in self.ends.iter().enumerate() {
            if ends[0] == node {
                found.push((LinkIndex(number), Direction::Up));
            } else if ends[1] == node {
                found.push((LinkIndex(number), Direction::Down));
            }
        }
        found
    }

    /// All hosts, as they are to be found by name.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> + '_ {
        self.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.address?)))
    }
}

/// Shortest ways from every node to every node, over switches alone. Where two are equally short,
/// the link that was named first is taken.
fn steps(nodes: &[Node], ends: &[[NodeIndex; 2]]) -> Vec<Vec<Option<Step>>> {
    let mut steps = vec![vec![None; nodes.len()]; nodes.len()];
    for to in 0..nodes.len() {
        let mut reached = vec![false; nodes.len()];
        reached[to] = true;
        let mut next = VecDeque::from([to]);
        while let Some(node) = next.pop_front() {
            // Hosts and the way out forward nothing.
            if node != to && nodes[node].kind != NodeKind::Switch {
                continue;
            }
            for (number, pair) in ends.iter().enumerate() {
                for direction in [Direction::Up, Direction::Down] {
                    let from = pair[1 - far(direction)].0;
                    if pair[far(direction)].0 == node && !reached[from] {
                        reached[from] = true;
                        steps[from][to] = Some((LinkIndex(number), direction));
                        next.push_back(from);
                    }
                }
            }
        }
    }
    steps
}

/// The end to which a direction leads.
fn far(direction: Direction) -> usize {
    match direction {
        Direction::Up => 1,
        Direction::Down => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::new(&Topology::parse(text).expect("it is well formed"))
    }

    const LINE: &str = "
        host = [{name = 'server'}, {name = 'client'}]
        switch = [{name = 's1'}, {name = 's2'}]
        link = [{ends = ['server', 's1']}, {ends = ['s1', 's2']}, {ends = ['client', 's2']},
                {ends = ['s2', 'internet']}]
    ";

    #[test]
    fn packets_take_the_shortest_way_over_switches() {
        let layout = layout(LINE);
        let client = Ipv4Addr::new(10, 77, 0, 2);
        assert_eq!(layout.node(NodeIndex(1)).address, Some(client));
        assert_eq!(layout.step(NodeIndex(0), client), Some((LinkIndex(0), Direction::Up)));
        assert_eq!(layout.step(NodeIndex(2), client), Some((LinkIndex(1), Direction::Up)));
        assert_eq!(layout.step(NodeIndex(3), client), Some((LinkIndex(2), Direction::Down)));
    }

    #[test]
    fn addresses_of_nobody_go_the_way_out() {
        let layout = layout(LINE);
        let out = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(layout.step(NodeIndex(3), out), Some((LinkIndex(3), Direction::Up)));
        assert_eq!(layout.end((LinkIndex(3), Direction::Up)), NodeIndex(4));
    }

    #[test]
    fn hosts_forward_nothing() {
        let layout = layout(
            "host = [{name = 'a'}, {name = 'b'}, {name = 'c'}]
             link = [{ends = ['a', 'b']}, {ends = ['b', 'c']}]",
        );
        assert_eq!(layout.step_to(NodeIndex(0), NodeIndex(2)), None);
    }
}
