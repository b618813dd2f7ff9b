//! The registry: citizens, journal and feed, one atomic commit at a time.
