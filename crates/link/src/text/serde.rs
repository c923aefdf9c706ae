//! Settings in JSON and TOML: a table of names and values, each as people write it.

use core::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::change::Change;
use crate::settings::Settings;

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let pairs = self.pairs();
        let mut map = to.serialize_map(Some(pairs.len()))?;
        for (name, value) in pairs {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Pairs)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Change::to(self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut settings = Settings::default();
        Change::deserialize(from)?.apply(&mut settings);
        settings.check().map_err(D::Error::custom)?;
        Ok(settings)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Change;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings of a link as text, such as rate = \"5mbit\" and delay = \"40ms\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change, A::Error> {
        let mut change = Change::default();
        while let Some(name) = map.next_key::<String>()? {
            let value: String = map.next_value()?;
            change.read(&name, &value).map_err(A::Error::custom)?;
        }
        Ok(change)
    }
}
