//! Start, signals, shutdown: every task is owned, cancelled and awaited.
