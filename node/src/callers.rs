//! Who may call this node, and for which purposes.
