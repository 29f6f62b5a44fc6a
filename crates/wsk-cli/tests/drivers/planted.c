/*
 * planted.c: drivers with a mistake each, chosen by a macro, to see that the mistake is reported.
 */
#include "common.h"

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

#if defined(NULL_DEREFERENCE)
static __attribute__((noinline)) int ReadThrough(volatile int *Pointer)
{
    return *Pointer;
}

static __attribute__((noinline)) int Middle(volatile int *Pointer)
{
    return ReadThrough(Pointer) + 1;
}
#endif

#if defined(THREAD_LEFT)
static void NTAPI Forever(PVOID Context)
{
    KEVENT never;

    (void)Context;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, NULL);
}
#endif

#if defined(HANDLE_LEAK)
static void NTAPI Nothing(PVOID Context)
{
    (void)Context;
}
#endif

#if defined(TIMER_LEFT)
static void NTAPI TimerRoutine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    (void)Dpc;
    (void)Context;
    (void)Argument1;
    (void)Argument2;
}
#endif

#if defined(COMPLETED_TWICE)
static NTSTATUS NTAPI Keep(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    (void)Context;
    return STATUS_MORE_PROCESSING_REQUIRED;
}
#endif

#if defined(ACCEPT_LEFT)
static NTSTATUS NTAPI AcceptCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Context;
    DbgPrint("the accept ends with 0x%08x\n", Irp->IoStatus.Status);
    IoFreeIrp(Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}
#endif

#if defined(INDICATION_LEAK)
static KEVENT Kept;

static NTSTATUS WSKAPI KeepEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)SocketContext;
    (void)Flags;
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    KeSetEvent(&Kept, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING; /* and never released */
}

static const WSK_CLIENT_DATAGRAM_DISPATCH KeepDispatch = {KeepEvent};
#endif

#if defined(STUCK_IN_CALLBACK)
static KEVENT Entered, Never;

static NTSTATUS WSKAPI StuckEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)SocketContext;
    (void)Flags;
    (void)DataIndication;
    KeSetEvent(&Entered, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Stuck = {StuckEvent};
#endif

#if defined(WAIT_IN_CALLBACK)
static REQUEST Inner;

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    LARGE_INTEGER soon = {.QuadPart = -10000};
    KEVENT never;

    (void)SocketContext;
    (void)Flags;
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &soon);
    KeSetEvent(&Inner.Done, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Dispatch = {ReceiveFromEvent};
#endif

static __attribute__((noinline)) void MakeMistake(void)
{
#if defined(POOL_LEAK)
    volatile PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 123, 'kaeL');
    (void)block;
#elif defined(IRP_LEAK)
    volatile PIRP irp = IoAllocateIrp(2, FALSE);
    (void)irp;
#elif defined(MDL_LEAK)
    static UCHAR bytes[100];
    volatile PMDL mdl = IoAllocateMdl(bytes, sizeof bytes, FALSE, FALSE, NULL);
    (void)mdl;
#elif defined(USE_AFTER_FREE)
    volatile PUCHAR block = ExAllocatePoolWithTag(NonPagedPoolNx, 200, 'eerF');
    ExFreePoolWithTag((PVOID)block, 'eerF');
    block[10] = 1;
#elif defined(DOUBLE_FREE)
    PUCHAR block = ExAllocatePoolWithTag(NonPagedPoolNx, 200, 'lbuD');
    ExFreePoolWithTag(block, 'lbuD');
    ExFreePoolWithTag(block, 'lbuD');
#elif defined(OVERRUN)
    volatile PUCHAR block = ExAllocatePoolWithTag(NonPagedPoolNx, 4096, 'revO');
    block[4096] = 1;
    ExFreePoolWithTag((PVOID)block, 'revO');
#elif defined(NULL_DEREFERENCE)
    DbgPrint("%d\n", Middle(NULL));
#elif defined(WRONG_IRQL)
    LARGE_INTEGER soon = {.QuadPart = -10};
    KEVENT never;
    KIRQL irql;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &soon);
    KeLowerIrql(irql);
#elif defined(IRP_FREED_TWICE)
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp(irp);
    IoFreeIrp(irp);
#elif defined(COMPLETED_TWICE)
    PIRP irp = IoAllocateIrp(1, FALSE);
    IoSetCompletionRoutine(irp, Keep, NULL, TRUE, TRUE, TRUE);
    IoSetNextIrpStackLocation(irp);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoFreeIrp(irp);
#elif defined(IRP_TOUCHED)
    volatile IRP *irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp((PIRP)irp);
    irp->IoStatus.Status = STATUS_SUCCESS;
#elif defined(HANDLE_LEAK)
    HANDLE thread;
    PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Nothing, NULL);
#elif defined(THREAD_LEFT)
    HANDLE thread;
    PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Forever, NULL);
    ZwClose(thread);
#elif defined(TIMER_LEFT)
    static KTIMER timer;
    static KDPC dpc;
    LARGE_INTEGER later;
    later.QuadPart = -10000000LL * 3600;
    KeInitializeDpc(&dpc, TimerRoutine, NULL);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, later, &dpc);
