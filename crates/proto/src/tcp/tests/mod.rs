//! Two ends over an emulated link in virtual time.

mod adversity;
mod basics;
mod sharing;
mod throughput;
mod world;
