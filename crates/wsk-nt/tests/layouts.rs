//! Compares the structures of the crate with the repository's description of them, field by field: offset and size. What
//! the crate leaves out of a structure is listed, so that a field forgotten fails the test.

use std::collections::BTreeMap;
use std::mem::{align_of, offset_of, size_of};

use serde_json::Value;
use wsk_nt::ex::fast_mutex::FAST_MUTEX;
use wsk_nt::ex::lookaside::{GENERAL_LOOKASIDE_POOL, LOOKASIDE_LIST_EX, NPAGED_LOOKASIDE_LIST};
use wsk_nt::ex::resource::{ERESOURCE, OWNER_ENTRY};
use wsk_nt::ex::services::OBJECT_ATTRIBUTES;
use wsk_nt::ex::slist::{SLIST_ENTRY, SLIST_HEADER};
use wsk_nt::ex::work::WORK_QUEUE_ITEM;
use wsk_nt::io::csq::{IO_CSQ, IO_CSQ_IRP_CONTEXT};
use wsk_nt::io::types::{
    DEVICE_OBJECT, DEVOBJ_EXTENSION, DRIVER_EXTENSION, DRIVER_OBJECT, FILE_OBJECT, IO_SECURITY_CONTEXT, KDEVICE_QUEUE,
    WAIT_CONTEXT_BLOCK,
};
use wsk_nt::ke::context::EXCEPTION_RECORD;
use wsk_nt::ke::dpc::KDPC;
use wsk_nt::ke::event::KSEMAPHORE;
use wsk_nt::ke::processors::GROUP_AFFINITY;
use wsk_nt::ke::queue::KQUEUE;
use wsk_nt::ke::spin_lock::{KLOCK_QUEUE_HANDLE, KSPIN_LOCK_QUEUE};
use wsk_nt::ke::time::KSYSTEM_TIME;
use wsk_nt::ke::timer::KTIMER;
use wsk_nt::ke::wait::KMUTANT;
use wsk_nt::ob::handle::OBJECT_HANDLE_INFORMATION;
use wsk_nt::ps::thread::CLIENT_ID;
use wsk_nt::rtl::avl::{RTL_AVL_TABLE, RTL_BALANCED_LINKS};
use wsk_nt::rtl::hash_table::{
    RTL_DYNAMIC_HASH_TABLE, RTL_DYNAMIC_HASH_TABLE_ENTRY, RTL_DYNAMIC_HASH_TABLE_ENUMERATOR,
};
use wsk_nt::rtl::misc::{RTL_BITMAP, TIME_FIELDS};
use wsk_nt::rtl::version::RTL_OSVERSIONINFOEXW;
use wsk_nt::se::{SECURITY_DESCRIPTOR, SECURITY_SUBJECT_CONTEXT};
use wsk_nt::zw::registry::query::RTL_QUERY_REGISTRY_TABLE;

/// Fields that share their place with one that is here: other readings of a union, bits of a word.
const OVERLAID: &[(&str, &[&str])] = &[
    ("KMUTANT", &["Abandoned", "Spare1"]),
    ("KDPC", &["TargetInfoAsUlong"]),
    ("ERESOURCE", &["ReservedLowFlags", "WaiterPriority", "CreatorBackTraceIndex"]),
    ("OWNER_ENTRY", &["IoPriorityBoosted", "OwnerReferenced", "IoQoSPriorityBoosted", "TableSize"]),
    ("SLIST_HEADER", &["HeaderX64"]),
    (
        "GENERAL_LOOKASIDE_POOL",
        &["SingleListHead", "AllocateHits", "FreeHits", "AllocateEx", "FreeEx", "LastAllocateHits"],
    ),
    ("KDEVICE_QUEUE", &["Reserved", "Hint"]),
    (
        "WAIT_CONTEXT_BLOCK",
        &[
            "DmaWaitEntry",
            "NumberOfChannels",
            "SyncCallback",
            "DmaContext",
            "ZeroMapRegisters",
            "Reserved",
            "NumberOfRemapPages",
        ],
    ),
    ("RTL_DYNAMIC_HASH_TABLE_ENUMERATOR", &["CurEntry"]),
];

