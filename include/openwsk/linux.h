/*
 * openwsk/linux.h: the kernel interface for C programs on Linux that link against the provider (libopenwsk.so): as much of
 * ntddk.h as a client of the Winsock Kernel needs. Calls go through the same tables as a driver's, with the Windows calling
 * convention. WCHAR is 16 bits: write u"text".
 */
#ifndef OPENWSK_LINUX_H
#define OPENWSK_LINUX_H

#if !defined(__x86_64__)
#error "the interface is one of x86-64"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <openwsk/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NTAPI       __attribute__((ms_abi))
#define FORCEINLINE static inline __attribute__((always_inline))
#define CONST       const
#define VOID        void
#define IN
#define OUT
#define TRUE        1
#define FALSE       0
#define UNREFERENCED_PARAMETER(P) ((void)(P))
#define CONTAINING_RECORD(Address, Type, Field) ((Type *)((char *)(Address) - offsetof(Type, Field)))

/* Windows' numbers: long has 32 bits. */
typedef void *PVOID, *HANDLE;
typedef char CHAR, *PCHAR, *PSTR;
typedef const char *PCSTR;
typedef unsigned char UCHAR, *PUCHAR, BOOLEAN, KIRQL;
typedef int16_t SHORT, CSHORT;
typedef uint16_t USHORT, *PUSHORT;
typedef int32_t INT, LONG, NTSTATUS, KPRIORITY;
typedef uint32_t UINT, ULONG, *PULONG;
typedef int64_t LONGLONG, LONG64;
typedef uint64_t ULONGLONG, ULONG64;
typedef uintptr_t ULONG_PTR, SIZE_T, KSPIN_LOCK;
typedef intptr_t LONG_PTR;
#if defined(__cplusplus)
typedef char16_t WCHAR;
#else
typedef __CHAR16_TYPE__ WCHAR;
#endif
typedef WCHAR *PWSTR;
typedef const WCHAR *PCWSTR;
typedef CHAR CCHAR, KPROCESSOR_MODE;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID;

typedef struct _LUID {
    ULONG LowPart;
    LONG HighPart;
} LUID;

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING, *PUNICODE_STRING;

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER;

