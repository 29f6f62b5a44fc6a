/*
 * irps.c: IRPs of every origin, and whose memory is whose when (functions.md 2): what a function copies, what it returns, what
 * it writes and when it stops writing.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

#define LISTEN(Socket)     ((const WSK_PROVIDER_LISTEN_DISPATCH *)(Socket)->Dispatch)
#define CONNECTION(Socket) ((const WSK_PROVIDER_CONNECTION_DISPATCH *)(Socket)->Dispatch)
#define DATAGRAM(Socket)   ((const WSK_PROVIDER_DATAGRAM_DISPATCH *)(Socket)->Dispatch)

static REQUEST Request;
static UCHAR Bytes[64], Room[64];
static PMDL BytesMdl, RoomMdl;

#define FRESH              RequestIrp(&Request)
#define INFORMATION        (Request.Irp->IoStatus.Information)
/* Pends, and has this end. */
#define PENDS(Wanted, Call)                                    \
    do {                                                       \
        NTSTATUS returned_ = (Call);                           \
        CHECK(returned_ == STATUS_PENDING);                    \
        CHECK(RequestWait(&Request, returned_) == (Wanted));   \
    } while (0)
/* Ends in the call. */
#define AT_ONCE(Wanted, Call)                                  \
    do {                                                       \
        CHECK((Call) == (Wanted));                             \
        CHECK(Request.Irp->IoStatus.Status == (Wanted));       \
    } while (0)

static SOCKADDR_IN Loopback(void)
{
    SOCKADDR_IN address = {AF_INET};

    address.sin_addr.S_un.S_addr = 0x0100007f;
    return address;
}

static PWSK_SOCKET Datagram(SOCKADDR_IN *Address)
{
    PWSK_SOCKET socket;

    *Address = Loopback();
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    PENDS(STATUS_SUCCESS, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)Address, 0, FRESH));
    PENDS(STATUS_SUCCESS, DATAGRAM(socket)->WskGetLocalAddress(socket, (PSOCKADDR)Address, FRESH));
    return socket;
}

/* ---- what is returned ---- */

/* F-49, F-52: PENDING though all of it is decided at once; control functions are done when they return. */
static void TestReturns(void)
{
    const WSK_PROVIDER_DISPATCH *d = Provider.Dispatch;
    PWSK_SOCKET listener, odd, socket, accepted;
    SOCKADDR_IN there = Loopback(), any = {AF_INET};
    WSK_BUF data = {BytesMdl, 0, 10}, space = {RoomMdl, 0, sizeof Room};
    UNICODE_STRING node = RTL_CONSTANT_STRING(L"127.0.0.1");
    PADDRINFOEXW found = NULL;

    PENDS(STATUS_SUCCESS,
        d->WskSocket(Provider.Client, AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, NULL, NULL, NULL, FRESH));
    listener = (PWSK_SOCKET)INFORMATION;
    AT_ONCE(STATUS_SUCCESS,
        LISTEN(listener)->Basic.WskControlSocket(
            listener, WskSetOption, SO_CONDITIONAL_ACCEPT, SOL_SOCKET, sizeof(ULONG), &(ULONG){0}, 0, NULL, NULL, FRESH));
    CHECK(!Request.Irp->PendingReturned);
    PENDS(STATUS_SUCCESS, LISTEN(listener)->WskBind(listener, (PSOCKADDR)&there, 0, FRESH));
    PENDS(STATUS_SUCCESS, LISTEN(listener)->WskGetLocalAddress(listener, (PSOCKADDR)&there, FRESH));
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_CONNECTION_SOCKET, NULL, NULL, &odd)));
    PENDS(STATUS_NOT_IMPLEMENTED, CONNECTION(odd)->WskBind(odd, (PSOCKADDR)&any, 0, FRESH)); /* F-90 */
    SocketClose(odd);
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, NULL, NULL, &socket)));
    AT_ONCE(STATUS_INVALID_DEVICE_STATE, CONNECTION(socket)->WskConnect(socket, (PSOCKADDR)&there, 0, FRESH));
    PENDS(STATUS_SUCCESS, CONNECTION(socket)->WskBind(socket, (PSOCKADDR)&any, 0, FRESH));
    PENDS(STATUS_SUCCESS, CONNECTION(socket)->WskConnect(socket, (PSOCKADDR)&there, 0, FRESH));
    PENDS(STATUS_SUCCESS, LISTEN(listener)->WskAccept(listener, 0, NULL, NULL, NULL, NULL, FRESH));
    accepted = (PWSK_SOCKET)INFORMATION;
    PENDS(STATUS_SUCCESS, CONNECTION(socket)->WskSend(socket, &data, 0, FRESH));
    PENDS(STATUS_SUCCESS, CONNECTION(accepted)->WskReceive(accepted, &space, 0, FRESH));
    PENDS(STATUS_SUCCESS,
        d->WskGetAddressInfo(Provider.Client, &node, NULL, NS_ALL, NULL, NULL, &found, NULL, NULL, FRESH));
    d->WskFreeAddressInfo(Provider.Client, found);
    PENDS(STATUS_SUCCESS, CONNECTION(accepted)->Basic.WskCloseSocket(accepted, FRESH));
    SocketClose(socket);
    SocketClose(listener);
}

