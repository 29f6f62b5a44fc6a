//! Io: IRPs and their way through drivers, device and driver objects, files, remove locks, queues.

pub mod build;
pub mod cancel;
pub mod complete;
pub mod csq;
pub mod device;
pub mod driver;
pub mod file;
pub mod irp;
pub mod pnp;
pub mod remove_lock;
pub mod request;
pub mod types;
pub mod work_item;
