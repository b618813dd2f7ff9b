//! Wakes the streams that a commit touches, and no others.
