//! What the driver's thread tells a capture, written into pages.

use weir_link::{Fate, Passage};
use weir_time::Instant;

use crate::links::Wire;
use crate::observer::Reason;

/// One thing that happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// It was offered.
    Entered { lane: usize, index: u64, at: Instant, bytes: u32, data: &'a [u8] },
    /// Its fate is certain: when it comes out, or why it never does.
    Passed { lane: usize, index: u64, left_queue: Option<Instant>, fate: Ending },
    /// It was due, and was sent on at `at`.
    Left { lane: usize, index: u64, due: Instant, at: Instant },
    /// So many packets are missing here.
    Missed { packets: u64 },
}

/// How a packet's way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Delivered(Instant),
    Dropped(Reason),
}

/// Appends that a packet was offered: the packet itself stands at the end.
pub(super) fn entered(
    page: &mut Vec<u8>,
    lane: usize,
    index: u64,
    at: Instant,
    packet: &dyn Wire,
    bytes_max: usize,
) {
    head(page, TAG_ENTERED, lane, index);
    page.extend(at.as_nanos().to_le_bytes());
    page.extend(packet.ip_bytes().to_le_bytes());
    let place = page.len();
    page.extend([0; 4]);
    packet.write_ip(page, bytes_max);
    let length = ((page.len() - place - 4) as u32).to_le_bytes();
    if let Some(place) = page.get_mut(place..place + 4) {
        place.copy_from_slice(&length);
    }
}

/// Appends that a packet's fate is certain.
pub(super) fn passed(page: &mut Vec<u8>, lane: usize, passage: &Passage) {
    head(page, TAG_PASSED, lane, passage.index);
    let (code, due) = match passage.fate {
        Fate::Delivered(due) => (DELIVERED, due.as_nanos()),
        Fate::Dropped(reason) => (Reason::from(reason) as u8, 0),
    };
    page.push(code);
    page.extend(due.to_le_bytes());
    page.extend(passage.left_queue.map_or(NEVER, Instant::as_nanos).to_le_bytes());
}

/// Appends that a packet was sent on.
pub(super) fn left(page: &mut Vec<u8>, lane: usize, index: u64, due: Instant, at: Instant) {
    head(page, TAG_LEFT, lane, index);
    page.extend(due.as_nanos().to_le_bytes());
    page.extend(at.as_nanos().to_le_bytes());
}

/// Appends that packets are missing.
pub(super) fn missed(page: &mut Vec<u8>, packets: u64) {
    head(page, TAG_MISSED, 0, packets);
}

/// The next event of a page, taken off its front; `None` at its end.
pub(super) fn next<'a>(page: &mut &'a [u8]) -> Option<Event<'a>> {
    let tag = take::<1>(page)?[0];
    let lane = u32::from_le_bytes(take(page)?) as usize;
    let index = u64::from_le_bytes(take(page)?);
    let instant = |page: &mut &'a [u8]| Some(Instant::from_nanos(u64::from_le_bytes(take(page)?)));
    Some(match tag {
        TAG_ENTERED => {
            let at = instant(page)?;
            let bytes = u32::from_le_bytes(take(page)?);
            let length = u32::from_le_bytes(take(page)?) as usize;
            let (data, rest) = page.split_at_checked(length)?;
            *page = rest;
            Event::Entered { lane, index, at, bytes, data }
        }
        TAG_PASSED => {
            let code = take::<1>(page)?[0];
            let due = instant(page)?;
            let left_queue = instant(page)?;
            let fate = match Reason::ALL.get(usize::from(code)) {
                Some(reason) => Ending::Dropped(*reason),
                None => Ending::Delivered(due),
            };
            let left_queue = (left_queue.as_nanos() != NEVER).then_some(left_queue);
            Event::Passed { lane, index, left_queue, fate }
        }
        TAG_LEFT => {
            let due = instant(page)?;
            let at = instant(page)?;
            Event::Left { lane, index, due, at }
        }
        _ => Event::Missed { packets: index },
    })
}

fn head(page: &mut Vec<u8>, tag: u8, lane: usize, index: u64) {
    page.push(tag);
    page.extend((lane as u32).to_le_bytes());
    page.extend(index.to_le_bytes());
}

fn take<const N: usize>(page: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = page.split_first_chunk::<N>()?;
    *page = rest;
    Some(*bytes)
}

const TAG_ENTERED: u8 = 1;
const TAG_PASSED: u8 = 2;
const TAG_LEFT: u8 = 3;
const TAG_MISSED: u8 = 4;
/// The code of no reason at all.
const DELIVERED: u8 = u8::MAX;
const NEVER: u64 = u64::MAX;

/// The most bytes of any event, without a packet's own.
pub(super) const EVENT_BYTES_MAX: usize = 40;
