//! Datagram sockets: the state machine of F-242, and the one receive path of WskReceiveFrom and WskReceiveFromEvent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use wsk_abi::flags::{ControlFlags, EventFlags, EventMask};
use wsk_abi::status::NtStatus;

use crate::control_data::{ControlData, SendControl};
use crate::effect::{Callback, CallbackKind, DeadEvent, Effect, Effects};
use crate::event_mask::{DATAGRAM_EVENTS, EventControl, EventSwitch, finish_now};
use crate::indication::{Answer, DatagramList, datagram_capacity};
use crate::memory::Memory;
use crate::request::{Completion, Outcome, RequestId};
use crate::socket::connection::{Events, answer_address};
use crate::socket::receive::RETENTION_CAP;
use crate::socket::send_to::{SendToPath, give_back};
use crate::socket::{check_remote, check_v6_only};
use crate::transport::{Datagram, DatagramInfo, Event, Family, Messages, Operation};

/// The columns of F-242.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not bound.
    Created,
    /// Bound; whether a fixed remote address is set makes the third column.
    Bound,
    /// No longer functional (F-81).
    Broken,
}

impl State {
    /// All states; "Bound + fixed remote" is Bound as far as refusals go, but for an address that is missing.
    pub const ALL: [State; 3] = [State::Created, State::Bound, State::Broken];
}

/// The rows of F-242.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the socket functions by their names
pub enum Call {
    Bind,
    SendTo,
    ReceiveFrom,
    SetAddress,
    EnableReceiveFromEvent,
    GetLocalAddress,
}

use crate::socket::Verdict;
use Verdict::{Fc, Go, Ids};

/// F-242.
#[rustfmt::skip]
pub const TABLE: [(Call, [Verdict; 3]); 6] = [
    //                             Created Bound Broken
    (Call::Bind,                   [Go,    Ids,  Fc]),
    (Call::SendTo,                 [Ids,   Go,   Fc]),
    (Call::ReceiveFrom,            [Ids,   Go,   Fc]),
    (Call::SetAddress,             [Ids,   Go,   Fc]),
    (Call::EnableReceiveFromEvent, [Ids,   Go,   Fc]),
    (Call::GetLocalAddress,        [Ids,   Go,   Fc]),
];

/// Looks a cell of [`TABLE`] up.
pub fn verdict(call: Call, state: State) -> Verdict {
    TABLE[call as usize].1[state as usize]
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    memory: Memory,
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Idle,
    Into,
    Stream,
    Stopping,
}

/// A datagram socket.
#[derive(Debug)]
pub struct DatagramSocket {
    state: State,
    family: Family,
    v6_only: bool,
    available: EventMask,
    /// Bind always fails NOT_IMPLEMENTED (F-90).
    misfit: bool,
    local: Option<SocketAddr>,
    binding: Option<RequestId>,
    /// SIO_WSK_SET_REMOTE_ADDRESS: default destination, and the only source heard (C-30).
    remote: Option<SocketAddr>,
    /// SIO_WSK_SET_SENDTO_ADDRESS: default destination only.
    send_to: Option<SocketAddr>,
    /// The remote address was set after the send-to address, and is the default destination (F-190).
    remote_is_newer: bool,
    queue: VecDeque<Pending>,
    unread: VecDeque<Datagram>,
    reading: Reading,
    event: EventSwitch,
    lent: usize,
    cap: usize,
    sends: SendToPath,
    /// IP_USER_MTU and IPV6_USER_MTU.
    user_mtu: [u32; 2],
    /// IP_RECEIVE_BROADCAST.
    hears_broadcasts: bool,
    /// The fate of an earlier datagram, for the next receive (SIO_UDP_CONNRESET).
    unreachable: Option<NtStatus>,
    /// The receive in flight was asked to end, to be failed with that.
    interrupting: bool,
    dropped: u64,
    owes_dead: bool,
    closing: Option<RequestId>,
    detaching: bool,
    detached: bool,
    gone: bool,
}