/* ---- IRPs of other origins ---- */

typedef struct {
    LONG Calls, Pending;
    KEVENT Ran;
} SEEN;

static NTSTATUS NTAPI KeepIt(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    SEEN *seen = (SEEN *)Context;

    (void)DeviceObject;
    seen->Pending = Irp->PendingReturned;
    InterlockedIncrement(&seen->Calls);
    KeSetEvent(&seen->Ran, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The routine of a driver that passed the request down: it goes on upwards. */
static NTSTATUS NTAPI PassItOn(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    InterlockedIncrement((LONG *)Context);
    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI FreeIt(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    IoFreeIrp(Irp);
    KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void Await(PKEVENT Event)
{
    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
}

/* F-40, F-42, F-43 */
static void TestOrigins(void)
{
    static union {
        IRP Irp;
        UCHAR Room[512];
    } embedded __attribute__((aligned(MEMORY_ALLOCATION_ALIGNMENT))); /* as WDK's own type is */
    SEEN seen = {0};
    LONG passed = 0;
    SOCKADDR_IN address;
    PWSK_SOCKET socket = Datagram(&address);
    PIRP irp;

    KeInitializeEvent(&seen.Ran, SynchronizationEvent, FALSE);
    /* In the client's own memory. */
    CHECK(IoSizeOfIrp(1) <= sizeof embedded);
    IoInitializeIrp(&embedded.Irp, IoSizeOfIrp(1), 1);
    IoSetCompletionRoutine(&embedded.Irp, KeepIt, &seen, TRUE, TRUE, TRUE);
    CHECK(DATAGRAM(socket)->WskGetLocalAddress(socket, (PSOCKADDR)&address, &embedded.Irp) == STATUS_PENDING);
    Await(&seen.Ran);
    CHECK(seen.Calls == 1 && seen.Pending && NT_SUCCESS(embedded.Irp.IoStatus.Status));

    /* From above, for the driver that owns the middle location. Its routine wants successes only. */
    irp = IoAllocateIrp(2, FALSE);
    for (int fails = 0; fails < 2; fails++) {
        NTSTATUS returned;

        IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
        IoSetCompletionRoutine(irp, KeepIt, &seen, TRUE, TRUE, TRUE);
        IoSetNextIrpStackLocation(irp);
        IoSetCompletionRoutine(irp, PassItOn, &passed, TRUE, FALSE, FALSE);
        returned = DATAGRAM(socket)->WskGetLocalAddress(socket, fails ? NULL : (PSOCKADDR)&address, irp);
        CHECK(returned == (fails ? STATUS_INVALID_PARAMETER : STATUS_PENDING));
        Await(&seen.Ran);
        CHECK(seen.Calls == 2 + fails && passed == 1 && irp->IoStatus.Status == (fails ? returned : STATUS_SUCCESS));
        CHECK(seen.Pending == !fails);
    }
    IoFreeIrp(irp);

    /* Gone when its routine returns. */
    for (int i = 0; i < 20; i++) {
        NTSTATUS returned;

        irp = IoAllocateIrp(1, FALSE);
        IoSetCompletionRoutine(irp, FreeIt, &seen.Ran, TRUE, TRUE, TRUE);
        returned = DATAGRAM(socket)->WskGetLocalAddress(socket, i % 2 == 0 ? NULL : (PSOCKADDR)&address, irp);
        CHECK(returned == (i % 2 == 0 ? STATUS_INVALID_PARAMETER : STATUS_PENDING));
        Await(&seen.Ran);
    }
    SocketClose(socket);
}

/* Cancelled before it is given to a function: nothing is started (F-67). */
static void TestCancelledBefore(void)
{
    SOCKADDR_IN address = Loopback();
    PWSK_SOCKET socket;
    PIRP irp;

    irp = FRESH;
    IoCancelIrp(irp);
    RequestWait(&Request,
        Provider.Dispatch->WskSocket(
            Provider.Client, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, NULL, NULL, NULL, irp));
    CHECK(irp->IoStatus.Status == STATUS_CANCELLED && irp->IoStatus.Information == 0);
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    irp = FRESH;
    IoCancelIrp(irp);
    RequestWait(&Request, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)&address, 0, irp));
    CHECK(irp->IoStatus.Status == STATUS_CANCELLED);
    /* It is not bound. */
    AT_ONCE(STATUS_INVALID_DEVICE_STATE, DATAGRAM(socket)->WskGetLocalAddress(socket, (PSOCKADDR)&address, FRESH));
    SocketClose(socket);
}

/* ---- memory ---- */

/* Structures on the stack serve for the call only (F-70, F-72, F-74, F-75, C-15). */
static void TestCopies(void)
{
    SOCKADDR_IN here, there, to, from;
    PWSK_SOCKET one = Datagram(&here), two = Datagram(&there);
    WSK_BUF data = {BytesMdl, 3, 20}, space = {RoomMdl, 1, 40};
    WSK_BUF_LIST second = {NULL, {BytesMdl, 0, 2}}, first = {&second, {BytesMdl, 0, 1}};
    WCHAR node[] = L"127.0.0.1", service[] = L"7";
    UNICODE_STRING name = {18, 18, node}, port = {2, 2, service};
    ADDRINFOEXW hints = {0};
    PADDRINFOEXW found = NULL;
    REQUEST receive;
    NTSTATUS returned;

    CHECK(RequestCreate(&receive));
    RtlZeroMemory(Room, sizeof Room);
    returned = DATAGRAM(two)->WskReceiveFrom(two, &space, 0, (PSOCKADDR)&from, NULL, NULL, NULL, RequestIrp(&receive));
    RtlFillMemory(&space, sizeof space, 0xee);
    to = there;
    AT_ONCE(STATUS_SUCCESS,
        DATAGRAM(one)->Basic.WskControlSocket(
            one, WskIoctl, SIO_WSK_SET_SENDTO_ADDRESS, SOL_SOCKET, sizeof to, &to, 0, NULL, NULL, FRESH)); /* any Level: C-10 */
    RtlFillMemory(&to, sizeof to, 0xee);
    {
        NTSTATUS sent = DATAGRAM(one)->WskSendTo(one, &data, 0, NULL, 0, NULL, FRESH);

        RtlFillMemory(&data, sizeof data, 0xee);
        CHECK(RequestWait(&Request, sent) == STATUS_SUCCESS && INFORMATION == 20);
    }
    CHECK(RequestWait(&receive, returned) == STATUS_SUCCESS && receive.Irp->IoStatus.Information == 20);
    CHECK(Room[0] == 0 && RtlCompareMemory(Room + 1, Bytes + 3, 20) == 20 && Room[21] == 0);
    CHECK(from.sin_port == here.sin_port);

    to = there;
    returned = DATAGRAM(one)->WskSendMessages(one, &first, 0, (PSOCKADDR)&to, 0, NULL, FRESH);
    RtlFillMemory(&first, sizeof first, 0xee);
    RtlFillMemory(&second, sizeof second, 0xee);
    RtlFillMemory(&to, sizeof to, 0xee);
    CHECK(RequestWait(&Request, returned) == STATUS_SUCCESS && INFORMATION == 3);

    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    returned = Provider.Dispatch->WskGetAddressInfo(
        Provider.Client, &name, &port, NS_ALL, NULL, &hints, &found, NULL, NULL, FRESH);
    RtlFillMemory(node, sizeof node, 0xee);
    RtlFillMemory(service, sizeof service, 0xee);
    RtlFillMemory(&name, sizeof name, 0xee);
    RtlFillMemory(&port, sizeof port, 0xee);
    RtlFillMemory(&hints, sizeof hints, 0xee);
    CHECK(RequestWait(&Request, returned) == STATUS_SUCCESS && found != NULL);
    if (found != NULL) {
        CHECK(((PSOCKADDR_IN)found->ai_addr)->sin_port == 0x0700);
        CHECK(((PSOCKADDR_IN)found->ai_addr)->sin_addr.S_un.S_addr == 0x0100007f);
        Provider.Dispatch->WskFreeAddressInfo(Provider.Client, found);
    }
    RequestFree(&receive);
    SocketClose(one);
    SocketClose(two);
}

/* Variables for results are written before the end, if at all, and never after (F-76). */
static void TestResults(void)
{
    SOCKADDR_IN here, there, from;
    PWSK_SOCKET one = Datagram(&here), two = Datagram(&there);
    WSK_BUF data = {BytesMdl, 0, 5}, space = {RoomMdl, 0, sizeof Room};
    ULONG length = 0xeeeeeeee, flags = 0xeeeeeeee;
    REQUEST receive;
    NTSTATUS returned;

    CHECK(RequestCreate(&receive));
    RtlFillMemory(&from, sizeof from, 0xee);
    RtlFillMemory(Room, sizeof Room, 0xee);
    length = 0;
    returned = DATAGRAM(two)->WskReceiveFrom(two, &space, 0, (PSOCKADDR)&from, &length, NULL, &flags, RequestIrp(&receive));
    IoCancelIrp(receive.Irp);
    CHECK(RequestWait(&receive, returned) == STATUS_CANCELLED);
    length = 0x12345678;
    PENDS(STATUS_SUCCESS, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&there, 0, NULL, FRESH));
    /* The next one takes it; the first is over. */
    PENDS(STATUS_SUCCESS, DATAGRAM(two)->WskReceiveFrom(two, &(WSK_BUF){RoomMdl, 32, 8}, 0, NULL, NULL, NULL, NULL, FRESH));
    CHECK(from.sin_family == 0xeeee && length == 0x12345678 && flags == 0xeeeeeeee);
    CHECK(Room[0] == 0xee && RtlCompareMemory(Room + 32, Bytes, 5) == 5 && Room[37] == 0xee);
    RequestFree(&receive);
    SocketClose(one);
    SocketClose(two);
}

/* ---- at DISPATCH_LEVEL ---- */

/* Begins at DISPATCH_LEVEL and waits at PASSIVE_LEVEL (F-6). */
#define RAISED(Wanted, Call)                                          \
    do {                                                              \
        KIRQL irql_;                                                  \
        NTSTATUS returned_;                                           \
        PIRP irp = FRESH;                                               \
        KeRaiseIrql(DISPATCH_LEVEL, &irql_);                          \
        returned_ = (Call);                                           \
        CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);                  \
        KeLowerIrql(irql_);                                           \
        CHECK(RequestWait(&Request, returned_) == (Wanted));          \
    } while (0)

