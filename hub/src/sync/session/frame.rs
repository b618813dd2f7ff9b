//! How large the next frame may be: as large as the line takes in a moment, so that who reads slowly
//! holds little of the hub's memory.

use std::time::Duration;

/// Bytes before compression: of a first frame, and at the least and the most.
const FIRST: usize = 128 << 10;
const LEAST: usize = 32 << 10;
const MOST: usize = 1 << 20;

/// A line that takes a frame in this time can have larger ones.
const QUICK: Duration = Duration::from_millis(50);
/// A line that takes longer gets smaller ones.
const SLOW: Duration = Duration::from_millis(500);

/// Bytes of a frame's changes, before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) struct FrameSize(usize);

impl Default for FrameSize {
    fn default() -> FrameSize {
        FrameSize(FIRST)
    }
}

impl FrameSize {
    /// What the next frame may have, when there was room for it after so long.
    pub(in crate::sync) fn after(self, waited: Duration) -> FrameSize {
        FrameSize(match waited {
            quick if quick < QUICK => (self.0 * 2).min(MOST),
            slow if slow > SLOW => (self.0 / 4).max(LEAST),
            _ => self.0,
        })
    }

    /// A frame with so many bytes takes no more.
    pub(in crate::sync) fn is_reached(self, bytes: usize) -> bool {
        bytes >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_follows_the_line() {
        let mut size = FrameSize::default();
        (0..9).for_each(|_| size = size.after(Duration::ZERO));
        assert_eq!(size, FrameSize(MOST));
        assert_eq!(size.after(Duration::from_millis(100)), size);
        (0..9).for_each(|_| size = size.after(Duration::from_secs(20)));
        assert_eq!(size, FrameSize(LEAST));
        assert!(!size.is_reached(LEAST - 1) && size.is_reached(LEAST));
    }
}
