//! What a capture says: rates, delays, losses and the times between packets.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use weir_record::{Histogram, Tally};

use super::read::Item;

/// Sums up the items of a capture.
#[derive(Debug, Default)]
pub struct Builder {
    interfaces: Vec<Interface>,
    /// Directions of links: the name without `in` and `out`, and the places of both interfaces.
    pairs: Vec<Pair>,
    /// When the first packet was seen.
    from: Option<u64>,
}

/// What a capture says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// When the first packet was seen: nanoseconds since 1970 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_utc_ns: Option<u64>,
    /// From the first packet to the last.
    pub span_ns: u64,
    /// Directions of emulated links, seen on both sides.
    pub links: Vec<LinkSummary>,
    /// All other interfaces with packets.
    pub interfaces: Vec<InterfaceSummary>,
}

/// One direction of an emulated link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkSummary {
    /// Its name: `s1-s2 up`.
    pub name: String,
    /// Packets that arrived at it.
    pub sent: Flow,
    /// Packets that came out.
    pub arrived: Flow,
    /// Times from in to out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Distribution>,
    /// Packets that never came out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Lengths of runs of packets that never came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_runs: Option<Distribution>,
    /// Packets that came out more than once.
    pub duplicates: u64,
}

/// One interface of another program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InterfaceSummary {
    /// Its name, or `interface N`.
    pub name: String,
    /// Its packets.
    pub seen: Flow,
}

/// Packets at one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bits a second from the first to the last: the bytes of all but the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bps: Option<u64>,
    /// Bytes in each second since the first packet of the capture.
    pub bytes_by_second: Vec<u64>,
    /// Times between two packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<Distribution>,
}

/// How values are spread; nanoseconds, but for lengths of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution(pub Histogram);

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            mean: Option<u64>,
            p50: Option<u64>,
            p95: Option<u64>,
            p99: Option<u64>,
            histogram: &'a Histogram,
        }
        let held = &self.0;
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| held.quantile(q));
        Shown { mean: held.mean(), p50, p95, p99, histogram: held }.serialize(to)
    }
}

#[derive(Debug, Default)]
struct Interface {
    name: String,
    /// Its direction of a link, and whether packets come out here.
    pair: Option<(usize, bool)>,
    packets: u64,
    bytes: u64,
    first: Option<(u64, u32)>,
    last: Option<u64>,
    bytes_by_second: Vec<u64>,
    between: Tally,
}

#[derive(Debug, Default)]
struct Pair {
    name: String,
    /// The interface of packets in, and of packets out.
    places: [Option<usize>; 2],
    /// When packets came in that are still inside, by id.
    inside: BTreeMap<u64, u64>,
    /// Packets inside that were forgotten, because too many were.
    delay: Tally,
    dropped: BTreeMap<String, u64>,
    run: u64,
    runs: Tally,
    duplicates: u64,
    /// The greatest id that came out.
    out_max: Option<u64>,
}

impl Builder {
    /// Takes the next item.
    pub fn push(&mut self, item: Item) {
        match item {
            Item::Interface { name, .. } => self.describe(name),
            Item::Packet { interface, at_ns, bytes, comment, id } => {
                let Some(place) = self.interfaces.get_mut(interface) else { return };
                place.seen(at_ns, bytes, *self.from.get_or_insert(at_ns));
                let Some((pair, is_out)) = place.pair else { return };
                let (Some(pair), Some(id)) = (self.pairs.get_mut(pair), id) else { return };
                match is_out {
                    true => pair.out(id, at_ns),
                    false => pair.entered(id, at_ns, comment.as_deref().unwrap_or("")),
                }
            }
        }
    }

    fn describe(&mut self, name: String) {
        let place = self.interfaces.len();
        let sides = [name.strip_suffix(" in"), name.strip_suffix(" out")];
        let pair = sides.iter().enumerate().find_map(|(side, link)| Some((side, (*link)?)));
        let pair = pair.map(|(side, link)| {
            let known = self.pairs.iter().position(|pair| pair.name == link);
            let pair = known.unwrap_or_else(|| {
                self.pairs.push(Pair { name: link.to_owned(), ..Pair::default() });
                self.pairs.len() - 1
            });
            if let Some(pair) = self.pairs.get_mut(pair) {
                pair.places[side] = Some(place);
            }
            (pair, side == 1)
        });
        self.interfaces.push(Interface { name, pair, ..Interface::default() });
    }

