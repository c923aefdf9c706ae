//! Client drivers.
#![forbid(unsafe_code)]
