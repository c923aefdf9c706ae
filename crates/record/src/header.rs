//! The first line of every file of records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_time::Utc;

use crate::Text;

/// The format's major version: files of a greater one are refused.
pub const VERSION: u32 = 1;
/// The format's minor version, which grows when events or fields are added. A reader skips what
/// it does not know, and counts it.
pub const REVISION: u32 = 0;

/// The first line of a file of records: who wrote it, when, and what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// What the file is: always `weir`.
    pub record: Magic,
    /// Major version of the format, [`VERSION`] when written by this crate.
    pub version: u32,
    /// Minor version of the format, [`REVISION`] when written by this crate.
    #[serde(default)]
    pub revision: u32,
    /// Names the run, in hexadecimal.
    pub session: Text,
    /// Which part wrote the records.
    pub role: Role,
    /// The program that wrote them.
    pub software: Software,
    /// The clock that `t_ns` counts on.
    pub clock: Clock,
    /// The seed that the run's randomness came from, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The simulation models that stood in for real parts, such as `tcp/1`; empty, and absent
    /// from the line, on real hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Text>,
    /// What was asked: the options and settings of the run, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: BTreeMap<String, Value>,
}

impl Header {
    /// A header of this crate's version, with real time, without seed, models and settings.
    /// `zero` is the time of day at which `t_ns` is zero.
    pub fn new(session: impl Into<Text>, role: Role, zero: Utc) -> Self {
        Header {
            record: Magic::Weir,
            version: VERSION,
            revision: REVISION,
            session: session.into(),
            role,
            software: Software { name: "weir".into(), version: env!("CARGO_PKG_VERSION").into() },
            clock: Clock { kind: ClockKind::Os, utc_ns: zero },
            seed: None,
            models: Vec::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Appends the header's line, with its line feed, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("keys are texts and a Vec takes all bytes");
        out.push(b'\n');
    }
}

/// The mark that tells a file of records from other JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Magic {
    /// Records of this format.
    Weir,
}

/// Which part wrote a file of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// It took a stream in and measured it.
    Player,
    /// It sent streams out.
    Server,
    /// It carried packets and delayed, dropped or slowed them.
    Link,
    /// It ran an experiment of several parts.
    Lab,
    /// A role that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The program that wrote a file of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// Its name.
    pub name: Text,
    /// Its version.
    pub version: Text,
}

/// The clock that the `t_ns` of a file counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Whether real or simulated time passed.
    pub kind: ClockKind,
    /// The time of day at which `t_ns` is zero: nanoseconds since 1970-01-01T00:00:00Z.
    pub utc_ns: Utc,
}

/// Whether real or simulated time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClockKind {
    /// The operating system's monotonic clock.
    Os,
    /// The clock of a simulation.
    Virtual,
    /// A clock that this version does not know.
    #[serde(other)]
    Unknown,
}
