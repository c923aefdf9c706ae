//! Places with numbers that are never mistaken for an earlier tenant's.

/// A table whose keys name one tenant for ever: the place in the low half, and in the high half
/// how often it was given away before.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

/// A tenant's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

impl Key {
    /// As a plain number below 2^56, and back.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn of_number(number: u64) -> Self {
        Key(number)
    }

    fn new(place: u32, generation: u32) -> Self {
        Key(u64::from(place) | u64::from(generation) << 32)
    }

    fn place(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Slab { places: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a tenant in that may know its own key.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, tenant: None });
            u32::try_from(self.places.len() - 1).expect("descriptors run out long before")
        });
        let slot = &mut self.places[place as usize];
        let key = Key::new(place, slot.generation);
        slot.tenant = Some(make(key));
        self.len += 1;
        key
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.place())?;
        place.tenant.as_ref().filter(|_| place.generation == key.generation())
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.place())?;
        place.tenant.as_mut().filter(|_| place.generation == key.generation())
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.place())?;
        if place.generation != key.generation() {
            return None;
        }
        let tenant = place.tenant.take()?;
        // 24 bits, so that a key has room for eight bits more beside it.
        place.generation = (place.generation + 1) & GENERATION_MAX;
        self.free.push(key.place() as u32);
        self.len -= 1;
        Some(tenant)
    }

    /// All tenants, by place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(place, slot)| {
            let key = Key::new(place as u32, slot.generation);
            slot.tenant.as_ref().map(|tenant| (key, tenant))
        })
    }
}

const GENERATION_MAX: u32 = (1 << 24) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_opens_the_next_tenants_place() {
        let mut slab = Slab::new();
        let first = slab.insert_with(|_| 'a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert_with(|_| 'b');
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.remove(first), None);
        assert_eq!(Key::of_number(second.number()), second);
        assert_eq!(slab.len(), 1);
    }
}