impl DatagramSocket {
    /// A new socket, not bound. `misfit`: its type is not one of datagrams (F-90).
    pub fn new(family: Family, events: Events, misfit: bool) -> Self {
        Self {
            state: State::Created,
            family,
            v6_only: true,
            available: events.available,
            misfit,
            local: None,
            binding: None,
            remote: None,
            send_to: None,
            remote_is_newer: false,
            queue: VecDeque::new(),
            unread: VecDeque::new(),
            reading: Reading::Idle,
            event: events.switch(EventMask::RECEIVE_FROM),
            lent: 0,
            cap: RETENTION_CAP,
            sends: SendToPath::new(),
            user_mtu: [u32::MAX; 2],
            hears_broadcasts: true,
            unreachable: None,
            interrupting: false,
            dropped: 0,
            owes_dead: false,
            closing: None,
            detaching: false,
            detached: false,
            gone: false,
        }
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Requests queued, of all kinds.
    pub fn queued(&self) -> usize {
        self.queue.len() + self.sends.queued()
    }

    /// Whether reading has stopped until the client releases something (E-120).
    pub fn is_paused(&self) -> bool {
        self.lent >= self.cap
    }

    /// Datagrams dropped because a static callback refused them, or the refused ones outgrew the buffer (E-90, E-91).
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a close has begun or completed.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.gone
    }

    /// Whether the driver has let go of the endpoint.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether the endpoint is on its way out: an operation not yet given to the driver must end at once.
    pub fn is_ending(&self) -> bool {
        self.detaching
    }

    /// Whether the close has completed; nothing more comes from this machine.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Raises the cap of retained memory to `bytes` (E-120: SO_RCVBUF if larger).
    pub fn set_receive_buffer(&mut self, bytes: usize) {
        self.cap = bytes.max(RETENTION_CAP);
    }

    /// IP_USER_MTU, IPV6_USER_MTU: the longest packet sent by that family, headers included.
    pub fn set_user_mtu(&mut self, family: Family, most: u32) {
        self.user_mtu[usize::from(family == Family::V6)] = most;
    }

    /// IP_RECEIVE_BROADCAST.
    pub fn set_receive_broadcast(&mut self, on: bool) {
        self.hears_broadcasts = on;
    }

    /// IPV6_V6ONLY, before bind (C-40, C-44); on unless set otherwise.
    ///
    /// # Errors
    /// INVALID_PARAMETER on an IPv4 socket, INVALID_DEVICE_STATE once bound.
    pub fn set_v6_only(&mut self, on: bool) -> Result<(), NtStatus> {
        check_v6_only(self.family, self.state == State::Created)?;
        self.v6_only = on;
        Ok(())
    }

    fn admit(&self, call: Call) -> Result<(), NtStatus> {
        if self.closing.is_some() || self.gone {
            return Err(NtStatus::INVALID_HANDLE);
        }
        verdict(call, self.state).into_result()
    }

    // ---- commands ----

    /// WskBind.
    pub fn bind(&mut self, id: RequestId, local: SocketAddr, fx: &mut Effects) {
        let refused = match self.admit(Call::Bind) {
            Err(status) => Some(status),
            Ok(()) if self.binding.is_some() => Some(NtStatus::INVALID_DEVICE_STATE), // another thread's bind
            Ok(()) if self.misfit => Some(NtStatus::NOT_IMPLEMENTED),
            Ok(()) if Family::of(&local) != self.family => Some(NtStatus::INVALID_PARAMETER),
            Ok(()) => None,
        };
        match refused {
            Some(status) => fx.finish(id, status),
            None => {
                self.binding = Some(id);
                fx.push(Effect::Bind(local));
            }
        }
    }

    /// The endpoint's answer to [`Effect::Bind`].
    pub fn bound(&mut self, result: Result<SocketAddr, NtStatus>, fx: &mut Effects) {
        let Some(id) = self.binding.take() else { return };
        match result {
            Ok(local) => {
                self.local = Some(local);
                self.state = State::Bound;
                fx.finish(id, NtStatus::SUCCESS);
                self.advance(fx);
            }
            Err(status) => fx.finish(id, status),
        }
    }

    /// SIO_WSK_SET_REMOTE_ADDRESS; `None` clears (C-30).
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE before bind, INVALID_PARAMETER for another family.
    pub fn set_remote_address(&mut self, remote: Option<SocketAddr>) -> Result<(), NtStatus> {
        self.check_address(remote)?;
        self.remote = remote;
        self.remote_is_newer = true;
        Ok(())
    }

