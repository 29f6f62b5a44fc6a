//! Zw: the registry, and what is asked of the system and its objects by handle.

pub mod event;
pub mod information;
pub mod registry;
