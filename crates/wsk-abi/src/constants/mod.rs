//! The constants of the headers by subject, under their C names. Each table is also re-exported by the module that owns
//! the types it belongs to.

pub mod af;
pub mod increment;
pub mod ioctl;
pub mod irp;
pub mod mdl;
pub mod sock;
pub mod sockopt;
pub mod wsk;

pub use self::{af::*, increment::*, ioctl::*, irp::*, mdl::*, sock::*, sockopt::*, wsk::*};
