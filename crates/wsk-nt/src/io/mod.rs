//! Io: IRPs and their way through drivers, device and driver objects, files, remove locks, queues.

pub mod cancel;
pub mod complete;
pub mod irp;