typedef struct in_addr {
    union {
        struct {
            UCHAR s_b1, s_b2, s_b3, s_b4;
        } S_un_b;
        struct {
            USHORT s_w1, s_w2;
        } S_un_w;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR;

typedef struct in6_addr {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR;

/* Statuses. */
#define NT_SUCCESS(Status)              ((NTSTATUS)(Status) >= 0)
#define STATUS_SUCCESS                  ((NTSTATUS)0x00000000)
#define STATUS_TIMEOUT                  ((NTSTATUS)0x00000102)
#define STATUS_PENDING                  ((NTSTATUS)0x00000103)
#define STATUS_EVENT_PENDING            ((NTSTATUS)0x40000013)
#define STATUS_BUFFER_OVERFLOW          ((NTSTATUS)0x80000005)
#define STATUS_UNSUCCESSFUL             ((NTSTATUS)0xC0000001)
#define STATUS_NOT_IMPLEMENTED          ((NTSTATUS)0xC0000002)
#define STATUS_INVALID_HANDLE           ((NTSTATUS)0xC0000008)
#define STATUS_INVALID_PARAMETER        ((NTSTATUS)0xC000000D)
#define STATUS_INVALID_DEVICE_REQUEST   ((NTSTATUS)0xC0000010)
#define STATUS_MORE_PROCESSING_REQUIRED ((NTSTATUS)0xC0000016)
#define STATUS_ACCESS_DENIED            ((NTSTATUS)0xC0000022)
#define STATUS_INSUFFICIENT_RESOURCES   ((NTSTATUS)0xC000009A)
#define STATUS_DEVICE_NOT_READY         ((NTSTATUS)0xC00000A3)
#define STATUS_IO_TIMEOUT               ((NTSTATUS)0xC00000B5)
#define STATUS_FILE_FORCED_CLOSED       ((NTSTATUS)0xC00000B6)
#define STATUS_NOT_SUPPORTED            ((NTSTATUS)0xC00000BB)
#define STATUS_REQUEST_NOT_ACCEPTED     ((NTSTATUS)0xC00000D0)
#define STATUS_CANCELLED                ((NTSTATUS)0xC0000120)
#define STATUS_INVALID_DEVICE_STATE     ((NTSTATUS)0xC0000184)
#define STATUS_ADDRESS_ALREADY_EXISTS   ((NTSTATUS)0xC000020A)
#define STATUS_CONNECTION_RESET         ((NTSTATUS)0xC000020D)
#define STATUS_DATA_NOT_ACCEPTED        ((NTSTATUS)0xC000021B)
#define STATUS_NOT_FOUND                ((NTSTATUS)0xC0000225)
#define STATUS_CONNECTION_REFUSED       ((NTSTATUS)0xC0000236)
#define STATUS_CONNECTION_ABORTED       ((NTSTATUS)0xC0000241)
#define STATUS_NOINTERFACE              ((NTSTATUS)0xC00002B9)

/* Events. */
typedef struct _DISPATCHER_HEADER {
    UCHAR Type;
    UCHAR Signalling;
    UCHAR Size;
    UCHAR Reserved1;
    LONG SignalState;
    LIST_ENTRY WaitListHead;
} DISPATCHER_HEADER;

typedef struct _KEVENT {
    DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT;

typedef enum _EVENT_TYPE {
    NotificationEvent,
    SynchronizationEvent
} EVENT_TYPE;
typedef enum _KWAIT_REASON {
    Executive
} KWAIT_REASON;
enum {
    KernelMode,
    UserMode
};
#define IO_NO_INCREMENT 0

OPENWSK_IMPORT NTAPI VOID KeInitializeEvent(PKEVENT Event, EVENT_TYPE Type, BOOLEAN State);
OPENWSK_IMPORT NTAPI LONG KeSetEvent(PKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
OPENWSK_IMPORT NTAPI LONG KeResetEvent(PKEVENT Event);
OPENWSK_IMPORT NTAPI VOID KeClearEvent(PKEVENT Event);
OPENWSK_IMPORT NTAPI LONG KeReadStateEvent(PKEVENT Event);
OPENWSK_IMPORT NTAPI NTSTATUS KeWaitForSingleObject(
    PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout);

/* Memory. */
struct _IRP;
typedef struct _MDL {
    struct _MDL *Next;
    CSHORT Size;
    CSHORT MdlFlags;
    PVOID Process;
    PVOID MappedSystemVa;
    PVOID StartVa;
    ULONG ByteCount;
    ULONG ByteOffset;
} MDL, *PMDL;

OPENWSK_IMPORT NTAPI PMDL
IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota, struct _IRP *Irp);
OPENWSK_IMPORT NTAPI VOID IoFreeMdl(PMDL Mdl);
OPENWSK_IMPORT NTAPI VOID MmBuildMdlForNonPagedPool(PMDL Mdl);
/* Memory of a process is all nonpaged here, and mapped from the start. */
#define MmGetSystemAddressForMdlSafe(Mdl, Priority) ((Mdl)->MappedSystemVa)
#define MmGetMdlByteCount(Mdl)                      ((Mdl)->ByteCount)

/* I/O request packets. */
typedef struct _IO_STATUS_BLOCK {
    union {
        NTSTATUS Status;
        PVOID Pointer;
    };
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

typedef struct _DEVICE_OBJECT *PDEVICE_OBJECT;
typedef struct _EPROCESS *PEPROCESS;
typedef struct _ETHREAD *PETHREAD;
typedef PVOID PSECURITY_DESCRIPTOR;
typedef struct _IRP IRP, *PIRP;
typedef NTSTATUS (NTAPI IO_COMPLETION_ROUTINE)(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context);
typedef IO_COMPLETION_ROUTINE *PIO_COMPLETION_ROUTINE;

typedef struct _IO_STACK_LOCATION {
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    UCHAR Flags;
    UCHAR Control;
    ULONG_PTR Parameters[4];
    PDEVICE_OBJECT DeviceObject;
    PVOID FileObject;
    PIO_COMPLETION_ROUTINE CompletionRoutine;
    PVOID Context;
} IO_STACK_LOCATION, *PIO_STACK_LOCATION;

struct __attribute__((aligned(16))) _IRP {
    CSHORT Type;
    USHORT Size;
    PMDL MdlAddress;
    ULONG Flags;
    union {
        PIRP MasterIrp;
        LONG IrpCount;
        PVOID SystemBuffer;
    } AssociatedIrp;
    LIST_ENTRY ThreadListEntry;
    IO_STATUS_BLOCK IoStatus;
    KPROCESSOR_MODE RequestorMode;
    BOOLEAN PendingReturned;
    CHAR StackCount;
    CHAR CurrentLocation;
    BOOLEAN Cancel;
    KIRQL CancelIrql;
    CCHAR ApcEnvironment;
    UCHAR AllocationFlags;
    PIO_STATUS_BLOCK UserIosb;
    PKEVENT UserEvent;
    union {
        struct {
            PVOID UserApcRoutine;
            PVOID UserApcContext;
        } AsynchronousParameters;
        LARGE_INTEGER AllocationSize;
    } Overlay;
    PVOID CancelRoutine;
    PVOID UserBuffer;
    union {
        struct {
            union {
                UCHAR DeviceQueueEntry[24];
                PVOID DriverContext[4];
            };
            PETHREAD Thread;
            PCHAR AuxiliaryBuffer;
            LIST_ENTRY ListEntry;
            union {
                PIO_STACK_LOCATION CurrentStackLocation;
                ULONG PacketType;
            };
            PVOID OriginalFileObject;
        } Overlay;
        UCHAR Apc[88];
        PVOID CompletionKey;
    } Tail;
};

#define SL_INVOKE_ON_CANCEL  0x20
#define SL_INVOKE_ON_SUCCESS 0x40
#define SL_INVOKE_ON_ERROR   0x80

OPENWSK_IMPORT NTAPI PIRP IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota);
OPENWSK_IMPORT NTAPI VOID IoFreeIrp(PIRP Irp);
OPENWSK_IMPORT NTAPI VOID IoReuseIrp(PIRP Irp, NTSTATUS Status);
OPENWSK_IMPORT NTAPI BOOLEAN IoCancelIrp(PIRP Irp);

FORCEINLINE VOID IoSetCompletionRoutine(
    PIRP Irp, PIO_COMPLETION_ROUTINE Routine, PVOID Context, BOOLEAN OnSuccess, BOOLEAN OnError, BOOLEAN OnCancel)
{
    PIO_STACK_LOCATION next = Irp->Tail.Overlay.CurrentStackLocation - 1;

    next->CompletionRoutine = Routine;
    next->Context = Context;
    next->Control = (UCHAR)((OnSuccess ? SL_INVOKE_ON_SUCCESS : 0) | (OnError ? SL_INVOKE_ON_ERROR : 0) |
                            (OnCancel ? SL_INVOKE_ON_CANCEL : 0));
}

#ifdef __cplusplus
}
#endif

#endif /* OPENWSK_LINUX_H */