    /// What was taken so far.
    pub fn summary(&self) -> Summary {
        let firsts = self.interfaces.iter().filter_map(|place| place.first);
        let from = firsts.map(|(at, _)| at).min();
        let until = self.interfaces.iter().filter_map(|place| place.last).max();
        let is_pair = |pair: &Pair| pair.places.iter().all(Option::is_some);
        let links = self.pairs.iter().filter(|pair| is_pair(pair));
        let links = links.filter_map(|pair| pair.summary(&self.interfaces));
        let others = self.interfaces.iter().enumerate().filter(|(_, place)| {
            let is_link =
                place.pair.and_then(|(pair, _)| self.pairs.get(pair)).is_some_and(is_pair);
            !is_link && place.packets > 0
        });
        Summary {
            from_utc_ns: from,
            span_ns: until.unwrap_or(0).saturating_sub(from.unwrap_or(0)),
            links: links.collect(),
            interfaces: others.map(|(number, place)| place.summary(number)).collect(),
        }
    }
}

impl Interface {
    fn seen(&mut self, at_ns: u64, bytes: u32, from_ns: u64) {
        let second = (at_ns.saturating_sub(from_ns) / 1_000_000_000) as usize;
        if second < SECONDS_MAX {
            if self.bytes_by_second.len() <= second {
                self.bytes_by_second.resize(second + 1, 0);
            }
            self.bytes_by_second[second] += u64::from(bytes);
        }
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u64::from(bytes));
        self.first.get_or_insert((at_ns, bytes));
        if let Some(last) = self.last {
            self.between.record(at_ns.saturating_sub(last));
        }
        self.last = Some(at_ns.max(self.last.unwrap_or(0)));
    }

    fn flow(&self) -> Flow {
        let span = self.last.zip(self.first).map(|(last, (first, _))| last.saturating_sub(first));
        let bytes = self.bytes.saturating_sub(self.first.map_or(0, |(_, bytes)| u64::from(bytes)));
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        let rate = span.and_then(|span| bits.checked_div(u128::from(span)));
        Flow {
            packets: self.packets,
            bytes: self.bytes,
            rate_bps: rate.and_then(|rate| u64::try_from(rate).ok()),
            bytes_by_second: self.bytes_by_second.clone(),
            between: self.between.histogram().map(Distribution),
        }
    }

    fn summary(&self, number: usize) -> InterfaceSummary {
        let name = match self.name.is_empty() {
            true => format!("interface {number}"),
            false => self.name.clone(),
        };
        InterfaceSummary { name, seen: self.flow() }
    }
}

impl Pair {
    fn entered(&mut self, id: u64, at_ns: u64, comment: &str) {
        if let Some((_, reason)) = comment.split_once("dropped: ") {
            let reason = reason.split(',').next().unwrap_or(reason);
            if self.dropped.len() < REASONS_MAX || self.dropped.contains_key(reason) {
                *self.dropped.entry(reason.to_owned()).or_default() += 1;
            }
            self.run += 1;
            return;
        }
        if self.run > 0 {
            self.runs.record(self.run);
            self.run = 0;
        }
        self.inside.insert(id, at_ns);
        if self.inside.len() > INSIDE_MAX {
            self.inside.pop_first();
        }
    }

    fn out(&mut self, id: u64, at_ns: u64) {
        match self.inside.remove(&id) {
            Some(entered) => self.delay.record(at_ns.saturating_sub(entered)),
            None if self.out_max.is_some_and(|max| id <= max) => self.duplicates += 1,
            None => {}
        }
        self.out_max = self.out_max.max(Some(id));
    }

    fn summary(&self, interfaces: &[Interface]) -> Option<LinkSummary> {
        let [sent, arrived] = self.places.map(|place| interfaces.get(place?).map(Interface::flow));
        let mut runs = self.runs.clone();
        if self.run > 0 {
            runs.record(self.run);
        }
        Some(LinkSummary {
            name: self.name.clone(),
            sent: sent?,
            arrived: arrived?,
            delay: self.delay.histogram().map(Distribution),
            dropped: self.dropped.clone(),
            loss_runs: runs.histogram().map(Distribution),
            duplicates: self.duplicates,
        })
        .filter(|link| link.sent.packets > 0 || link.arrived.packets > 0)
    }
}

/// Packets inside of one direction; what is older is taken for lost track of.
const INSIDE_MAX: usize = 1 << 20;
const REASONS_MAX: usize = 64;
/// Bytes are told by second for so long: two hours.
const SECONDS_MAX: usize = 7200;