    /// SIO_WSK_SET_SENDTO_ADDRESS; `None` clears (C-30).
    ///
    /// # Errors
    /// As [`DatagramSocket::set_remote_address`].
    pub fn set_send_to_address(&mut self, address: Option<SocketAddr>) -> Result<(), NtStatus> {
        self.check_address(address)?;
        self.send_to = address;
        self.remote_is_newer = false;
        Ok(())
    }

    /// Where a datagram without an address goes: of the two, the one set last; if that was cleared, the other (F-190).
    pub fn default_destination(&self) -> Option<SocketAddr> {
        if self.remote_is_newer { self.remote.or(self.send_to) } else { self.send_to.or(self.remote) }
    }

    fn check_address(&self, address: Option<SocketAddr>) -> Result<(), NtStatus> {
        self.admit(Call::SetAddress)?;
        match address {
            Some(address) => check_remote(self.family, self.v6_only, &address),
            None => Ok(()),
        }
    }

    /// WskSendTo (F-190 to F-192).
    pub fn send_to(
        &mut self,
        id: RequestId,
        memory: Memory,
        remote: Option<SocketAddr>,
        control: SendControl,
        fx: &mut Effects,
    ) {
        let mut messages = Messages::new();
        messages.push(memory);
        self.send(id, messages, remote, control, true, fx);
    }

    /// WskSendMessages: each memory is one datagram, all to one destination, in order; the first failure ends it (F-193).
    pub fn send_messages(
        &mut self,
        id: RequestId,
        messages: Messages,
        remote: Option<SocketAddr>,
        control: SendControl,
        fx: &mut Effects,
    ) {
        self.send(id, messages, remote, control, false, fx);
    }

    fn send(
        &mut self,
        id: RequestId,
        messages: Messages,
        remote: Option<SocketAddr>,
        control: SendControl,
        single: bool,
        fx: &mut Effects,
    ) {
        let destination = match (self.admit(Call::SendTo), remote.or(self.default_destination())) {
            (Err(status), _) => Err(status),
            (Ok(()), None) => Err(NtStatus::INVALID_PARAMETER),
            (Ok(()), Some(_)) if messages.is_empty() => Err(NtStatus::INVALID_PARAMETER),
            (Ok(()), Some(remote)) => check_remote(self.family, self.v6_only, &remote).and_then(|()| {
                let control = control.of(remote.ip().to_canonical().is_ipv6());
                self.check_length(&messages, &remote, &control).map(|()| (remote, control))
            }),
        };
        match destination {
            Err(status) => {
                let memory = give_back(messages, single, fx);
                fx.complete(id, status, 0, memory);
            }
            Ok((remote, control)) => self.sends.request(id, messages, remote, control, single, fx),
        }
    }

    /// IP_USER_MTU, IPV6_USER_MTU: nothing longer is sent, headers included.
    fn check_length(&self, messages: &Messages, remote: &SocketAddr, control: &ControlData) -> Result<(), NtStatus> {
        let (most, headers) =
            if remote.ip().to_canonical().is_ipv4() { (self.user_mtu[0], 28) } else { (self.user_mtu[1], 48) };
        let segment = control.segment_size().map_or(usize::MAX, |size| size as usize);
        let longest = messages.iter().map(|memory| memory.len().min(segment)).max().unwrap_or(0);
        if longest + headers > most as usize { Err(NtStatus::INVALID_BUFFER_SIZE) } else { Ok(()) }
    }

    /// WskReceiveFrom (F-195 to F-199).
    pub fn receive_from(&mut self, id: RequestId, memory: Memory, fx: &mut Effects) {
        match self.admit(Call::ReceiveFrom) {
            Err(status) => fx.complete(id, status, 0, memory),
            Ok(()) if !memory.is_writable() => fx.complete(id, NtStatus::INVALID_PARAMETER, 0, memory),
            Ok(()) => {
                self.queue.push_back(Pending { id, memory, cancelled: false });
                self.advance(fx);
            }
        }
    }

    /// WskGetLocalAddress (F-210).
    pub fn local_address(&self, id: RequestId, fx: &mut Effects) {
        match (self.admit(Call::GetLocalAddress), self.local) {
            (Err(status), _) => fx.finish(id, status),
            (Ok(()), None) => fx.finish(id, NtStatus::INVALID_DEVICE_STATE),
            (Ok(()), Some(address)) => answer_address(id, address, fx),
        }
    }

