//! Registration of a client with the subsystem: register, capture, release, deregister (functions.md 1).
//!
//! The machine counts what a deregistration waits for (F-23) and says when it may return; waiting is the caller's business.

use wsk_abi::flags::EventMask;
use wsk_abi::status::NtStatus;

use crate::event_mask::STATIC_EVENTS;
use crate::tdi::{self, Selection, TdiMap};
use crate::transport::{Family, Protocol};

/// The version of the NPI that the subsystem provides, highest and lowest (F-20).
pub const VERSION: u16 = 0x0100;

/// Answer of an attempt to capture (F-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Captured; one release is owed.
    Captured,
    /// The provider is not available yet: wait, or fail DEVICE_NOT_READY.
    NotReady,
    /// It failed for good.
    Failed(NtStatus),
}

/// One WSK_REGISTRATION.
#[derive(Debug)]
pub struct Registration {
    version: u16,
    deregistering: bool,
    captures: usize,
    /// Sockets whose close has not completed, accepted ones included.
    sockets: usize,
    /// Requests that are no socket's and have not completed.
    requests: usize,
    had_socket: bool,
    static_events: EventMask,
    tdi_mapping: Vec<TdiMap>,
    tdi_bypass: bool,
}

impl Registration {
    /// WskRegister: does not look at the version (F-14).
    pub fn new(version: u16) -> Self {
        Self {
            version,
            deregistering: false,
            captures: 0,
            sockets: 0,
            requests: 0,
            had_socket: false,
            static_events: EventMask::empty(),
            tdi_mapping: Vec::new(),
            tdi_bypass: false,
        }
    }

    /// WskCaptureProviderNPI, one attempt; `available`: the provider is up. Availability is tested before the version (F-15).
    pub fn capture(&mut self, available: bool) -> Capture {
        if self.deregistering {
            return Capture::Failed(NtStatus::DEVICE_NOT_READY); // F-21
        }
        if !available {
            return Capture::NotReady;
        }
        if self.version != VERSION {
            return Capture::Failed(NtStatus::NOINTERFACE); // F-20
        }
        self.captures += 1;
        Capture::Captured
    }

    /// WskReleaseProviderNPI; sockets stay usable (F-16).
    pub fn release(&mut self) {
        self.captures = self.captures.saturating_sub(1);
    }

    /// WskQueryProviderCharacteristics: (highest, lowest), whatever version was asked for (F-17).
    ///
    /// # Errors
    /// DEVICE_NOT_READY.
    pub fn characteristics(&self, available: bool) -> Result<(u16, u16), NtStatus> {
        if available { Ok((VERSION, VERSION)) } else { Err(NtStatus::DEVICE_NOT_READY) }
    }

    /// WSK_TDI_DEVICENAME_MAPPING (C-4).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: the client has had a socket.
    pub fn set_tdi_mapping(&mut self, mapping: Vec<TdiMap>) -> Result<(), NtStatus> {
        self.check_no_socket()?;
        self.tdi_mapping = mapping;
        Ok(())
    }

    /// WSK_TDI_BEHAVIOR (C-60).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE: the client has had a socket.
    pub fn set_tdi_bypass(&mut self, bypass: bool) -> Result<(), NtStatus> {
        self.check_no_socket()?;
        self.tdi_bypass = bypass;
        Ok(())
    }

    fn check_no_socket(&self) -> Result<(), NtStatus> {
        if self.had_socket { Err(NtStatus::INVALID_DEVICE_STATE) } else { Ok(()) }
    }

    /// What runs a new socket, when `native` says whether a native transport serves it (C-60).
    pub fn select(&self, family: Family, protocol: Protocol, native: bool) -> Selection {
        // No TDI filter can attach to a device, since there is none of ours.
        tdi::select(family, protocol, native, false, self.tdi_bypass, &self.tdi_mapping)
    }

    /// WskDeregister begins: no further capture (F-21). `false`: it had begun already, a no-op (F-25).
    pub fn deregister(&mut self) -> bool {
        !std::mem::replace(&mut self.deregistering, true)
    }

    /// Whether a deregistration has begun.
    pub fn is_deregistering(&self) -> bool {
        self.deregistering
    }

    /// Whether nothing is left to wait for (F-23).
    pub fn is_idle(&self) -> bool {
        self.captures == 0 && self.sockets == 0 && self.requests == 0
    }

    /// A request that is no socket's begins: a wait for a change of transports, a name lookup.
    pub fn request_begun(&mut self) {
        self.requests += 1;
    }

    /// It has completed, and the client's code has returned.
    pub fn request_ended(&mut self) {
        self.requests -= 1;
    }

    /// What a deregistration still waits for: captures and sockets; every other request ends by itself.
    pub fn outstanding(&self) -> (usize, usize) {
        (self.captures, self.sockets)
    }

    /// A socket was created or accepted (F-91).
    pub fn socket_created(&mut self) {
        self.sockets += 1;
        self.had_socket = true;
    }

    /// A socket's close completed, or its creation failed after all.
    pub fn socket_gone(&mut self) {
        self.sockets -= 1;
    }

    /// WSK_SET_STATIC_EVENT_CALLBACKS (E-25).
    ///
    /// # Errors
    /// INVALID_PARAMETER: DISABLE or a bit that is no event; INVALID_DEVICE_STATE: the client has had a socket.
    pub fn set_static_events(&mut self, mask: EventMask) -> Result<(), NtStatus> {
        if !STATIC_EVENTS.contains(mask) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if self.had_socket {
            return Err(NtStatus::INVALID_DEVICE_STATE);
        }
        self.static_events = mask; // a second call replaces the mask
        Ok(())
    }

    /// Events that each new socket of this client has on, of all categories (E-26).
    pub fn static_events(&self) -> EventMask {
        self.static_events
    }
}
