//! `libopenwsk.so`: the Winsock Kernel interface for C programs on Linux, without a loader.
//!
//! Programs include `include/wsk.h` and link against this library; the functions, the dispatch tables and the calling
//! convention are those of drivers (`ms_abi`). Only the functions that the headers declare for Linux are symbols here: others
//! of the executive have names of the C library's.
//!
//! A thread needs no preparation. The provider starts with its defaults at the first WskRegister (`WSK_TRANSPORT` chooses the
//! transport).
#![deny(unsafe_code)]
#![allow(non_snake_case)] // C names verbatim.

mod symbols;