    /// SO_WSK_EVENT_CALLBACK (events.md 4.1, 5). Enabling also ends an AutoOff (E-16).
    pub fn control_events(&mut self, mask: EventMask, request: Option<RequestId>, fx: &mut Effects) -> NtStatus {
        let admitted = self.admit(Call::EnableReceiveFromEvent);
        let status = match (admitted, EventControl::parse(mask, DATAGRAM_EVENTS)) {
            (_, Err(status)) | (Err(status), _) => status,
            (Ok(()), Ok(EventControl::Disable(_))) => {
                let status = self.event.disable(request, fx);
                self.advance(fx);
                return status;
            }
            (Ok(()), Ok(EventControl::Enable(events))) if !self.available.contains(events) => {
                NtStatus::INVALID_PARAMETER // E-4
            }
            (Ok(()), Ok(EventControl::Enable(_))) if self.event.is_disabling() => NtStatus::DEVICE_BUSY, // E-45
            (Ok(()), Ok(EventControl::Enable(_))) => {
                self.event.enable();
                self.advance(fx);
                NtStatus::SUCCESS
            }
        };
        finish_now(status, request, fx)
    }

    /// IoCancelIrp (functions.md 2.4).
    pub fn cancel(&mut self, id: RequestId, fx: &mut Effects) {
        if self.is_ending() {
            return; // everything is ending already
        }
        if let Some(at) = self.queue.iter().position(|p| p.id == id) {
            if at == 0 && self.reading == Reading::Into {
                if !self.queue[0].cancelled {
                    self.queue[0].cancelled = true;
                    if !self.interrupting {
                        fx.submit(Operation::ReceiveFromCancel);
                    }
                }
            } else if let Some(pending) = self.queue.remove(at) {
                fx.complete(id, NtStatus::CANCELLED, 0, pending.memory);
            }
            self.advance(fx);
        } else {
            self.sends.cancel(id, fx);
        }
    }

    /// WskCloseSocket.
    pub fn close(&mut self, id: RequestId, fx: &mut Effects) {
        if self.closing.is_some() || self.gone {
            return fx.finish(id, NtStatus::INVALID_HANDLE);
        }
        self.closing = Some(id);
        if let Some(bind) = self.binding.take() {
            fx.finish(bind, NtStatus::CANCELLED);
        }
        self.event.close();
        self.shut(NtStatus::CANCELLED, fx);
        self.detach(fx);
        self.try_finish(fx);
    }

    fn shut(&mut self, status: NtStatus, fx: &mut Effects) {
        let held_by_transport = usize::from(self.reading == Reading::Into).min(self.queue.len());
        for pending in self.queue.split_off(held_by_transport) {
            fx.complete(pending.id, status, 0, pending.memory);
        }
        if let Some(head) = self.queue.front_mut() {
            head.cancelled = true;
        }
        self.unread.clear();
        self.sends.shut(status, fx);
    }

    fn detach(&mut self, fx: &mut Effects) {
        if !self.detaching {
            self.detaching = true;
            fx.submit(Operation::Detach { abort: false });
        }
    }

    // ---- events of the transport ----

    /// Takes an event in. Follow a run of them with [`DatagramSocket::advance`], so that datagrams are indicated in lists.
    pub fn handle(&mut self, event: Event, fx: &mut Effects) {
        let over = self.closing.is_some() || self.state == State::Broken;
        match event {
            Event::Datagram(datagram) if over || !self.is_heard(&datagram.source, datagram.flags) => drop(datagram),
            Event::Datagram(datagram) => self.unread.push_back(datagram),
            Event::DatagramsStopped(result) => {
                self.reading = Reading::Idle;
                if result.is_err() && !over {
                    self.break_down(fx);
                }
            }
            Event::ReceiveFromDone { memory, result } => {
                self.received_into(memory, result, over, fx);
                self.try_finish(fx);
            }
            Event::SendToDone { id, messages, result, .. } => {
                self.sends.done(id, messages, result, fx);
                if self.closing.is_none() {
                    self.sends.start(fx);
                }
                self.try_finish(fx);
            }
            Event::Unreachable(status) if !over => self.unreachable = Some(status),
            Event::Unreachable(_) => {}
            Event::Detached => {
                self.detached = true;
                self.try_finish(fx);
            }
            _ => debug_assert!(false, "not an event of a datagram socket: {event:?}"),
        }
    }

