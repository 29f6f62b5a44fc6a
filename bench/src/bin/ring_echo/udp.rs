//! UDP: one multishot recvmsg; the answer goes back from the buffer the kernel put it in, with the sender's address that lies
//! in front of it.

use std::io;
use std::os::fd::AsRawFd;

use bench::buf_ring::BufRing;
use io_uring::{cqueue, opcode, types};
use socket2::Socket;

const GROUP: u16 = 0;
const RECV: u64 = 1 << 16;

/// Serves until the ring itself fails.
pub(super) fn serve(socket: &Socket) -> io::Result<()> {
    let mut ring = super::ring()?;
    let descriptor = socket.as_raw_fd();
    ring.submitter().register_files(&[descriptor])?;
    let (mut submitter, mut sq, mut cq) = ring.split();
    submitter.register_ring_fd()?;
    // Of the header only the room for the name is used; it must live as long as the receive.
    // SAFETY: all zeroes is a message header with nothing in it.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
    let size = super::BUFFER + 16 + header.msg_namelen as usize;
    let mut buffers = BufRing::new(&submitter, GROUP, super::BUFFERS, size)?;
    let receive = opcode::RecvMsgMulti::new(types::Fixed(0), &raw const header, GROUP).build().user_data(RECV);
    // SAFETY: the header outlives the loop.
    unsafe { super::push(&mut sq, &submitter, &receive) };
    loop {
        super::submit_and_wait(&submitter, &mut sq, &mut cq)?;
        let mut rearm = false;
        for entry in &mut cq {
            if entry.user_data() != RECV {
                buffers.give_back(entry.user_data() as u16); // sent, or lost, as datagrams may be
                continue;
            }
            rearm |= !cqueue::more(entry.flags());
            let Some(id) = cqueue::buffer_select(entry.flags()) else {
                continue;
            };
            let bytes = buffers.bytes(id, entry.result().max(0) as usize);
            let parsed = types::RecvMsgOut::parse(bytes, &header);
            let Ok(message) = parsed.as_ref().map_err(drop) else {
                buffers.give_back(id);
                continue;
            };
            let (name, payload) = (message.name_data(), message.payload_data());
            let send = opcode::Send::new(types::Fixed(0), payload.as_ptr(), payload.len() as u32)
                .dest_addr(name.as_ptr().cast())
                .dest_addr_len(name.len() as u32)
                .build()
                .user_data(u64::from(id));
            // SAFETY: points into the buffer, which is given back at the send's completion.
            unsafe { super::push(&mut sq, &submitter, &send) };
        }
        buffers.publish();
        if rearm {
            // SAFETY: the header outlives the loop.
            unsafe { super::push(&mut sq, &submitter, &receive) };
        }
    }
}
