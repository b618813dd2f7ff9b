//! Starts real hubs and nodes, so that a test reads like the sentence it proves.
