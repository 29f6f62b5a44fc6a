//! TCP. A connection is a slot of the ring's file table and 12 bytes here; it holds a buffer only while an answer is under way,
//! and the buffer is back in the ring when the send has completed.
//!
//! Not for clients that do not read: what they are owed waits in buffers, up to all there are.

use std::io;
use std::os::fd::AsRawFd;

use bench::buf_ring::BufRing;
use io_uring::squeue::Flags;
use io_uring::{SubmissionQueue, Submitter, cqueue, opcode, types};
use socket2::Socket;

const GROUP: u16 = 0;
/// No buffer.
const NONE: u16 = u16::MAX;

const ACCEPT: u64 = 0;
const RECV: u64 = 1;
const SEND: u64 = 2;
const CLOSE: u64 = 3;

/// user_data: operation and connection.
fn key(operation: u64, slot: u32) -> u64 {
    operation << 32 | u64::from(slot)
}

#[derive(Clone, Copy)]
struct Conn {
    /// Buffers to be sent, oldest first, linked through `Buffer::next`. The head is under way if `sending`.
    head: u16,
    tail: u16,
    /// Bytes of the head already sent.
    sent: u32,
    sending: bool,
    /// A receive is armed, or waits in `Server::starved`.
    receiving: bool,
    failed: bool,
}

const CLOSED: Conn = Conn { head: NONE, tail: NONE, sent: 0, sending: false, receiving: false, failed: false };

#[derive(Clone, Copy)]
struct Buffer {
    next: u16,
    len: u32,
}

struct Server<'a> {
    submitter: Submitter<'a>,
    sq: SubmissionQueue<'a>,
    listener: i32,
    ring: BufRing,
    buffers: Vec<Buffer>,
    conns: Vec<Conn>,
    /// Connections whose receive found no buffer.
    starved: Vec<u32>,
    /// Buffers that the kernel does not have.
    held: u16,
    accepting: bool,
}

/// Serves until the ring itself fails.
pub(super) fn serve(listener: &Socket, slots: u32) -> io::Result<()> {
    let mut ring = super::ring()?;
    ring.submitter().register_files_sparse(slots)?;
    let (mut submitter, sq, mut cq) = ring.split();
    submitter.register_ring_fd()?;
    let mut server = Server {
        ring: BufRing::new(&submitter, GROUP, super::BUFFERS, super::BUFFER)?,
        submitter,
        sq,
        listener: listener.as_raw_fd(),
        buffers: vec![Buffer { next: NONE, len: 0 }; usize::from(super::BUFFERS)],
        conns: Vec::new(),
        starved: Vec::new(),
        held: 0,
        accepting: false,
    };
    server.accept();
    loop {
        super::submit_and_wait(&server.submitter, &mut server.sq, &mut cq)?;
        cq.by_ref().for_each(|entry| server.on_completion(&entry));
        server.ring.publish();
        server.feed_starved();
    }
}