struct Field {
    name: &'static str,
    offset: usize,
    size: usize,
}

struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<Field>,
}

/// Size of a field, from a projection that is never called.
fn size_from<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! layouts {
    ($($type:ident { $($field:ident),* })*) => {
        vec![$(Layout {
            name: stringify!($type),
            size: size_of::<$type>(),
            align: align_of::<$type>(),
            fields: vec![$(Field {
                name: stringify!($field),
                offset: offset_of!($type, $field),
                size: size_from(|whole: &$type| &whole.$field),
            }),*],
        }),*]
    };
}

fn checked() -> Vec<Layout> {
    layouts! {
        KMUTANT { Header, MutantListEntry, OwnerThread, MutantFlags, ApcDisable }
        KSEMAPHORE { Header, Limit }
        KTIMER { Header, DueTime, TimerListEntry, Dpc, Processor, TimerType, Period }
        KDPC { Type, Importance, Number, DpcListEntry, ProcessorHistory, DeferredRoutine, DeferredContext, SystemArgument1, SystemArgument2, DpcData }
        KLOCK_QUEUE_HANDLE { LockQueue, OldIrql }
        KSPIN_LOCK_QUEUE { Next, Lock }
        KQUEUE { Header, EntryListHead, CurrentCount, MaximumCount, ThreadListHead }
        KSYSTEM_TIME { LowPart, High1Time, High2Time }
        GROUP_AFFINITY { Mask, Group, Reserved }
        EXCEPTION_RECORD { ExceptionCode, ExceptionFlags, ExceptionRecord, ExceptionAddress, NumberParameters, ExceptionInformation }
        FAST_MUTEX { Count, Owner, Contention, Event, OldIrql }
        ERESOURCE { SystemResourcesList, OwnerTable, ActiveCount, Flag, SharedWaiters, ExclusiveWaiters, OwnerEntry, ActiveEntries, ContentionCount, NumberOfSharedWaiters, NumberOfExclusiveWaiters, Reserved2, Address, SpinLock }
        OWNER_ENTRY { OwnerThread, OwnerCount }
        SLIST_HEADER { Alignment, Region }
        SLIST_ENTRY { Next }
        GENERAL_LOOKASIDE_POOL { ListHead, Depth, MaximumDepth, TotalAllocates, AllocateMisses, TotalFrees, FreeMisses, Type, Tag, Size, Allocate, Free, ListEntry, LastTotalAllocates, LastAllocateMisses, Future }
        LOOKASIDE_LIST_EX { L }
        NPAGED_LOOKASIDE_LIST { L }
        WORK_QUEUE_ITEM { List, WorkerRoutine, Parameter }
        OBJECT_ATTRIBUTES { Length, RootDirectory, ObjectName, Attributes, SecurityDescriptor, SecurityQualityOfService }
        DEVICE_OBJECT { Type, Size, ReferenceCount, DriverObject, NextDevice, AttachedDevice, CurrentIrp, Timer, Flags, Characteristics, Vpb, DeviceExtension, DeviceType, StackSize, Queue, AlignmentRequirement, DeviceQueue, Dpc, ActiveThreadCount, SecurityDescriptor, DeviceLock, SectorSize, Spare1, DeviceObjectExtension, Reserved }
        DEVOBJ_EXTENSION { Type, Size, DeviceObject, PowerFlags, Dope, ExtensionFlags, DeviceNode, AttachedTo, StartIoCount, StartIoKey, StartIoFlags, Vpb, DependencyNode, InterruptContext, InterruptCount, VerifierContext }
        DRIVER_OBJECT { Type, Size, DeviceObject, Flags, DriverStart, DriverSize, DriverSection, DriverExtension, DriverName, HardwareDatabase, FastIoDispatch, DriverInit, DriverStartIo, DriverUnload, MajorFunction }
        DRIVER_EXTENSION { DriverObject, AddDevice, Count, ServiceKeyName }
        FILE_OBJECT { Type, Size, DeviceObject, Vpb, FsContext, FsContext2, SectionObjectPointer, PrivateCacheMap, FinalStatus, RelatedFileObject, LockOperation, DeletePending, ReadAccess, WriteAccess, DeleteAccess, SharedRead, SharedWrite, SharedDelete, Flags, FileName, CurrentByteOffset, Waiters, Busy, LastLock, Lock, Event, CompletionContext, IrpListLock, IrpList, FileObjectExtension }
        KDEVICE_QUEUE { Type, Size, DeviceListHead, Lock, Busy }
        WAIT_CONTEXT_BLOCK { WaitQueueEntry, DeviceRoutine, DeviceContext, NumberOfMapRegisters, DeviceObject, CurrentIrp, BufferChainingDpc }
        IO_SECURITY_CONTEXT { SecurityQos, AccessState, DesiredAccess, FullCreateOptions }
        IO_CSQ { Type, CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp, ReservePointer }
        IO_CSQ_IRP_CONTEXT { Type, Irp, Csq }
        OBJECT_HANDLE_INFORMATION { HandleAttributes, GrantedAccess }
        CLIENT_ID { UniqueProcess, UniqueThread }
        RTL_OSVERSIONINFOEXW { dwOSVersionInfoSize, dwMajorVersion, dwMinorVersion, dwBuildNumber, dwPlatformId, szCSDVersion, wServicePackMajor, wServicePackMinor, wSuiteMask, wProductType, wReserved }
        RTL_BITMAP { SizeOfBitMap, Buffer }
        TIME_FIELDS { Year, Month, Day, Hour, Minute, Second, Milliseconds, Weekday }
        RTL_AVL_TABLE { BalancedRoot, OrderedPointer, WhichOrderedElement, NumberGenericTableElements, DepthOfTree, RestartKey, DeleteCount, CompareRoutine, AllocateRoutine, FreeRoutine, TableContext }
        RTL_BALANCED_LINKS { Parent, LeftChild, RightChild, Balance, Reserved }
        RTL_DYNAMIC_HASH_TABLE { Flags, Shift, TableSize, Pivot, DivisorMask, NumEntries, NonEmptyBuckets, NumEnumerators, Directory }
        RTL_DYNAMIC_HASH_TABLE_ENTRY { Linkage, Signature }
        RTL_DYNAMIC_HASH_TABLE_ENUMERATOR { HashEntry, ChainHead, BucketIndex }
        SECURITY_DESCRIPTOR { Revision, Sbz1, Control, Owner, Group, Sacl, Dacl }
        SECURITY_SUBJECT_CONTEXT { ClientToken, ImpersonationLevel, PrimaryToken, ProcessAuditId }
        RTL_QUERY_REGISTRY_TABLE { QueryRoutine, Flags, Name, EntryContext, DefaultType, DefaultData, DefaultLength }
    }
}

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}

