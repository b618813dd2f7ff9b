//! A synthetic population of Vietnam, and what happens in its lives.
