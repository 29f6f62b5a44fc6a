//! Tests that need several modules at once.
