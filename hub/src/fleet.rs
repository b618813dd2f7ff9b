//! The nodes that are connected, and how far they are.