#[test]
fn every_field_lies_where_the_data_says() {
    let data = include_str!("../../wsk-abi/tests/data/layouts.json");
    let types: Vec<Value> = serde_json::from_str(data).expect("layouts.json is a list");
    let types: BTreeMap<&str, &Value> = types.iter().filter_map(|ty| Some((ty["type"].as_str()?, ty))).collect();
    let mut faults = Vec::new();
    for ours in checked() {
        let theirs = types[ours.name];
        if (ours.size, ours.align) != (number(theirs, "size"), number(theirs, "align")) {
            faults.push(format!("{}: size {}, align {}; expected {theirs}", ours.name, ours.size, ours.align));
        }
        let overlaid = OVERLAID.iter().find(|(name, _)| *name == ours.name).map_or(&[][..], |(_, fields)| fields);
        for field in theirs["fields"].as_array().map_or(&[][..], Vec::as_slice) {
            let name = field["name"].as_str().unwrap_or_default();
            match ours.fields.iter().find(|ours| ours.name == name) {
                Some(found) if (found.offset, found.size) != (number(field, "offset"), number(field, "size")) => {
                    faults.push(format!(
                        "{}.{name}: offset {}, size {}; expected {field}",
                        ours.name, found.offset, found.size
                    ));
                }
                None if !overlaid.contains(&name) && !name.contains('.') => {
                    faults.push(format!("{}.{name} is missing", ours.name))
                }
                _ => {}
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}
