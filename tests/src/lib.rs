//! What needs both hub and node: the synthetic population, the test kit and the oracle. The tests
//! themselves are in `laws/`, `e2e/` and `faults/`.

pub mod oracle;
pub mod population;
pub mod testkit;
