//! The node's identity: its key, its certificate, and how it joins and renews.
