//! The admin interface: what operators do, by command line and console.
