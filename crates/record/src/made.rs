//! Made-up values of every type that can be deserialised, for tests.

use serde::de::value::Error;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use weir_time::Random;

use crate::{Event, Histogram};

/// Which optional fields are there, and how long lists are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Options {
    /// All fields; no list and no histogram is empty.
    All,
    /// No optional field; every list and histogram is empty.
    Bare,
    /// Chance decides.
    Any,
}

/// A made-up `T`.
pub(crate) fn made<T: for<'de> Deserialize<'de>>(seed: u64, options: Options) -> T {
    let mut random = Random::new(seed);
    T::deserialize(Maker { random: &mut random, options }).expect("every type can be made")
}

/// A made-up event of the kind `name`.
pub(crate) fn made_event(name: &str, seed: u64, options: Options) -> Event {
    let mut random = Random::new(seed);
    Event::decode(name, Maker { random: &mut random, options })
        .expect("the name is known")
        .expect("every event can be made")
}

/// A deserializer whose input is chance.
struct Maker<'a> {
    random: &'a mut Random,
    options: Options,
}

impl Maker<'_> {
    fn again(&mut self) -> Maker<'_> {
        Maker { random: self.random, options: self.options }
    }

    /// A number of at most `bits` bits, of any magnitude.
    fn number(&mut self, bits: u64) -> u64 {
        let keep = 1 + self.random.below(bits);
        self.random.next_u64() >> (64 - keep)
    }

    fn size(&mut self) -> u64 {
        match self.options {
            Options::All => 1 + self.random.below(3),
            Options::Bare => 0,
            Options::Any => self.random.below(4),
        }
    }

    fn histogram(&mut self) -> Histogram {
        let mut histogram = Histogram::new();
        for _ in 0..self.size() {
            histogram.record(1 + self.number(63));
        }
        histogram
    }
}

const LETTERS: [char; 10] = ['a', 'Z', '0', ' ', '"', '\\', '\n', '\u{7f}', 'ä', '🎞'];

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty, $bits:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number($bits) as $kind)
        })*
    };
}

impl<'de> Deserializer<'de> for Maker<'_> {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 u8, 8;
        deserialize_u16 visit_u16 u16, 16;
        deserialize_u32 visit_u32 u32, 32;
        deserialize_u64 visit_u64 u64, 64;
        deserialize_i32 visit_i32 i32, 32;
        deserialize_i64 visit_i64 i64, 64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("records hold no such type"))
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.number(8) & 1 == 1)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = self.random.below(12);
        let letters = (0..length).map(|_| LETTERS[self.random.below(10) as usize]);
        visitor.visit_string(letters.collect())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let heads = self.number(8) & 1 == 0;
        match self.options {
            Options::Bare => visitor.visit_none(),
            Options::Any if heads => visitor.visit_none(),
            Options::Any | Options::All => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let left = self.size();
        visitor.visit_seq(Items { maker: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Named { maker: self, names: [].iter() })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == "Histogram" {
            // Its fields depend on each other.
            let value = serde_json::to_value(self.histogram()).map_err(Error::custom)?;
            return value.deserialize_struct(name, names, visitor).map_err(Error::custom);
        }
        visitor.visit_map(Named { maker: self, names: names.iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let chosen = variants[self.random.below(variants.len() as u64) as usize];
        visitor.visit_enum(chosen.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char str bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Items<'a> {
    maker: Maker<'a>,
    left: u64,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(self.maker.again()).map(Some)
    }
}

struct Named<'a> {
    maker: Maker<'a>,
    names: core::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Named<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.names.next() else {
            return Ok(None);
        };
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.maker.again())
    }
}
