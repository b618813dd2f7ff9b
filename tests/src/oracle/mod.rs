//! An independent, naive model of the registry and of what each node may hold.
