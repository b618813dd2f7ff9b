//! What needs both hub and node: the synthetic population, the test kit, the oracle and the
//! benchmarks. The tests themselves are in `laws/`, `e2e/` and `faults/`.

pub mod bench;
pub mod oracle;
pub mod population;
pub mod testkit;
