//! Reno: additive increase, multiplicative decrease (RFC 5681).

/// The window after `segments` were acknowledged in congestion avoidance.
pub(super) fn grown(window: f64, segments: f64) -> f64 {
    window + segments / window
}

/// The window after a loss.
pub(super) fn reduced(window: f64) -> f64 {
    (window / 2.0).max(2.0)
}