#elif defined(INDICATION_LEAK)
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch;
    SOCKADDR_IN address = {AF_INET};
    WSK_BUF nothing = {NULL, 0, 0};
    PWSK_SOCKET socket;
    REQUEST request;
    address.sin_addr.S_un.S_addr = 0x0100007f;
    KeInitializeEvent(&Kept, NotificationEvent, FALSE);
    if (!NT_SUCCESS(Attach()) || !RequestCreate(&request) ||
        !NT_SUCCESS(
            SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &KeepDispatch, &socket)))
        return;
    dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)socket->Dispatch;
    RequestWait(&request, dispatch->WskBind(socket, (PSOCKADDR)&address, 0, RequestIrp(&request)));
    RequestWait(&request, dispatch->WskGetLocalAddress(socket, (PSOCKADDR)&address, RequestIrp(&request)));
    SocketEvents(socket, WSK_EVENT_RECEIVE_FROM);
    RequestWait(&request, dispatch->WskSendTo(socket, &nothing, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&request)));
    KeWaitForSingleObject(&Kept, Executive, KernelMode, FALSE, NULL);
    SocketClose(socket);
    RequestFree(&request);
    Detach();
#elif defined(SOCKET_LEAK)
    PWSK_SOCKET socket;
    if (NT_SUCCESS(Attach()))
        SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &socket);
#elif defined(ACCEPT_LEFT)
    PWSK_SOCKET socket;
    if (NT_SUCCESS(Attach()) &&
        NT_SUCCESS(SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &socket)) &&
        NT_SUCCESS(BindEverywhere(socket, 0))) {
        PIRP irp = IoAllocateIrp(1, FALSE);
        IoSetCompletionRoutine(irp, AcceptCompleted, NULL, TRUE, TRUE, TRUE);
        ((const WSK_PROVIDER_LISTEN_DISPATCH *)socket->Dispatch)->WskAccept(socket, 0, NULL, NULL, NULL, NULL, irp);
    }
#elif defined(CLOSED_SOCKET)
    PWSK_SOCKET socket;
    if (NT_SUCCESS(Attach()) &&
        NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &socket))) {
        const WSK_PROVIDER_BASIC_DISPATCH *dispatch = (const WSK_PROVIDER_BASIC_DISPATCH *)socket->Dispatch;
        REQUEST request;
        SocketClose(socket);
        RequestCreate(&request);
        RequestWait(&request, dispatch->WskCloseSocket(socket, RequestIrp(&request)));
        RequestFree(&request);
        Detach();
    }
#elif defined(STUCK_IN_CALLBACK)
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch;
    SOCKADDR_IN address = {AF_INET};
    WSK_BUF nothing = {NULL, 0, 0};
    PWSK_SOCKET socket;
    REQUEST request;
    KeInitializeEvent(&Entered, NotificationEvent, FALSE);
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    address.sin_addr.S_un.S_addr = 0x0100007f;
    if (!NT_SUCCESS(Attach()) || !RequestCreate(&request) ||
        !NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &Stuck, &socket)))
        return;
    dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)socket->Dispatch;
    RequestWait(&request, dispatch->WskBind(socket, (PSOCKADDR)&address, 0, RequestIrp(&request)));
    RequestWait(&request, dispatch->WskGetLocalAddress(socket, (PSOCKADDR)&address, RequestIrp(&request)));
    SocketEvents(socket, WSK_EVENT_RECEIVE_FROM);
    RequestWait(&request, dispatch->WskSendTo(socket, &nothing, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&request)));
    KeWaitForSingleObject(&Entered, Executive, KernelMode, FALSE, NULL);
    RequestFree(&request);
#elif defined(WAIT_IN_CALLBACK)
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch;
    SOCKADDR_IN address = {AF_INET};
    WSK_BUF nothing = {NULL, 0, 0};
    PWSK_SOCKET socket;
    REQUEST request;
    address.sin_addr.S_un.S_addr = 0x0100007f;
    if (!NT_SUCCESS(Attach()) || !RequestCreate(&request) || !RequestCreate(&Inner) ||
        !NT_SUCCESS(
            SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &Dispatch, &socket)))
        return;
    dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)socket->Dispatch;
    RequestWait(&request, dispatch->WskBind(socket, (PSOCKADDR)&address, 0, RequestIrp(&request)));
    RequestWait(&request, dispatch->WskGetLocalAddress(socket, (PSOCKADDR)&address, RequestIrp(&request)));
    SocketEvents(socket, WSK_EVENT_RECEIVE_FROM);
    RequestWait(&request, dispatch->WskSendTo(socket, &nothing, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&request)));
    KeWaitForSingleObject(&Inner.Done, Executive, KernelMode, FALSE, NULL);
    SocketClose(socket);
    RequestFree(&request);
    RequestFree(&Inner);
    Detach();
#endif
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    MakeMistake();
#if defined(REFUSE)
    return STATUS_DEVICE_NOT_READY;
#else
    return STATUS_SUCCESS;
#endif
}
