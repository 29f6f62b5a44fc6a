//! Compares every structure of the crate with `data/layouts.json`, field by field: offset, size, kind, and the
//! arguments of functions. A type of a covered header that is missing here fails the test, and so does a field.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::{align_of, offset_of, size_of};

use serde_json::Value;
use wsk_abi::cmsg::*;
use wsk_abi::io::*;
use wsk_abi::irp::*;
use wsk_abi::mdl::*;
use wsk_abi::nmr::*;
use wsk_abi::sockaddr::*;
use wsk_abi::wsk::*;

/// Headers whose types must all be here.
const COVERED_HEADERS: &[&str] =
    &["wsk.h", "netioddk.h", "netiodef.h", "guiddef.h", "ws2def.h", "ws2ipdef.h", "inaddr.h", "in6addr.h"];

/// Types of covered headers that the crate leaves out, with the reason.
const TYPES_LEFT_OUT: &[(&str, &str)] = &[];

/// Fields that the crate leaves out: type, field or group of fields, reason.
const FIELDS_LEFT_OUT: &[(&str, &str, &str)] = &[
    ("LARGE_INTEGER", "LowPart", HALVES),
    ("LARGE_INTEGER", "HighPart", HALVES),
    ("LARGE_INTEGER", "u", HALVES),
    ("ULARGE_INTEGER", "LowPart", HALVES),
    ("ULARGE_INTEGER", "HighPart", HALVES),
    ("ULARGE_INTEGER", "u", HALVES),
    ("IN_ADDR", "S_un.S_un_b", "the bytes of S_addr: IN_ADDR::octets"),
    ("IN_ADDR", "S_un.S_un_w", "the words of S_addr"),
    ("IN6_ADDR", "u.Word", "the words of u.Byte"),
    ("SCOPE_ID", "Zone", "bits of Value: SCOPE_ID::zone"),
    ("SCOPE_ID", "Level", "bits of Value: SCOPE_ID::level"),
    ("IO_STATUS_BLOCK", "Pointer", "reserved, overlaid on Status; a plain Status is read without unsafe"),
    ("DISPATCHER_HEADER", "Lock", "the first four bytes as one word, for the executive's own use"),
    ("DISPATCHER_HEADER", "LockNV", "the first four bytes as one word, for the executive's own use"),
    ("IRP", "Tail.Overlay.PacketType", "overlaid on CurrentStackLocation by completion ports only"),
];

const HALVES: &str = "halves of QuadPart; a plain QuadPart is read without unsafe";

struct Field {
    name: String,
    offset: usize,
    size: usize,
    kind: &'static str,
    /// Checked through a field of another name that lies on top of it.
    overlaid: bool,
}

struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<Field>,
}

/// Size and type name of a field, from a projection that is never called.
fn facts<T, F>(_: fn(*const T) -> *const F) -> (usize, &'static str) {
    (size_of::<F>(), type_name::<F>())
}

macro_rules! field {
    ($type:ident, [$($json:ident).+], []) => { field!(@ $type, [$($json).+], [$($json).+], false) };
    ($type:ident, [$($json:ident).+], [$($rust:ident).+]) => { field!(@ $type, [$($json).+], [$($rust).+], true) };
    (@ $type:ident, [$($json:ident).+], [$($rust:ident).+], $overlaid:literal) => {{
        let (size, kind) = facts(|base: *const $type| {
            // SAFETY: never called; only its type is of interest.
            unsafe { &raw const (*base).$($rust).+ }
        });
        Field {
            name: [$(stringify!($json)),+].join(".").replace("r#", ""),
            offset: offset_of!($type, $($rust).+),
            size,
            kind,
            overlaid: $overlaid,
        }
    }};
}

/// One row per type: its fields as the data names them, `= path` where the crate reaches one by another path.
macro_rules! layouts {
    ($($type:ident { $($($json:ident).+ $(= $($rust:ident).+)?),* })*) => {
        vec![$(
            Layout {
                name: stringify!($type),
                size: size_of::<$type>(),
                align: align_of::<$type>(),
                fields: vec![$(field!($type, [$($json).+], [$($($rust).+)?])),*],
            },
        )*]
    };
}

