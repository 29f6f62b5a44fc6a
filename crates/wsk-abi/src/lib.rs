//! The Winsock Kernel NPI as data: types, constants and statuses.
//!
//! Everything here is what a compiled x86-64 driver and the subsystem must agree on bit by bit. C names are kept
//! verbatim; Rust names live in the crates above. Types that two C declarations would overlay keep a union only where the
//! readings differ in kind; where all of them read the same integers, the field holds the one that serves them all, so that
//! crates which forbid unsafe code can use it.
//!
//! Sizes and offsets are asserted at compile time beside each type, and compared with an independent description by
//! `tests/layouts.rs`; constants by `tests/constants.rs`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
compile_error!("the NPI is described for x86-64 with 64-bit pointers only");

/// Asserts the size and alignment of a type and the offsets of fields, at compile time.
macro_rules! assert_layout {
    ($type:ty, size $size:literal, align $align:literal $(, $($field:ident).+ @ $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size, concat!("size of ", stringify!($type)));
            assert!(core::mem::align_of::<$type>() == $align, concat!("alignment of ", stringify!($type)));
            $(
                assert!(
                    core::mem::offset_of!($type, $($field).+) == $offset,
                    concat!("offset of ", stringify!($type), ".", stringify!($($field).+)),
                );
            )*
        };
    };
}

/// Declares a structure that the NPI only ever handles by address.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            pub struct $name {
                _private: [u8; 0],
                _not_send: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
            }

            impl core::fmt::Debug for $name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str(stringify!($name))
                }
            }
        )*
    };
}

/// Declares a C enumeration as a newtype over `i32` that admits every value.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $c_name:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub i32);

        impl $name {
            $(
                $(#[$variant_doc])*
                pub const $variant: $name = $name($value);
            )*

            /// The C name of the enumerator, if the value is one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($c_name)),)*
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({})"), self.0),
                }
            }
        }

        assert_layout!($name, size 4, align 4);
    };
}

pub mod cmsg;
pub mod constants;
pub mod flags;
pub mod io;
pub mod irp;
pub mod mdl;
pub mod nmr;
pub mod sockaddr;
pub mod status;
pub mod wsk;

pub use status::NtStatus;
