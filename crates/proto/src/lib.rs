//! Protocol machines and packers without input or output.
#![forbid(unsafe_code)]