impl Server<'_> {
    fn push(&mut self, entry: &io_uring::squeue::Entry) {
        // SAFETY: entries of this file point into the buffer ring, at buffers held until the send is done, or nowhere.
        unsafe { super::push(&mut self.sq, &self.submitter, entry) };
    }

    fn accept(&mut self) {
        let entry = opcode::AcceptMulti::new(types::Fd(self.listener)).allocate_file_index(true).build();
        self.push(&entry.user_data(key(ACCEPT, 0)));
        self.accepting = true;
    }

    fn receive(&mut self, slot: u32) {
        let entry = opcode::RecvMulti::new(types::Fixed(slot), GROUP).build();
        self.push(&entry.user_data(key(RECV, slot)));
    }

    /// Sends what is left of the head of the connection's queue.
    fn send(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        conn.sending = true;
        let len = self.buffers[usize::from(conn.head)].len - conn.sent;
        let at = self.ring.pointer(conn.head).wrapping_add(conn.sent as usize);
        let entry = opcode::Send::new(types::Fixed(slot), at, len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(key(SEND, slot));
        self.push(&entry);
    }

    fn on_completion(&mut self, entry: &cqueue::Entry) {
        let slot = entry.user_data() as u32;
        match entry.user_data() >> 32 {
            RECV => self.on_received(slot, entry.result(), entry.flags()),
            SEND => self.on_sent(slot, entry.result()),
            ACCEPT => self.on_accepted(entry.result(), entry.flags()),
            CLOSE => eprintln!("close: {}", io::Error::from_raw_os_error(-entry.result())),
            other => unreachable!("operation {other}"),
        }
    }

    fn on_accepted(&mut self, result: i32, flags: u32) {
        self.accepting = cqueue::more(flags);
        if let Ok(slot) = usize::try_from(result) {
            if self.conns.len() <= slot {
                self.conns.resize(slot + 1, CLOSED);
            }
            self.conns[slot] = Conn { receiving: true, ..CLOSED };
            self.receive(slot as u32);
        }
        // A full table ends the accept; the next close renews it.
        if !self.accepting && !matches!(-result, libc::ENFILE | libc::EMFILE) {
            self.accept();
        }
    }

    fn on_received(&mut self, slot: u32, result: i32, flags: u32) {
        let id = cqueue::buffer_select(flags);
        self.held += u16::from(id.is_some());
        let conn = &mut self.conns[slot as usize];
        let more = cqueue::more(flags);
        match id {
            Some(id) if result > 0 && !conn.failed => {
                self.buffers[usize::from(id)] = Buffer { next: NONE, len: result as u32 };
                match conn.tail {
                    NONE => conn.head = id,
                    tail => self.buffers[usize::from(tail)].next = id,
                }
                conn.tail = id;
                if !conn.sending {
                    self.send(slot);
                }
            }
            Some(id) => self.give_back(id),
            None => {}
        }
        if !more {
            if result > 0 || -result == libc::ENOBUFS {
                self.starved.push(slot);
            } else {
                self.conns[slot as usize].receiving = false;
                self.close_if_done(slot);
            }
        }
    }

    fn on_sent(&mut self, slot: u32, result: i32) {
        let conn = &mut self.conns[slot as usize];
        conn.sending = false;
        match result {
            0.. => conn.sent += result as u32,
            _ => {
                // Its receive ends too, as the connection is broken. Until then, drop what arrives.
                conn.failed = true;
                conn.sent = 0;
                conn.tail = NONE;
                let mut id = std::mem::replace(&mut conn.head, NONE);
                while id != NONE {
                    self.give_back(id);
                    id = self.buffers[usize::from(id)].next;
                }
                self.close_if_done(slot);
                return;
            }
        }
        let head = conn.head;
        let buffer = self.buffers[usize::from(head)];
        if conn.sent < buffer.len {
            self.send(slot);
            return;
        }
        conn.sent = 0;
        conn.head = buffer.next;
        if conn.head == NONE {
            conn.tail = NONE;
        }
        self.give_back(head);
        if buffer.next != NONE {
            self.send(slot);
        } else {
            self.close_if_done(slot);
        }
    }

    fn close_if_done(&mut self, slot: u32) {
        let conn = &self.conns[slot as usize];
        if conn.receiving || conn.sending || conn.head != NONE {
            return;
        }
        let entry = opcode::Close::new(types::Fixed(slot)).build();
        self.push(&entry.flags(Flags::SKIP_SUCCESS).user_data(key(CLOSE, slot)));
        if !self.accepting {
            self.accept();
        }
    }

    fn give_back(&mut self, id: u16) {
        self.ring.give_back(id);
        self.held -= 1;
    }

    /// Receives again where there was no buffer, once there is one.
    fn feed_starved(&mut self) {
        if self.held < super::BUFFERS {
            while let Some(slot) = self.starved.pop() {
                self.receive(slot);
            }
        }
    }
}
