//! How long before its deadline a device was seen, in thirteen bits: rounded up by less than one in a
//! hundred, so that what is made of it is never later than the truth.

use super::records::NEVER;

/// A number of milliseconds up to [`NEVER`], or one of three codes that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead(u16);

pub const BITS: u32 = 13;
/// So many bits of a number are kept, the first of which is always one.
const KEPT: u32 = 8;
const FIRST: u64 = 1 << (KEPT - 1);

impl Lead {
    /// Nothing is known.
    pub const UNKNOWN: Lead = Lead((1 << BITS) - 1);
    /// There is no deadline: in its place stands when the device was seen.
    pub const SEEN: Lead = Lead((1 << BITS) - 2);
    /// There is no device.
    pub const FREE: Lead = Lead((1 << BITS) - 3);

    /// This many milliseconds, rounded up; unknown when that is beyond all deadlines.
    pub fn of(ms: u64) -> Lead {
        if ms > NEVER {
            return Lead::UNKNOWN;
        }
        let dropped = (u64::BITS - ms.leading_zeros()).saturating_sub(KEPT);
        let kept = ms.div_ceil(1 << dropped);
        // What is rounded up to one bit more is the least number of the next size.
        let code = u64::from(dropped) * FIRST + kept;
        Lead(u16::try_from(code).unwrap_or(Lead::UNKNOWN.0))
    }

    /// In milliseconds; `None` for those that are no number.
    pub fn ms(self) -> Option<u64> {
        if self.0 >= Lead::FREE.0 {
            return None;
        }
        let code = u64::from(self.0);
        let dropped = (code / FIRST).saturating_sub(1);
        Some((code - dropped * FIRST) << dropped)
    }

    pub fn bits(self) -> u64 {
        u64::from(self.0)
    }

    /// The lowest bits of a number.
    pub fn from_bits(bits: u64) -> Lead {
        Lead((bits & Lead::UNKNOWN.bits()) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_rounded_up_by_less_than_one_in_a_hundred() {
        let numbers = (0..43).flat_map(|bit| (0..400).map(move |more| (1_u64 << bit) + more * 7));
        for ms in numbers.chain([0, 59_999, 60_000, 86_400_000, 315_360_000_000]) {
            let rounded = Lead::of(ms).ms().expect("a number");
            assert!(rounded >= ms, "{ms}: {rounded}");
            assert!(rounded - ms <= ms / 100, "{ms}: {rounded}");
            assert_eq!(Lead::from_bits(Lead::of(ms).bits()), Lead::of(ms));
        }
    }

    #[test]
    fn what_is_beyond_all_leads_is_unknown() {
        for ms in [1 << 62, u64::MAX] {
            assert_eq!(Lead::of(ms), Lead::UNKNOWN);
        }
        for none in [Lead::UNKNOWN, Lead::SEEN, Lead::FREE] {
            assert_eq!(none.ms(), None);
        }
    }
}
