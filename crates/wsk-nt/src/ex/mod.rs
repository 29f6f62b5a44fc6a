//! Ex: pool, lists, locks that wait, work items.

pub mod fast_mutex;
pub mod list;
pub mod lookaside;
mod parking;
pub mod pool;
pub mod push_lock;
pub mod resource;
pub mod rundown;
pub mod rw_spin_lock;
pub mod services;
pub mod slist;
pub mod work;

pub(crate) use parking::{park_until, unpark_all};
