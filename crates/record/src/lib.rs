//! Versioned measurement events, histograms, and the statistics made of them.
#![forbid(unsafe_code)]
