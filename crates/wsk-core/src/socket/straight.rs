//! The straight path: an established connection that echoes, answers or streams, decided without a list of effects.
//!
//! Each function does what its general counterpart in [`Connection`] would do, for the case in which exactly one thing
//! follows; in every other case it does nothing, gives its argument back, and the general path decides. A property test
//! holds the two against each other.

use wsk_abi::flags::EventFlags;

use crate::memory::{Buffer, BufferList, Memory};
use crate::request::RequestId;
use crate::socket::connection::{Call, Connection, Verdict, verdict};
use crate::transport::{Gather, Operation};

impl Connection {
    /// `handle(Event::Received)` and `advance`, when that makes one receive callback.
    ///
    /// # Errors
    /// The buffer, if the general path must decide.
    pub fn straight_receive(&mut self, buffer: Buffer, drained: bool) -> Result<(BufferList, EventFlags), Buffer> {
        self.receive_path().straight_receive(buffer, drained)
    }

    /// `answered(Receive, Answer::Done)`, when nothing follows from it; `false` if the general path must decide.
    pub fn straight_answer(&mut self) -> bool {
        self.receive_path().straight_answer()
    }

    /// `send`, when it goes to the transport as it is.
    ///
    /// # Errors
    /// The memory, if the general path must decide.
    pub fn straight_send(&mut self, id: RequestId, memory: Memory) -> Result<Operation, Memory> {
        if self.is_closing() || verdict(Call::Send, self.state()) != Verdict::Go {
            return Err(memory);
        }
        self.send_path().straight_send(id, memory)
    }

    /// `handle(Event::SendDone)` for one that went out whole, and `advance`, when that completes one request.
    ///
    /// # Errors
    /// The memory, if the general path must decide.
    pub fn straight_sent(&mut self, parts: Gather) -> Result<(RequestId, usize, Memory), Gather> {
        if self.is_closing() || self.samples_backlog() || !self.receive_path().is_settled() {
            return Err(parts);
        }
        if verdict(Call::Send, self.state()) != Verdict::Go {
            return Err(parts);
        }
        self.send_path().straight_sent(parts)
    }
}
