//! Priority boosts of IoCompleteRequest, KeSetEvent and KeReleaseSemaphore (wdm.h). Nothing here is scheduled by them.

#![allow(missing_docs)] // A plain table: the names are the documentation, the values are checked by tests/constants.rs.

// Boosts.
pub const EVENT_INCREMENT: i8 = 1;
pub const IO_NO_INCREMENT: i8 = 0;
pub const IO_CD_ROM_INCREMENT: i8 = 1;
pub const IO_DISK_INCREMENT: i8 = 1;
pub const IO_KEYBOARD_INCREMENT: i8 = 6;
pub const IO_MAILSLOT_INCREMENT: i8 = 2;
pub const IO_MOUSE_INCREMENT: i8 = 6;
pub const IO_NAMED_PIPE_INCREMENT: i8 = 2;
pub const IO_NETWORK_INCREMENT: i8 = 2;
pub const IO_PARALLEL_INCREMENT: i8 = 1;
pub const IO_SERIAL_INCREMENT: i8 = 2;
pub const IO_SOUND_INCREMENT: i8 = 8;
pub const IO_VIDEO_INCREMENT: i8 = 1;
pub const SEMAPHORE_INCREMENT: i8 = 1;
