//! Times of day as RTCP writes them.

use core::fmt;

use weir_time::Utc;

/// A 64-bit NTP time stamp (RFC 3550 section 4): seconds since 1900 in the upper half, the
/// fraction of a second in the lower. Peers without a time of day count from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits: what report blocks say of a sender report.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The time of day; `None` if it lies before 1970, as when a peer has no time of day.
    pub fn to_utc(self) -> Option<Utc> {
        Utc::from_ntp(self.0)
    }
}

impl From<Utc> for NtpTime {
    fn from(utc: Utc) -> Self {
        NtpTime(utc.to_ntp())
    }
}

impl fmt::Debug for NtpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtpTime({:08x}.{:08x})", self.0 >> 32, self.0 as u32)
    }
}