    /// With a fixed remote address only that source is heard (F-197); without IP_RECEIVE_BROADCAST no broadcast is. An ICMP
    /// error is of no source.
    fn is_heard(&self, source: &SocketAddr, flags: ControlFlags) -> bool {
        if flags.contains(ControlFlags::ERRQUEUE) {
            return true;
        }
        let same = |remote: SocketAddr| remote.ip() == source.ip() && remote.port() == source.port();
        self.remote.is_none_or(same) && (self.hears_broadcasts || !flags.contains(ControlFlags::BCAST))
    }

    fn received_into(&mut self, memory: Memory, result: Result<DatagramInfo, NtStatus>, over: bool, fx: &mut Effects) {
        self.reading = Reading::Idle;
        let interrupted = std::mem::take(&mut self.interrupting);
        let Some(mut head) = self.queue.pop_front() else { return };
        head.memory = memory;
        match result {
            Err(NtStatus::CANCELLED) if interrupted && !head.cancelled && !over => {
                let status = self.unreachable.take().unwrap_or(NtStatus::CANCELLED);
                fx.complete(head.id, status, 0, head.memory);
            }
            Ok(info) if self.is_heard(&info.source, info.flags) => finish_receive(head, info, fx),
            Ok(_) if !head.cancelled => self.queue.push_front(head), // not for us: read on
            Ok(_) | Err(NtStatus::CANCELLED) if head.cancelled => {
                let status =
                    if self.state == State::Broken { NtStatus::FILE_FORCED_CLOSED } else { NtStatus::CANCELLED };
                fx.complete(head.id, status, 0, head.memory);
            }
            Err(NtStatus::CANCELLED) if !over => self.queue.push_front(head),
            Ok(_) | Err(_) => {
                let status = result.err().unwrap_or(NtStatus::CANCELLED);
                fx.complete(head.id, status, 0, head.memory);
            }
        }
    }

    /// The endpoint is dead (E-93).
    pub fn break_down(&mut self, fx: &mut Effects) {
        if self.closing.is_some() || self.state == State::Broken {
            return;
        }
        self.state = State::Broken;
        if let Some(id) = self.binding.take() {
            fx.finish(id, NtStatus::FILE_FORCED_CLOSED);
        }
        self.shut(NtStatus::FILE_FORCED_CLOSED, fx);
        self.detach(fx);
        self.owes_dead = self.event.is_on();
        self.tell_dead(fx);
    }

    /// The driver is gone, with the memory it held: what was in flight ends now.
    pub fn driver_lost(&mut self, fx: &mut Effects) {
        self.break_down(fx);
        let failed = NtStatus::FILE_FORCED_CLOSED;
        if self.reading == Reading::Into {
            self.handle(Event::ReceiveFromDone { memory: Memory::None, result: Err(failed) }, fx);
        }
        for id in self.sends.in_flight() {
            self.handle(Event::SendToDone { id, messages: Messages::new(), sent: 0, result: Err(failed) }, fx);
        }
        if self.detaching && !self.detached {
            self.handle(Event::Detached, fx);
        }
    }

    /// Signals once that the socket is dead, after a callback that is still running (E-93).
    fn tell_dead(&mut self, fx: &mut Effects) {
        if self.owes_dead && self.event.is_on() && !self.event.is_running() {
            self.owes_dead = false;
            self.event.begin();
            fx.call(Callback::Dead(DeadEvent::ReceiveFrom));
        }
    }

    /// Goes on after a run of events.
    pub fn advance(&mut self, fx: &mut Effects) {
        if self.is_closing() || self.state != State::Bound {
            return;
        }
        self.serve(fx);
        self.indicate(fx);
        self.arm(fx);
    }

    /// One request takes one datagram, in order (F-195).
    fn serve(&mut self, fx: &mut Effects) {
        if self.reading == Reading::Into {
            if self.unreachable.is_some() && !self.interrupting && self.queue.front().is_some_and(|p| !p.cancelled) {
                self.interrupting = true;
                fx.submit(Operation::ReceiveFromCancel);
            }
            return;
        }
        while !self.unread.is_empty() {
            let Some(mut head) = self.queue.pop_front() else { break };
            let Some(datagram) = self.unread.pop_front() else { break };
            let len = head.memory.write(0, datagram.buffer.bytes());
            fx.copied += len;
            let mut flags = datagram.flags;
            flags.set(ControlFlags::TRUNC, len < datagram.buffer.len()); // F-196
            let Datagram { source, control, .. } = datagram;
            finish_receive(head, DatagramInfo { len: len as u32, source, flags, control }, fx);
        }
        // SIO_UDP_CONNRESET, SIO_UDP_NETRESET: one receive fails, behind the datagrams that came before.
        if self.unread.is_empty()
            && let Some(status) = self.unreachable
            && let Some(head) = self.queue.pop_front()
        {
            self.unreachable = None;
            fx.complete(head.id, status, 0, head.memory);
        }
    }

