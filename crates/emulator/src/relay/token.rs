//! What a descriptor is watched under.

use super::slab::Key;
use super::tcp::Side;

/// Who has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Inbox,
    Stop,
    /// A socket for datagrams.
    Udp(Key),
    /// A listener, by number.
    Listener(usize),
    /// A local connection.
    Leg(Key, Side),
}

pub(super) const INBOX: u64 = 0;
pub(super) const STOP: u64 = 1;

pub(super) fn udp(key: Key) -> u64 {
    UDP << KIND_AT | key.number()
}

pub(super) fn listener(number: usize) -> u64 {
    LISTENER << KIND_AT | number as u64
}

pub(super) fn leg(key: Key, side: Side) -> u64 {
    let kind = if side == Side::Near { NEAR } else { FAR };
    kind << KIND_AT | key.number()
}

pub(super) fn owner(token: u64) -> Owner {
    let number = token & ((1 << KIND_AT) - 1);
    let key = Key::of_number(number);
    match token >> KIND_AT {
        UDP => Owner::Udp(key),
        LISTENER => Owner::Listener(number as usize),
        NEAR => Owner::Leg(key, Side::Near),
        FAR => Owner::Leg(key, Side::Far),
        _ if token == STOP => Owner::Stop,
        _ => Owner::Inbox,
    }
}

const KIND_AT: u32 = 56;
const UDP: u64 = 1;
const LISTENER: u64 = 2;
const NEAR: u64 = 3;
const FAR: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_owner() {
        let key = Key::of_number(7 << 32 | 9);
        assert_eq!(owner(udp(key)), Owner::Udp(key));
        assert_eq!(owner(leg(key, Side::Near)), Owner::Leg(key, Side::Near));
        assert_eq!(owner(leg(key, Side::Far)), Owner::Leg(key, Side::Far));
        assert_eq!(owner(listener(3)), Owner::Listener(3));
        assert_eq!((owner(INBOX), owner(STOP)), (Owner::Inbox, Owner::Stop));
    }
}
