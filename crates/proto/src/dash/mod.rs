//! MPEG-DASH (ISO/IEC 23009-1) without input or output.

pub mod read;
