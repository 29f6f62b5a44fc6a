//! What a driver can import, by name. Each module lists its own in an `EXPORTS` table made by [`exports!`](crate::exports).

/// A function or a variable that drivers import. Names are unique whatever module of Windows an import names: HAL, ntoskrnl
/// and NETIO forward to each other (loader.md).
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// The name in the import table.
    pub name: &'static str,
    /// Address of the function, or of the variable.
    pub address: *const (),
    /// Function or variable.
    pub kind: Kind,
}

/// What an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Code; the loader puts a small stub before it that notes the caller.
    Function,
    /// A variable; the import is its address.
    Data,
}

// The addresses are those of functions and statics.
#[allow(unsafe_code)] // Send and Sync for a table of constant addresses.
mod shared {
    // SAFETY: an export is three constants; nothing is reached through the address here.
    unsafe impl Send for super::Export {}
    // SAFETY: as above.
    unsafe impl Sync for super::Export {}
}

/// A table of exports: `exports! { KeSetEvent, KeResetEvent, data PsThreadType }`; `NAME = path` where they differ.
#[macro_export]
macro_rules! exports {
    (@one data $name:ident) => {
        $crate::export::Export {
            name: stringify!($name),
            address: (&raw const $name).cast::<()>(),
            kind: $crate::export::Kind::Data,
        }
    };
    (@one $name:ident) => {
        $crate::export::Export { name: stringify!($name), address: $name as *const (), kind: $crate::export::Kind::Function }
    };
    (@one $name:ident = $path:path) => {
        $crate::export::Export { name: stringify!($name), address: $path as *const (), kind: $crate::export::Kind::Function }
    };
    ($($($name:ident)+ $(= $path:path)?),* $(,)?) => {
        /// What drivers import from here.
        pub const EXPORTS: &[$crate::export::Export] = &[$($crate::exports!(@one $($name)+ $(= $path)?)),*];
    };
}

/// Everything the executive exports, module by module.
pub fn all() -> impl Iterator<Item = &'static Export> {
    const TABLES: &[&[Export]] = &[
        crate::ex::fast_mutex::EXPORTS,
        crate::ex::list::EXPORTS,
        crate::ex::lookaside::EXPORTS,
        crate::ex::pool::EXPORTS,
        crate::ex::push_lock::EXPORTS,
        crate::ex::resource::EXPORTS,
        crate::ex::rundown::EXPORTS,
        crate::ex::rw_spin_lock::EXPORTS,
        crate::ex::services::EXPORTS,
        crate::ex::slist::EXPORTS,
        crate::ex::work::EXPORTS,
        crate::io::build::EXPORTS,
        crate::io::cancel::EXPORTS,
        crate::io::complete::EXPORTS,
        crate::io::csq::EXPORTS,
        crate::io::device::EXPORTS,
        crate::io::driver::EXPORTS,
        crate::io::file::EXPORTS,
        crate::io::irp::EXPORTS,
        crate::io::pnp::EXPORTS,
        crate::io::remove_lock::EXPORTS,
        crate::io::work_item::EXPORTS,
        crate::ke::dpc::EXPORTS,
        crate::ke::event::EXPORTS,
        crate::ke::exception::EXPORTS,
        crate::ke::irql::EXPORTS,
        crate::ke::processors::EXPORTS,
        crate::ke::queue::EXPORTS,
        crate::ke::spin_lock::EXPORTS,
        crate::ke::stop::EXPORTS,
        crate::ke::time::EXPORTS,
        crate::ke::timer::EXPORTS,
        crate::ke::wait::EXPORTS,
        crate::mm::mdl::EXPORTS,
        crate::mm::memory::EXPORTS,
        crate::netio::mib::EXPORTS,
        crate::nmr::EXPORTS,
        crate::ob::EXPORTS,
        crate::ob::handle::EXPORTS,
        crate::ps::process::EXPORTS,
        crate::ps::thread::EXPORTS,
        crate::rtl::address::EXPORTS,
        crate::rtl::avl::EXPORTS,
        crate::rtl::convert::EXPORTS,
        crate::rtl::crt::EXPORTS,
        crate::rtl::crt::narrow::EXPORTS,
        crate::rtl::crt::wide::EXPORTS,
        crate::rtl::dbg::EXPORTS,
        crate::rtl::hash_table::EXPORTS,
        crate::rtl::misc::EXPORTS,
        crate::rtl::memory::EXPORTS,
        crate::rtl::printf::EXPORTS,
        crate::rtl::string::EXPORTS,
        crate::rtl::version::EXPORTS,
        crate::se::EXPORTS,
        crate::zw::event::EXPORTS,
        crate::zw::information::EXPORTS,
    ];
    static PREPARED: std::sync::Once = std::sync::Once::new();
    PREPARED.call_once(|| {
        crate::ps::process::prepare();
        crate::ke::processors::prepare();
    });
    TABLES.iter().chain(crate::zw::registry::EXPORTS).flat_map(|table| table.iter())
}

/// The export of a name.
pub fn find(name: &str) -> Option<&'static Export> {
    all().find(|export| export.name == name)
}
