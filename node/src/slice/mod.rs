//! The slice: what this node holds, exactly what its agreements give.
