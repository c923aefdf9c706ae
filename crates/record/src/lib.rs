//! Versioned measurement events, histograms, and the statistics made of them.
//!
//! Server, link and player write one format, JSON Lines, with one vocabulary ([`Event`]); every
//! event and field is described in `docs/records.md`. A program emits events through a [`Sink`],
//! which never blocks; whoever holds the [`Drain`] writes them out. A [`Reader`] reads them
//! back, and [`stats`] are computed from records alone, so that a live run and a file give the
//! same figures.
//!
//! There is no clock, file or thread in this crate: each event is emitted with its time, and
//! [`Drain::drain`] hands over bytes to write. One mutex is held for the length of a push.
//!
//! ```
//! use weir_record::{Header, Level, Line, Reader, Role, event, queue};
//! use weir_time::{Instant, Utc};
//!
//! let mut file = Vec::new();
//! Header::new("5eed", Role::Player, Utc::from_nanos(0)).encode(&mut file);
//!
//! let (sink, mut drain) = queue(Level::Second, 1024);
//! sink.emit(Instant::from_millis(3), event::FirstByte { after_ns: 2_000_000 });
//! drain.drain(&mut file);
//!
//! let mut reader = Reader::new(&file[..])?;
//! let Some(Line::Known(record)) = reader.read()? else { panic!("one record was written") };
//! assert_eq!(record.event, event::FirstByte { after_ns: 2_000_000 }.into());
//! assert!(reader.read()?.is_none() && !reader.cut_off());
//! # Ok::<(), weir_record::Error>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(test)]
mod docs_tests;
mod error;
pub mod event;
mod fields;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod histogram;
#[cfg(test)]
mod made;
mod queue;
mod reader;
pub mod stats;
mod tally;
mod text;

pub use error::Error;
pub use event::{Event, Level, Record};
pub use header::{Clock, ClockKind, Header, REVISION, Role, Software, VERSION};
pub use histogram::Histogram;
pub use queue::{Drain, Sink, queue};
pub use reader::{LINE_BYTES_MAX, Line, Reader};
pub use tally::Tally;
pub use text::{TEXT_BYTES_MAX, Text};
