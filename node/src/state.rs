//! What the node can do now, and why.