    fn indicate(&mut self, fx: &mut Effects) {
        if !self.event.is_on() || self.event.is_running() || !self.queue.is_empty() || self.is_paused() {
            return;
        }
        let Some(first) = self.unread.front() else { return };
        // E-80: one call's datagrams share the flags.
        let shared = first.flags & (ControlFlags::BCAST | ControlFlags::MCAST);
        let same = |d: &Datagram| d.flags & (ControlFlags::BCAST | ControlFlags::MCAST) == shared;
        let n = self.unread.iter().take_while(|d| same(d)).count();
        let list: DatagramList = self.unread.drain(..n).collect();
        self.lent += datagram_capacity(&list);
        self.event.begin();
        fx.call(Callback::ReceiveFrom { list, flags: EventFlags::from_bits_retain(shared.bits()) });
    }

    fn arm(&mut self, fx: &mut Effects) {
        let events_want = self.event.is_on() && !self.is_paused();
        let stream_wanted = events_want || (!self.queue.is_empty() && self.reading == Reading::Stream);
        match self.reading {
            Reading::Stream if !stream_wanted => {
                self.reading = Reading::Stopping;
                fx.submit(Operation::ReceiveFromStop);
            }
            Reading::Idle if !self.queue.is_empty() => {
                if let Some(head) = self.queue.front_mut() {
                    self.reading = Reading::Into;
                    fx.submit(Operation::ReceiveFrom(std::mem::take(&mut head.memory)));
                }
            }
            Reading::Idle if stream_wanted => {
                self.reading = Reading::Stream;
                fx.submit(Operation::ReceiveFromStart);
            }
            _ => {}
        }
    }

    // ---- answers of the client ----

    /// WskReceiveFromEvent returned.
    pub fn answered(&mut self, kind: CallbackKind, answer: Answer, fx: &mut Effects) {
        debug_assert_eq!(kind, CallbackKind::ReceiveFrom);
        if let Answer::Refused(refused) = answer {
            let (list, lent) = *refused;
            self.lent -= lent;
            let keeps = !self.event.is_static() && self.closing.is_none() && self.state == State::Bound;
            self.event.refuse();
            if keeps {
                for datagram in list.into_iter().rev() {
                    self.unread.push_front(datagram);
                }
                self.drop_newest();
            } else {
                self.dropped += list.len() as u64; // E-91
            }
        }
        self.event.end(fx);
        self.tell_dead(fx);
        self.advance(fx);
        self.try_finish(fx);
    }

    /// Refused datagrams are kept up to the receive buffer; overflow drops the newest (E-90).
    fn drop_newest(&mut self) {
        let mut held: usize = self.unread.iter().map(|d| d.buffer.capacity()).sum();
        while held > self.cap
            && let Some(datagram) = self.unread.pop_back()
        {
            held -= datagram.buffer.capacity();
            self.dropped += 1;
        }
    }

    /// An indication was released: so many bytes of transport memory are free again (E-120).
    pub fn released(&mut self, capacity: usize, fx: &mut Effects) {
        self.lent -= capacity;
        self.advance(fx);
    }

    fn try_finish(&mut self, fx: &mut Effects) {
        if self.detached
            && !self.event.is_running()
            && self.reading != Reading::Into
            && !self.sends.in_transport()
            && let Some(id) = self.closing.take()
        {
            self.gone = true;
            fx.finish(id, NtStatus::SUCCESS);
        }
    }
}

fn finish_receive(request: Pending, info: DatagramInfo, fx: &mut Effects) {
    fx.complete_with(Completion {
        request: request.id,
        status: NtStatus::SUCCESS,
        information: info.len as usize,
        memory: request.memory,
        outcome: Outcome::Datagram(info),
    });
}
