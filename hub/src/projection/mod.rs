//! Projection: what a policy lets a node hold of a citizen.