fn description() -> Vec<Value> {
    match serde_json::from_str(include_str!("data/layouts.json")).expect("layouts.json parses") {
        Value::Array(types) => types,
        _ => panic!("layouts.json is a list"),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> Option<usize> {
    value[key].as_u64().and_then(|n| usize::try_from(n).ok())
}

/// The data's word for a Rust type, where it has one.
fn kind_of(rust: &str) -> Option<&'static str> {
    let last = rust.rsplit("::").next().unwrap_or(rust);
    Some(match last {
        _ if rust.starts_with('*') => "ptr",
        _ if rust.starts_with("core::option::Option<unsafe extern") => "fnptr",
        "u8" => "u8",
        "i8" => "i8",
        "u16" => "u16",
        "i16" => "i16",
        "u32" => "u32",
        "i32" | "NtStatus" => "i32",
        "u64" | "usize" => "u64",
        "i64" => "i64",
        "WSK_INSPECT_ACTION" | "WSK_CONTROL_SOCKET_TYPE" | "NPI_MODULEID_TYPE" => "enum32",
        _ => return None,
    })
}

/// Return and argument kinds of an `Option<unsafe extern "win64" fn(..) -> ..>` by its type name.
fn signature_of(rust: &str) -> (String, Vec<String>) {
    let kind = |ty: &str| kind_of(ty).unwrap_or(ty).to_owned();
    let inner = rust
        .strip_prefix("core::option::Option<unsafe extern \"win64\" fn(")
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or_else(|| panic!("not a win64 function: {rust}"));
    let (arguments, result) = inner.rsplit_once(')').expect("an argument list");
    let result = result.strip_prefix(" -> ").map_or("void".to_owned(), kind);
    (result, arguments.split(", ").map(kind).collect())
}

fn compare_field(owner: &str, ours: &Field, theirs: &Value, faults: &mut Vec<String>) {
    let name = &ours.name;
    if Some(ours.offset) != number(theirs, "offset") || Some(ours.size) != number(theirs, "size") {
        faults.push(format!(
            "{owner}.{name}: offset {}, size {}; expected {}, {}",
            ours.offset, ours.size, theirs["offset"], theirs["size"]
        ));
    }
    let expected = text(theirs, "kind");
    let expected_or_integer = if expected == "enum32" { "i32" } else { expected };
    if ours.overlaid && expected != "fnptr" {
        return;
    }
    if let Some(kind) = kind_of(ours.kind)
        && kind != expected
        && kind != expected_or_integer
        && !expected.chars().next().is_some_and(char::is_uppercase)
    {
        faults.push(format!("{owner}.{name}: is {kind} ({}), expected {expected}", ours.kind));
    }
    if theirs["fn"].is_object() {
        let arguments: Vec<String> = theirs["fn"]["args"]
            .as_array()
            .expect("args is a list")
            .iter()
            .map(|argument| argument.as_str().unwrap_or_default().to_owned())
            .collect();
        let expected = (text(&theirs["fn"], "ret").to_owned(), arguments);
        let found = signature_of(ours.kind);
        if found != expected {
            faults.push(format!("{owner}.{name}: {found:?}, expected {expected:?}"));
        }
    }
}

// F-3, F-4, F-13, F-30: order and place of every member.
#[test]
fn every_field_lies_where_the_data_says() {
    let description = description();
    let description: BTreeMap<&str, &Value> = description.iter().map(|ty| (text(ty, "type"), ty)).collect();
    let mut faults = Vec::new();
    let mut compared = 0;
    for ours in checked() {
        let Some(theirs) = description.get(ours.name) else {
            faults.push(format!("{}: not in the data", ours.name));
            continue;
        };
        if Some(ours.size) != number(theirs, "size") || Some(ours.align) != number(theirs, "align") {
            faults.push(format!(
                "{}: size {}, align {}; expected {}, {}",
                ours.name, ours.size, ours.align, theirs["size"], theirs["align"]
            ));
        }
        let fields = theirs["fields"].as_array().map_or(&[][..], Vec::as_slice);
        for field in fields {
            let name = text(field, "name");
            match ours.fields.iter().find(|ours| ours.name == name) {
                Some(found) => {
                    compare_field(ours.name, found, field, &mut faults);
                    compared += 1;
                }
                None if left_out(ours.name, name) => {}
                None => faults.push(format!("{}.{name}: missing", ours.name)),
            }
        }
        for field in &ours.fields {
            if !fields.iter().any(|theirs| text(theirs, "name") == field.name) {
                faults.push(format!("{}.{}: not in the data", ours.name, field.name));
            }
        }
    }
    println!("{} types, {compared} fields", checked().len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn left_out(owner: &str, field: &str) -> bool {
    FIELDS_LEFT_OUT.iter().any(|(ty, name, _)| {
        *ty == owner && field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[test]
fn every_type_of_a_covered_header_is_compared() {
    let checked: BTreeSet<&str> = checked().iter().map(|layout| layout.name).collect();
    let missing: Vec<String> = description()
        .iter()
        .filter(|ty| COVERED_HEADERS.contains(&text(ty, "header")))
        .map(|ty| text(ty, "type").to_owned())
        .filter(|name| !checked.contains(name.as_str()))
        .filter(|name| !TYPES_LEFT_OUT.iter().any(|(left_out, _)| left_out == name))
        .collect();
    assert!(missing.is_empty(), "neither compared nor left out for a reason: {missing:?}");
}

#[test]
fn every_exception_is_still_needed() {
    let description = description();
    let checked = checked();
    for (owner, field, reason) in FIELDS_LEFT_OUT {
        let ty = description.iter().find(|ty| text(ty, "type") == *owner).expect(owner);
        let exists =
            ty["fields"].as_array().is_some_and(|fields| fields.iter().any(|theirs| text(theirs, "name") == *field));
        assert!(exists, "{owner}.{field} is left out ({reason}) but not in the data");
        let ours = checked.iter().find(|ours| ours.name == *owner).expect(owner);
        assert!(
            ours.fields.iter().all(|ours| ours.name != *field),
            "{owner}.{field} is compared and left out ({reason})"
        );
    }
    for (name, reason) in TYPES_LEFT_OUT {
        assert!(
            description.iter().any(|ty| text(ty, "type") == *name) && checked.iter().all(|ours| ours.name != *name),
            "{name} is left out ({reason}) without need"
        );
    }
}

#[rustfmt::skip]
fn checked() -> Vec<Layout> {
    layouts! {
        // wsk.h
        WSK_SOCKET { Dispatch }
        WSK_BUF { Mdl, Offset, Length }
        WSK_BUF_LIST { Next, Buffer }
        WSK_DATA_INDICATION { Next, Buffer }
        WSK_DATAGRAM_INDICATION { Next, Buffer, ControlInfo, ControlInfoLength, RemoteAddress }
        WSK_INSPECT_ID { Key, SerialNumber }
        WSK_REGISTRATION {
            ReservedRegistrationState, ReservedRegistrationContext, ReservedRegistrationLock
        }
        WSK_CLIENT_NPI { ClientContext, Dispatch }
        WSK_PROVIDER_NPI { Client, Dispatch }
        WSK_PROVIDER_CHARACTERISTICS { HighestVersion, LowestVersion }
        WSK_TRANSPORT { Version, SocketType, Protocol, AddressFamily, ProviderId }
        WSK_EVENT_CALLBACK_CONTROL { NpiId, EventMask }
        WSK_EXTENSION_CONTROL_IN { NpiId, ClientContext, ClientDispatch }
        WSK_EXTENSION_CONTROL_OUT { ProviderContext, ProviderDispatch }
        WSK_TDI_MAP { SocketType, AddressFamily, Protocol, TdiDeviceName }
        WSK_TDI_MAP_INFO { ElementCount, Map }
        WSK_CLIENT_DISPATCH { Version, Reserved, WskClientEvent }
        WSK_CLIENT_LISTEN_DISPATCH { WskAcceptEvent, WskInspectEvent, WskAbortEvent }
        WSK_CLIENT_DATAGRAM_DISPATCH { WskReceiveFromEvent }
        WSK_CLIENT_CONNECTION_DISPATCH { WskReceiveEvent, WskDisconnectEvent, WskSendBacklogEvent }
        WSK_CLIENT_STREAM_DISPATCH { Listen, Connect }
        WSK_PROVIDER_DISPATCH {
            Version, Reserved, WskSocket, WskSocketConnect, WskControlClient, WskGetAddressInfo,
            WskFreeAddressInfo, WskGetNameInfo
        }
        WSK_PROVIDER_BASIC_DISPATCH { WskControlSocket, WskCloseSocket }
        WSK_PROVIDER_LISTEN_DISPATCH {
            Basic, WskControlSocket = Basic.WskControlSocket, WskCloseSocket = Basic.WskCloseSocket,
            WskBind, WskAccept, WskInspectComplete, WskGetLocalAddress
        }
        WSK_PROVIDER_DATAGRAM_DISPATCH {
            Basic, WskControlSocket = Basic.WskControlSocket, WskCloseSocket = Basic.WskCloseSocket,
            WskBind, WskSendTo, WskReceiveFrom, WskRelease, WskGetLocalAddress, WskSendMessages
        }
        WSK_PROVIDER_CONNECTION_DISPATCH {
            Basic, WskControlSocket = Basic.WskControlSocket, WskCloseSocket = Basic.WskCloseSocket,
            WskBind, WskConnect, WskGetLocalAddress, WskGetRemoteAddress, WskSend, WskReceive,
            WskDisconnect, WskRelease, WskConnectEx, WskSendEx, WskReceiveEx
        }
        WSK_PROVIDER_STREAM_DISPATCH {
            Basic, WskControlSocket = Basic.WskControlSocket, WskCloseSocket = Basic.WskCloseSocket,
            WskBind, WskAccept, WskConnect, WskListen, WskSend, WskReceive, WskDisconnect, WskRelease,
            WskGetLocalAddress, WskGetRemoteAddress, WskConnectEx, WskSendEx, WskReceiveEx
        }
        WSK_INSPECT_ACTION {}
        WSK_CONTROL_SOCKET_TYPE {}
        // netioddk.h
        NPI { Handle, Dispatch }
        NPI_REGISTRATION_INSTANCE { Version, Size, NpiId, ModuleId, Number, NpiSpecificCharacteristics }
        NPI_CLIENT_CHARACTERISTICS {
            Version, Length, ClientAttachProvider, ClientDetachProvider, ClientCleanupBindingContext,
            ClientRegistrationInstance
        }
        NPI_PROVIDER_CHARACTERISTICS {
            Version, Length, ProviderAttachClient, ProviderDetachClient, ProviderCleanupBindingContext,
            ProviderRegistrationInstance
        }
        // netiodef.h
        NPI_MODULEID { Length, Type, Guid = Anonymous.Guid, IfLuid = Anonymous.IfLuid }
        NPI_MODULEID_TYPE {}
        // guiddef.h
        NPIID { Data1, Data2, Data3, Data4 }
        GUID { Data1, Data2, Data3, Data4 }
        // ws2def.h
        SOCKADDR { sa_family, sa_data }
        SOCKADDR_IN { sin_family, sin_port, sin_addr, sin_zero }
        SOCKADDR_STORAGE { ss_family, __ss_pad1, __ss_align, __ss_pad2 }
        SOCKADDR_DL { sdl_family, sdl_data, sdl_zero }
        SCOPE_ID { Value }
        ADDRINFOA {
            ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_canonname, ai_addr, ai_next
        }
        ADDRINFOW {
            ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_canonname, ai_addr, ai_next
        }
        ADDRINFOEXW {
            ai_flags, ai_family, ai_socktype, ai_protocol, ai_addrlen, ai_canonname, ai_addr, ai_blob,
            ai_bloblen, ai_provider, ai_next
        }
        CMSGHDR { cmsg_len, cmsg_level, cmsg_type }
        WSACMSGHDR { cmsg_len, cmsg_level, cmsg_type }
        WSABUF { len, buf }
        WSAMSG { name, namelen, lpBuffers, dwBufferCount, Control, dwFlags }
        SOCKET_ADDRESS { lpSockaddr, iSockaddrLength }
        SOCKET_ADDRESS_LIST { iAddressCount, Address }
        SOCKET_PROCESSOR_AFFINITY { Processor, NumaNodeId, Reserved }
        ADDRESS_FAMILY {}
        // ws2ipdef.h
        SOCKADDR_IN6 {
            sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id,
            sin6_scope_struct = sin6_scope_id
        }
        SOCKADDR_INET { Ipv4, Ipv6, si_family }
        IN_PKTINFO { ipi_addr, ipi_ifindex }
        IN6_PKTINFO { ipi6_addr, ipi6_ifindex }
        IN_PKTINFO_EX { pkt_info, scope_id }
        IN6_PKTINFO_EX { pkt_info, scope_id }
        IN_RECVERR { protocol, info, r#type, code }
        SOCKADDR_IN6_PAIR { SourceAddress, DestinationAddress }
        IP_MREQ { imr_multiaddr, imr_interface }
        IPV6_MREQ { ipv6mr_multiaddr, ipv6mr_interface }
        IP_MREQ_SOURCE { imr_multiaddr, imr_sourceaddr, imr_interface }
        GROUP_REQ { gr_interface, gr_group }
        GROUP_SOURCE_REQ { gsr_interface, gsr_group, gsr_source }
        INTERFACE_INFO { iiFlags, iiAddress, iiBroadcastAddress, iiNetmask }
        // inaddr.h
        IN_ADDR { S_un, S_un.S_addr }
        // in6addr.h
        IN6_ADDR { u, u.Byte }
        // wdm.h, ntdef.h and winsock2.h, as far as the NPI mentions them
        IRP {
            Type, Size, MdlAddress, Flags, AssociatedIrp, AssociatedIrp.MasterIrp,
            AssociatedIrp.IrpCount, AssociatedIrp.SystemBuffer, ThreadListEntry, IoStatus,
            RequestorMode, PendingReturned, StackCount, CurrentLocation, Cancel, CancelIrql,
            ApcEnvironment, AllocationFlags, UserIosb, IoRingContext = UserIosb, UserEvent, Overlay,
            Overlay.AsynchronousParameters, Overlay.AsynchronousParameters.UserApcRoutine,
            Overlay.AsynchronousParameters.IssuingProcess = Overlay.AsynchronousParameters.UserApcRoutine,
            Overlay.AsynchronousParameters.UserApcContext,
            Overlay.AsynchronousParameters.IoRing = Overlay.AsynchronousParameters.UserApcContext,
            Overlay.AllocationSize, CancelRoutine, UserBuffer, Tail, Tail.Overlay,
            Tail.Overlay.DeviceQueueEntry = Tail.Overlay.Anonymous.DeviceQueueEntry,
            Tail.Overlay.DriverContext = Tail.Overlay.Anonymous.DriverContext, Tail.Overlay.Thread,
            Tail.Overlay.AuxiliaryBuffer, Tail.Overlay.ListEntry, Tail.Overlay.CurrentStackLocation,
            Tail.Overlay.OriginalFileObject, Tail.Apc, Tail.CompletionKey
        }
        IO_STACK_LOCATION {
            MajorFunction, MinorFunction, Flags, Control, Parameters, Parameters.Create,
            Parameters.Create.SecurityContext, Parameters.Create.Options,
            Parameters.Create.FileAttributes, Parameters.Create.ShareAccess, Parameters.Create.EaLength,
            Parameters.CreatePipe, Parameters.CreatePipe.SecurityContext, Parameters.CreatePipe.Options,
            Parameters.CreatePipe.Reserved, Parameters.CreatePipe.ShareAccess,
            Parameters.CreatePipe.Parameters, Parameters.CreateMailslot,
            Parameters.CreateMailslot.SecurityContext, Parameters.CreateMailslot.Options,
            Parameters.CreateMailslot.Reserved, Parameters.CreateMailslot.ShareAccess,
            Parameters.CreateMailslot.Parameters, Parameters.Read, Parameters.Read.Length,
            Parameters.Read.Key, Parameters.Read.Flags, Parameters.Read.ByteOffset, Parameters.Write,
            Parameters.Write.Length, Parameters.Write.Key, Parameters.Write.Flags,
            Parameters.Write.ByteOffset, Parameters.QueryDirectory, Parameters.QueryDirectory.Length,
            Parameters.QueryDirectory.FileName, Parameters.QueryDirectory.FileInformationClass,
            Parameters.QueryDirectory.FileIndex, Parameters.NotifyDirectory,
            Parameters.NotifyDirectory.Length, Parameters.NotifyDirectory.CompletionFilter,
            Parameters.NotifyDirectoryEx, Parameters.NotifyDirectoryEx.Length,
            Parameters.NotifyDirectoryEx.CompletionFilter,
            Parameters.NotifyDirectoryEx.DirectoryNotifyInformationClass, Parameters.QueryFile,
            Parameters.QueryFile.Length, Parameters.QueryFile.FileInformationClass, Parameters.SetFile,
            Parameters.SetFile.Length, Parameters.SetFile.FileInformationClass,
            Parameters.SetFile.FileObject,
            Parameters.SetFile.ReplaceIfExists = Parameters.SetFile.Anonymous.Anonymous.ReplaceIfExists,
            Parameters.SetFile.AdvanceOnly = Parameters.SetFile.Anonymous.Anonymous.AdvanceOnly,
            Parameters.SetFile.ClusterCount = Parameters.SetFile.Anonymous.ClusterCount,
            Parameters.SetFile.DeleteHandle = Parameters.SetFile.Anonymous.DeleteHandle,
            Parameters.QueryEa, Parameters.QueryEa.Length, Parameters.QueryEa.EaList,
            Parameters.QueryEa.EaListLength, Parameters.QueryEa.EaIndex, Parameters.SetEa,
            Parameters.SetEa.Length, Parameters.QueryVolume, Parameters.QueryVolume.Length,
            Parameters.QueryVolume.FsInformationClass, Parameters.SetVolume,
            Parameters.SetVolume.Length, Parameters.SetVolume.FsInformationClass,
            Parameters.FileSystemControl, Parameters.FileSystemControl.OutputBufferLength,
            Parameters.FileSystemControl.InputBufferLength, Parameters.FileSystemControl.FsControlCode,
            Parameters.FileSystemControl.Type3InputBuffer, Parameters.LockControl,
            Parameters.LockControl.Length, Parameters.LockControl.Key,
            Parameters.LockControl.ByteOffset, Parameters.DeviceIoControl,
            Parameters.DeviceIoControl.OutputBufferLength, Parameters.DeviceIoControl.InputBufferLength,
            Parameters.DeviceIoControl.IoControlCode, Parameters.DeviceIoControl.Type3InputBuffer,
            Parameters.QuerySecurity, Parameters.QuerySecurity.SecurityInformation,
            Parameters.QuerySecurity.Length, Parameters.SetSecurity,
            Parameters.SetSecurity.SecurityInformation, Parameters.SetSecurity.SecurityDescriptor,
            Parameters.MountVolume, Parameters.MountVolume.Vpb, Parameters.MountVolume.DeviceObject,
            Parameters.VerifyVolume, Parameters.VerifyVolume.Vpb, Parameters.VerifyVolume.DeviceObject,
            Parameters.Scsi, Parameters.Scsi.Srb, Parameters.QueryQuota, Parameters.QueryQuota.Length,
            Parameters.QueryQuota.StartSid, Parameters.QueryQuota.SidList,
            Parameters.QueryQuota.SidListLength, Parameters.SetQuota, Parameters.SetQuota.Length,
            Parameters.QueryDeviceRelations, Parameters.QueryDeviceRelations.Type,
            Parameters.QueryInterface, Parameters.QueryInterface.InterfaceType,
            Parameters.QueryInterface.Size, Parameters.QueryInterface.Version,
            Parameters.QueryInterface.Interface, Parameters.QueryInterface.InterfaceSpecificData,
            Parameters.DeviceCapabilities, Parameters.DeviceCapabilities.Capabilities,
            Parameters.FilterResourceRequirements,
            Parameters.FilterResourceRequirements.IoResourceRequirementList, Parameters.ReadWriteConfig,
            Parameters.ReadWriteConfig.WhichSpace, Parameters.ReadWriteConfig.Buffer,
            Parameters.ReadWriteConfig.Offset, Parameters.ReadWriteConfig.Length, Parameters.SetLock,
            Parameters.SetLock.Lock, Parameters.QueryId, Parameters.QueryId.IdType,
            Parameters.QueryDeviceText, Parameters.QueryDeviceText.DeviceTextType,
            Parameters.QueryDeviceText.LocaleId, Parameters.UsageNotification,
            Parameters.UsageNotification.InPath, Parameters.UsageNotification.Reserved,
            Parameters.UsageNotification.Type, Parameters.WaitWake, Parameters.WaitWake.PowerState,
            Parameters.PowerSequence, Parameters.PowerSequence.PowerSequence, Parameters.Power,
            Parameters.Power.SystemContext,
            Parameters.Power.SystemPowerStateContext = Parameters.Power.SystemContext,
            Parameters.Power.Type, Parameters.Power.State, Parameters.Power.ShutdownType,
            Parameters.StartDevice, Parameters.StartDevice.AllocatedResources,
            Parameters.StartDevice.AllocatedResourcesTranslated, Parameters.WMI,
            Parameters.WMI.ProviderId, Parameters.WMI.DataPath, Parameters.WMI.BufferSize,
            Parameters.WMI.Buffer, Parameters.Others, Parameters.Others.Argument1,
            Parameters.Others.Argument2, Parameters.Others.Argument3, Parameters.Others.Argument4,
            DeviceObject, FileObject, CompletionRoutine, Context
        }
        IO_STATUS_BLOCK { Status, Information }
        MDL { Next, Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset }
        KEVENT { Header }
        DISPATCHER_HEADER {
            Type, Signalling, Size, Reserved1, TimerType = Type, TimerControlFlags = Signalling,
            Absolute = Signalling, Wake = Signalling, EncodedTolerableDelay = Signalling, Hand = Size,
            TimerMiscFlags = Reserved1, Index = Reserved1, Inserted = Reserved1, Expired = Reserved1,
            Timer2Type = Type, Timer2Flags = Signalling, Timer2Inserted = Signalling,
            Timer2Expiring = Signalling, Timer2CancelPending = Signalling,
            Timer2SetPending = Signalling, Timer2Running = Signalling, Timer2Disabled = Signalling,
            Timer2ReservedFlags = Signalling, Timer2ComponentId = Size, Timer2RelativeId = Reserved1,
            QueueType = Type, QueueControlFlags = Signalling, Abandoned = Signalling,
            DisableIncrement = Signalling, QueueReservedControlFlags = Signalling, QueueSize = Size,
            QueueReserved = Reserved1, ThreadType = Type, ThreadReserved = Signalling,
            ThreadControlFlags = Size, CycleProfiling = Size, CounterProfiling = Size,
            GroupScheduling = Size, AffinitySet = Size, Tagged = Size, EnergyProfiling = Size,
            SchedulerAssist = Size, ThreadReservedControlFlags = Size, DebugActive = Reserved1,
            ActiveDR7 = Reserved1, Instrumented = Reserved1, Minimal = Reserved1, Reserved4 = Reserved1,
            AltSyscall = Reserved1, Emulation = Reserved1, Reserved5 = Reserved1, MutantType = Type,
            MutantSize = Signalling, DpcActive = Size, MutantReserved = Reserved1, SignalState,
            WaitListHead
        }
        LIST_ENTRY { Flink, Blink }
        SINGLE_LIST_ENTRY { Next }
        KSPIN_LOCK {}
        UNICODE_STRING { Length, MaximumLength, Buffer }
        ANSI_STRING { Length, MaximumLength, Buffer }
        STRING { Length, MaximumLength, Buffer }
        LARGE_INTEGER { QuadPart }
        ULARGE_INTEGER { QuadPart }
        LUID { LowPart, HighPart }
        KAPC {
            Type, AllFlags, Size, SpareByte1, SpareLong0, Thread, ApcListEntry, Reserved, NormalContext,
            SystemArgument1, SystemArgument2, ApcStateIndex, ApcMode, Inserted
        }
        KDEVICE_QUEUE_ENTRY { DeviceListEntry, SortKey, Inserted }
        PROCESSOR_NUMBER { Group, Number, Reserved }
        KIRQL {}
        KPROCESSOR_MODE {}
        LINGER { l_onoff, l_linger }
    }
}