static void TestRaised(void)
{
    const WSK_PROVIDER_DISPATCH *d = Provider.Dispatch;
    WSK_BUF data = {BytesMdl, 0, 10}, space = {RoomMdl, 0, sizeof Room};
    WSK_BUF_LIST list = {NULL, {BytesMdl, 0, 10}};
    SOCKADDR_IN here = Loopback(), there, any = {AF_INET};
    PWSK_SOCKET one, two, listener, socket, accepted;

    RAISED(STATUS_SUCCESS,
        d->WskSocket(Provider.Client, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, NULL, NULL, NULL, irp));
    one = (PWSK_SOCKET)INFORMATION;
    RAISED(STATUS_SUCCESS, DATAGRAM(one)->WskBind(one, (PSOCKADDR)&here, 0, irp));
    RAISED(STATUS_SUCCESS, DATAGRAM(one)->WskGetLocalAddress(one, (PSOCKADDR)&here, irp));
    RAISED(STATUS_SUCCESS,
        DATAGRAM(one)->Basic.WskControlSocket(
            one, WskSetOption, SO_BROADCAST, SOL_SOCKET, sizeof(ULONG), &(ULONG){1}, 0, NULL, NULL, irp));
    two = Datagram(&there);
    RAISED(STATUS_SUCCESS, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&there, 0, NULL, irp));
    RAISED(STATUS_SUCCESS, DATAGRAM(one)->WskSendMessages(one, &list, 0, (PSOCKADDR)&there, 0, NULL, irp));
    RAISED(STATUS_SUCCESS, DATAGRAM(two)->WskReceiveFrom(two, &space, 0, NULL, NULL, NULL, NULL, irp));
    CHECK(INFORMATION == 10);
    RAISED(STATUS_SUCCESS, DATAGRAM(one)->Basic.WskCloseSocket(one, irp));
    SocketClose(two);

    there = Loopback();
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &listener)));
    RAISED(STATUS_SUCCESS, LISTEN(listener)->WskBind(listener, (PSOCKADDR)&there, 0, irp));
    RAISED(STATUS_SUCCESS, LISTEN(listener)->WskGetLocalAddress(listener, (PSOCKADDR)&there, irp));
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, NULL, NULL, &socket)));
    RAISED(STATUS_SUCCESS, CONNECTION(socket)->WskBind(socket, (PSOCKADDR)&any, 0, irp));
    RAISED(STATUS_SUCCESS, CONNECTION(socket)->WskConnect(socket, (PSOCKADDR)&there, 0, irp));
    RAISED(STATUS_SUCCESS, LISTEN(listener)->WskAccept(listener, 0, NULL, NULL, NULL, NULL, irp));
    accepted = (PWSK_SOCKET)INFORMATION;
    RAISED(STATUS_SUCCESS, CONNECTION(socket)->WskGetRemoteAddress(socket, (PSOCKADDR)&any, irp));
    RAISED(STATUS_SUCCESS, CONNECTION(socket)->WskSend(socket, &data, 0, irp));
    RAISED(STATUS_SUCCESS, CONNECTION(accepted)->WskReceive(accepted, &space, 0, irp));
    RAISED(STATUS_SUCCESS, CONNECTION(accepted)->WskDisconnect(accepted, NULL, 0, irp));
    RAISED(STATUS_SUCCESS, CONNECTION(accepted)->Basic.WskCloseSocket(accepted, irp));
    SocketClose(socket);
    SocketClose(listener);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    for (ULONG i = 0; i < sizeof Bytes; i++)
        Bytes[i] = (UCHAR)(i + 1);
    BytesMdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(BytesMdl);
    RoomMdl = IoAllocateMdl(Room, sizeof Room, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(RoomMdl);
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    TestReturns();
    TestOrigins();
    TestCancelledBefore();
    TestCopies();
    TestResults();
    TestRaised();
    RequestFree(&Request);
    Detach();
    IoFreeMdl(BytesMdl);
    IoFreeMdl(RoomMdl);
    SayChecks();
    return STATUS_SUCCESS;
}
