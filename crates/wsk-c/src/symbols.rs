//! The symbols: each jumps to the function of its name that drivers would import.
#![allow(unsafe_code)] // Exported functions in assembly.

/// Defines the symbols, and `bind`, which finds the function of each.
macro_rules! symbols {
    ($($name:ident)*) => {
        $(
            mod $name {
                use std::sync::atomic::AtomicUsize;

                pub(super) static TARGET: AtomicUsize = AtomicUsize::new(0);

                #[unsafe(no_mangle)]
                #[unsafe(naked)]
                unsafe extern "win64" fn $name() {
                    core::arch::naked_asm!(
                        "mov r10, qword ptr [rsp]",
                        "mov r11, qword ptr [rip + wsk_nt_caller@GOTTPOFF]",
                        "mov qword ptr fs:[r11], r10",
                        "jmp qword ptr [rip + {target}]",
                        target = sym TARGET,
                    )
                }
            }
        )*

        /// Runs when the library is loaded.
        extern "C" fn bind() {
            $($name::TARGET.store(address(stringify!($name)), std::sync::atomic::Ordering::Relaxed);)*
        }
    };
}

symbols! {
    DbgPrint ExAllocatePool2 ExAllocatePoolWithTag ExFreePool ExFreePoolWithTag
    IoAllocateIrp IoAllocateMdl IoCancelIrp IoFreeIrp IoFreeMdl IoReuseIrp
    KeClearEvent KeInitializeEvent KeReadStateEvent KeResetEvent KeSetEvent KeWaitForSingleObject
    MmBuildMdlForNonPagedPool
    NmrClientAttachProvider NmrClientDetachProviderComplete NmrDeregisterClient NmrDeregisterProvider
    NmrProviderDetachClientComplete NmrRegisterClient NmrRegisterProvider NmrWaitForClientDeregisterComplete
    NmrWaitForProviderDeregisterComplete
    WskCaptureProviderNPI WskDeregister WskQueryProviderCharacteristics WskRegister WskReleaseProviderNPI
}

/// Where a function is; the library does not load without it.
fn address(name: &str) -> usize {
    let mut exports = wsk_npi::exports().chain(wsk_nt::export::all());
    match exports.find(|export| export.name == name) {
        Some(export) => export.address as usize,
        None => {
            eprintln!("libopenwsk.so: the executive has no {name}; the library and its parts do not fit together");
            std::process::abort();
        }
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BIND: extern "C" fn() = bind;
