//! Intake: how values come into the registry.
