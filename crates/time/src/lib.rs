//! Points in time and seeded randomness, as plain values.
//!
//! There is no clock in this crate and no source of entropy: a host (`weir-net`) says what time
//! it is, and a seed says what is random. Everything below the hosts takes both as arguments,
//! which is why it can run in simulated time and replay exactly.
//!
//! ```
//! use std::time::Duration;
//! use weir_time::{Instant, Utc};
//!
//! let start = Instant::from_nanos(5);
//! assert_eq!((start + Duration::from_millis(2)).since(start), Duration::from_millis(2));
//! assert_eq!(Utc::from_nanos(0).to_ntp() >> 32, 2_208_988_800);
//! ```
#![forbid(unsafe_code)]

mod instant;
mod random;
mod utc;

pub use instant::Instant;
pub use random::{Random, hash};
pub use utc::Utc;
