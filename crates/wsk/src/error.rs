//! The error of a request: a status, what was done before it, and the client's memory.

use std::fmt;

use wsk_abi::status::NtStatus;
use wsk_core::memory::Memory;

/// Why a request failed.
#[derive(Debug)]
pub struct Error {
    status: NtStatus,
    information: usize,
    memory: Memory,
}

impl Error {
    pub(crate) fn new(status: NtStatus, information: usize, memory: Memory) -> Self {
        Self { status, information, memory }
    }

    /// The NTSTATUS of the completed request.
    pub fn status(&self) -> NtStatus {
        self.status
    }

    /// IoStatus.Information: 0, but for a WAITALL receive that was cut short, where it counts the bytes stored (F-62).
    pub fn information(&self) -> usize {
        self.information
    }

    /// The buffer that was given to the request, if it was a vector.
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        match self.memory {
            Memory::Vec(buffer) | Memory::Prefix(buffer, _) => Some(buffer),
            _ => None,
        }
    }

    /// The memory that was given to the request.
    pub fn into_memory(self) -> Memory {
        self.memory
    }
}

impl From<NtStatus> for Error {
    fn from(status: NtStatus) -> Self {
        Self::new(status, 0, Memory::None)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            // E-3, promise 5: waiting in a callback would stop the processor that has to complete the request.
            NtStatus::POSSIBLE_DEADLOCK => {
                write!(f, "{}: a callback must not wait for a request; start it and return", self.status)
            }
            status => write!(f, "{status}"),
        }
    }
}

impl std::error::Error for Error {}

impl PartialEq<NtStatus> for Error {
    fn eq(&self, other: &NtStatus) -> bool {
        self.status == *other
    }
}
