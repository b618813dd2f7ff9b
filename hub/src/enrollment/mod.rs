//! Enrolment: the hub's authority, one-time tokens, the roll of nodes.
