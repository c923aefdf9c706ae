//! The network link model: rate, queue, delay, jitter, loss.
#![forbid(unsafe_code)]
