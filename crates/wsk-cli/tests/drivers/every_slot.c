/*
 * every_slot.c: calls every registration function, every slot of every dispatch table, and has every event callback called,
 * against itself on the loopback address. For each IRP it checks that the completion routine saw PendingReturned exactly if
 * STATUS_PENDING was returned (F-46), and that it had run before any other return (F-47).
 *
 * DriverEntry prints a line for each check that fails, and at last `N checks, M failed`.
 */
#include <ntddk.h>
#include <wsk.h>
#include "check.h"

/* ---- IRPs ---- */

typedef struct _CALL {
    PIRP Irp;
    KEVENT Done;
    LONG Completions;
    BOOLEAN Pending;
} CALL;

static NTSTATUS NTAPI CallDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    CALL *call = (CALL *)Context;

    CHECK(DeviceObject == NULL); /* F-44 */
    call->Pending = Irp->PendingReturned;
    InterlockedIncrement(&call->Completions);
    KeSetEvent(&call->Done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static CALL Call, Other;

static PIRP Start(CALL *C)
{
    if (C->Irp == NULL) {
        C->Irp = IoAllocateIrp(1, FALSE);
        KeInitializeEvent(&C->Done, SynchronizationEvent, FALSE);
    }
    IoReuseIrp(C->Irp, STATUS_UNSUCCESSFUL);
    C->Completions = 0;
    IoSetCompletionRoutine(C->Irp, CallDone, C, TRUE, TRUE, TRUE);
    return C->Irp;
}

/* One completion, with the status that was returned (F-41, F-45, F-48); a thread may wait for it (M-3). */
static NTSTATUS FinishAt(CALL *C, NTSTATUS Returned, int Line)
{
    if (Returned != STATUS_PENDING) /* invariant B */
        CheckAt(C->Completions == 1, "the routine ran before the function returned", Line);
    KeWaitForSingleObject(&C->Done, Executive, KernelMode, FALSE, NULL);
    CheckAt(C->Completions == 1, "one completion", Line);
    CheckAt(C->Pending == (Returned == STATUS_PENDING), "PendingReturned if and only if PENDING", Line);
    if (Returned != STATUS_PENDING)
        CheckAt(C->Irp->IoStatus.Status == Returned, "the status is the one returned", Line);
    return C->Irp->IoStatus.Status;
}
#define FINISH(C, Returned) FinishAt(C, Returned, __LINE__)
#define RUN(Function, ...)  FINISH(&Call, Function(__VA_ARGS__, Start(&Call)))
#define INFORMATION         (Call.Irp->IoStatus.Information)

static void Await(KEVENT *Event)
{
    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
}

/* ---- tables ---- */

static WSK_REGISTRATION Registration;
static WSK_PROVIDER_NPI Npi;

#define BASIC(Socket)      ((const WSK_PROVIDER_BASIC_DISPATCH *)(Socket)->Dispatch)
#define LISTEN(Socket)     ((const WSK_PROVIDER_LISTEN_DISPATCH *)(Socket)->Dispatch)
#define DATAGRAM(Socket)   ((const WSK_PROVIDER_DATAGRAM_DISPATCH *)(Socket)->Dispatch)
#define CONNECTION(Socket) ((const WSK_PROVIDER_CONNECTION_DISPATCH *)(Socket)->Dispatch)
#define STREAM(Socket)     ((const WSK_PROVIDER_STREAM_DISPATCH *)(Socket)->Dispatch)

/* F-54, F-85 */
static PWSK_SOCKET Create(ADDRESS_FAMILY Family, USHORT Type, ULONG Protocol, ULONG Category, PVOID Context, const void *Dispatch)
{
    NTSTATUS status =
        RUN(Npi.Dispatch->WskSocket, Npi.Client, Family, Type, Protocol, Category, Context, Dispatch, NULL, NULL, NULL);

    CHECK(status == STATUS_SUCCESS);
    return status == STATUS_SUCCESS ? (PWSK_SOCKET)INFORMATION : NULL;
}

/* F-58 */
static void Close(PWSK_SOCKET Socket)
{
    CHECK(RUN(BASIC(Socket)->WskCloseSocket, Socket) == STATUS_SUCCESS);
    CHECK(INFORMATION == 0);
}

static NTSTATUS Option(PWSK_SOCKET Socket, ULONG Level, ULONG Code, ULONG Value)
{
    return RUN(BASIC(Socket)->WskControlSocket, Socket, WskSetOption, Code, Level, sizeof Value, &Value, 0, NULL, NULL);
}

static NTSTATUS Events(PWSK_SOCKET Socket, ULONG Mask)
{
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, Mask};

    return BASIC(Socket)->WskControlSocket(
        Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof control, &control, 0, NULL, NULL, NULL);
}

/* ---- memory ---- */

#define ROOM (256 * 1024)
static PUCHAR Out, In;
static PMDL OutMdl, InMdl;

static WSK_BUF Data(SIZE_T Length)
{
    WSK_BUF buffer = {OutMdl, 0, Length};
    return buffer;
}

static WSK_BUF Space(SIZE_T Length)
{
    WSK_BUF buffer = {InMdl, 0, Length};
    return buffer;
}

static BOOLEAN Same(SIZE_T Length)
{
    BOOLEAN same = RtlCompareMemory(Out, In, Length) == Length;
    RtlZeroMemory(In, ROOM);
    return same;
}

/* ---- addresses: the loopback one of the family under test ---- */

static ADDRESS_FAMILY Family;

typedef union {
    SOCKADDR Any;
    SOCKADDR_IN V4;
    SOCKADDR_IN6 V6;
} ADDRESS;

static ADDRESS Loopback(void)
{
    ADDRESS address;

    RtlZeroMemory(&address, sizeof address);
    address.Any.sa_family = Family;
    if (Family == AF_INET)
        address.V4.sin_addr.S_un.S_addr = 0x0100007f;
    else
        address.V6.sin6_addr.u.Byte[15] = 1;
    return address;
}

static ADDRESS Wildcard(void)
{
    ADDRESS address;

    RtlZeroMemory(&address, sizeof address);
    address.Any.sa_family = Family;
    return address;
}

/* ---- callbacks ---- */

static int Cookie;          /* its address is every socket's context */
static KEVENT Accepted, Inspected, Aborted, Received, ReceivedFrom, Disconnected, Backlog;
static PWSK_SOCKET AcceptedSocket;
static WSK_INSPECT_ID InspectId;
static WSK_INSPECT_ACTION InspectAnswer;
static PWSK_DATA_INDICATION Kept;
static PWSK_DATAGRAM_INDICATION KeptFrom;
static SIZE_T ReceivedBytes;
static ULONG DisconnectFlags;

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    CHECK(SocketContext == &Cookie); /* E-1 */
    CHECK(*BytesAccepted == BytesIndicated); /* E-72 */
    CHECK(!!(Flags & WSK_FLAG_AT_DISPATCH_LEVEL) == (KeGetCurrentIrql() == DISPATCH_LEVEL));
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    CHECK(DataIndication->Buffer.Offset < MmGetMdlByteCount(DataIndication->Buffer.Mdl));
    ReceivedBytes = BytesIndicated;
    Kept = DataIndication;
    KeSetEvent(&Received, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static NTSTATUS WSKAPI DisconnectEvent(PVOID SocketContext, ULONG Flags)
{
    CHECK(SocketContext == &Cookie);
    DisconnectFlags = Flags;
    KeSetEvent(&Disconnected, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static NTSTATUS WSKAPI SendBacklogEvent(PVOID SocketContext, SIZE_T IdealBacklogSize)
{
    CHECK(SocketContext == &Cookie);
    CHECK(IdealBacklogSize > 0);
    KeSetEvent(&Backlog, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_CONNECTION_DISPATCH Connect = {ReceiveEvent, DisconnectEvent, SendBacklogEvent};

static NTSTATUS WSKAPI AcceptEvent(
    PVOID SocketContext, ULONG Flags, PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, PWSK_SOCKET AcceptSocket,
    PVOID *AcceptSocketContext, CONST WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch)
{
    (void)Flags;
    CHECK(SocketContext == &Cookie);
    if (AcceptSocket == NULL)
        return STATUS_REQUEST_NOT_ACCEPTED;
    CHECK(*AcceptSocketContext == NULL && *AcceptSocketDispatch == NULL); /* E-53 */
    CHECK(LocalAddress->sa_family == Family && RemoteAddress->sa_family == Family);
    *AcceptSocketContext = &Cookie;
    *AcceptSocketDispatch = &Connect;
    CHECK(Events(AcceptSocket, WSK_EVENT_RECEIVE) == STATUS_SUCCESS); /* E-33 */
    AcceptedSocket = AcceptSocket;
    KeSetEvent(&Accepted, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static WSK_INSPECT_ACTION WSKAPI InspectEvent(
    PVOID SocketContext, PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, PWSK_INSPECT_ID InspectID)
{
    CHECK(SocketContext == &Cookie);
    if (InspectID == NULL)
        return WskInspectReject;
    CHECK(LocalAddress->sa_family == Family && RemoteAddress->sa_family == Family);
    InspectId = *InspectID;
    KeSetEvent(&Inspected, IO_NO_INCREMENT, FALSE);
    return InspectAnswer;
}

static NTSTATUS WSKAPI AbortEvent(PVOID SocketContext, PWSK_INSPECT_ID InspectID)
{
    CHECK(SocketContext == &Cookie);
    CHECK(InspectID->Key == InspectId.Key && InspectID->SerialNumber == InspectId.SerialNumber);
    KeSetEvent(&Aborted, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_LISTEN_DISPATCH Listen = {AcceptEvent, InspectEvent, AbortEvent};
static const WSK_CLIENT_STREAM_DISPATCH Stream = {&Listen, &Connect};

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)Flags;
    CHECK(SocketContext == &Cookie);
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    CHECK(DataIndication->RemoteAddress->sa_family == Family);
    CHECK(DataIndication->Next == NULL); /* one at a time was sent */
    KeptFrom = DataIndication;
    KeSetEvent(&ReceivedFrom, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Datagram = {ReceiveFromEvent};

/* ---- the provider ---- */

static void TestProvider(void)
{
    static UCHAR list[4096];
    UNICODE_STRING node = RTL_CONSTANT_STRING(L"127.0.0.1"), service = RTL_CONSTANT_STRING(L"12345");
    WCHAR text[64];
    UNICODE_STRING name = {0, sizeof text, text};
    PADDRINFOEXW found = NULL;
    SIZE_T length = 0;
    SOCKADDR_IN address = {AF_INET};

    CHECK(Npi.Dispatch->Version >= MAKE_WSK_VERSION(1, 0)); /* F-20 */
    /* F-100 */
    CHECK(
        Npi.Dispatch->WskControlClient(Npi.Client, WSK_TRANSPORT_LIST_QUERY, 0, NULL, 0, NULL, &length, NULL) ==
        STATUS_BUFFER_OVERFLOW);
    CHECK(length > 0 && length <= sizeof list);
    CHECK(
        Npi.Dispatch->WskControlClient(Npi.Client, WSK_TRANSPORT_LIST_QUERY, 0, NULL, sizeof list, list, &length, NULL) ==
        STATUS_SUCCESS);
    CHECK(length % sizeof(WSK_TRANSPORT) == 0);

    /* A change of the list pends, and can be cancelled. */
    CHECK(
        Npi.Dispatch->WskControlClient(
            Npi.Client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, NULL, Start(&Other)) == STATUS_PENDING);
    CHECK(IoCancelIrp(Other.Irp));
    CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_CANCELLED);

    CHECK(
        RUN(Npi.Dispatch->WskGetAddressInfo, Npi.Client, &node, &service, NS_ALL, NULL, NULL, &found, NULL, NULL) ==
        STATUS_SUCCESS);
    CHECK(INFORMATION == 0 && found != NULL); /* F-59, F-222 */
    if (found != NULL) {
        CHECK(found->ai_family == AF_INET && found->ai_addrlen == sizeof(SOCKADDR_IN));
        CHECK(((PSOCKADDR_IN)found->ai_addr)->sin_port == 0x3930); /* 12345 in network order */
        CHECK(((PSOCKADDR_IN)found->ai_addr)->sin_addr.S_un.S_addr == 0x0100007f);
        Npi.Dispatch->WskFreeAddressInfo(Npi.Client, found);
    }
    address.sin_addr.S_un.S_addr = 0x0100007f;
    CHECK(
        RUN(Npi.Dispatch->WskGetNameInfo, Npi.Client, (PSOCKADDR)&address, sizeof address, &name, NULL, NI_NUMERICHOST, NULL,
            NULL) == STATUS_SUCCESS);
    CHECK(name.Length == node.Length && RtlCompareMemory(text, node.Buffer, node.Length) == node.Length);

    /* No IRP: nothing is touched (F-50). No client: the IRP is completed all the same (F-53). */
    CHECK(
        Npi.Dispatch->WskSocket(
            Npi.Client, Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, NULL, NULL, NULL, NULL, NULL, NULL) ==
        STATUS_INVALID_PARAMETER);
    CHECK(
        RUN(Npi.Dispatch->WskSocket, NULL, Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, NULL, NULL, NULL, NULL,
            NULL) == STATUS_INVALID_HANDLE);
}

/* ---- basic sockets, and pairs that do not fit ---- */

static void TestBasic(void)
{
    ADDRESS any = Wildcard();
    PWSK_SOCKET socket = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, NULL, NULL);

    CHECK(Option(socket, SOL_SOCKET, 0x7777, 1) == STATUS_NOT_SUPPORTED);
    Close(socket);
    socket = Create(Family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL); /* F-89 */
    CHECK(RUN(LISTEN(socket)->WskBind, socket, &any.Any, 0) == STATUS_NOT_IMPLEMENTED);
    Close(socket);
}

/* ---- listening and connection sockets ---- */

static ADDRESS Bind(PWSK_SOCKET Socket, PFN_WSK_BIND WskBind, PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress)
{
    ADDRESS address = Loopback();

    /* F-51 */
    CHECK(WskGetLocalAddress(Socket, &address.Any, Start(&Other)) == STATUS_INVALID_DEVICE_STATE);
    CHECK(FINISH(&Other, STATUS_INVALID_DEVICE_STATE) == STATUS_INVALID_DEVICE_STATE);
    CHECK(RUN(WskBind, Socket, &address.Any, 0) == STATUS_SUCCESS);
    CHECK(RUN(WskGetLocalAddress, Socket, &address.Any) == STATUS_SUCCESS);
    CHECK(address.V4.sin_port != 0);
    return address;
}

static PWSK_SOCKET ConnectTo(const ADDRESS *Address, const WSK_CLIENT_CONNECTION_DISPATCH *Dispatch)
{
    ADDRESS any = Wildcard();
    NTSTATUS status =
        RUN(Npi.Dispatch->WskSocketConnect, Npi.Client, SOCK_STREAM, IPPROTO_TCP, &any.Any, (PSOCKADDR)&Address->Any, 0,
            &Cookie, Dispatch, NULL, NULL, NULL);

    CHECK(status == STATUS_SUCCESS);
    return (PWSK_SOCKET)INFORMATION;
}

/* Both ends of a connection: send, receive in all forms, disconnect. The functions come from one table or the other. */
/* F-56, F-80, F-172 */
#define TRANSFER(TABLE, Socket, Peer)                                                                                       \
    do {                                                                                                                    \
        WSK_BUF data = Data(1000), space = Space(ROOM), full = Space(1500);                                                 \
        ULONG control = 77, flags = 77;                                                                                     \
        CHECK(RUN(TABLE(Socket)->WskSend, Socket, &data, 0) == STATUS_SUCCESS);                                             \
        CHECK(INFORMATION == 1000);                                                                                         \
        CHECK(RUN(CONNECTION(Peer)->WskReceive, Peer, &space, 0) == STATUS_SUCCESS);                                        \
        CHECK(INFORMATION == 1000 && Same(1000));                                                                           \
        CHECK(RUN(CONNECTION(Peer)->WskSendEx, Peer, &data, 0, 0, NULL) == STATUS_SUCCESS);                                 \
        CHECK(RUN(TABLE(Socket)->WskReceiveEx, Socket, &space, 0, &control, NULL, &flags) == STATUS_SUCCESS);               \
        CHECK(INFORMATION == 1000 && Same(1000) && control == 0);                                                           \
        CHECK(RUN(TABLE(Socket)->WskSendEx, Socket, &data, WSK_FLAG_NODELAY, 0, NULL) == STATUS_SUCCESS);                   \
        CHECK(RUN(CONNECTION(Peer)->WskReceiveEx, Peer, &space, 0, NULL, NULL, NULL) == STATUS_SUCCESS);                    \
        CHECK(INFORMATION == 1000 && Same(1000));                                                                           \
        /* WAITALL is filled by two sends. */                                                                               \
        CHECK(TABLE(Socket)->WskReceive(Socket, &full, WSK_FLAG_WAITALL, Start(&Other)) == STATUS_PENDING);                 \
        CHECK(RUN(CONNECTION(Peer)->WskSend, Peer, &data, 0) == STATUS_SUCCESS);                                            \
        data.Offset = 1000;                                                                                                 \
        data.Length = 500;                                                                                                  \
        CHECK(RUN(CONNECTION(Peer)->WskSend, Peer, &data, 0) == STATUS_SUCCESS);                                            \
        CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_SUCCESS && Other.Irp->IoStatus.Information == 1500 && Same(1500));   \
        /* A receive that waits is cancelled, and takes nothing. */                                                         \
        CHECK(TABLE(Socket)->WskReceive(Socket, &space, 0, Start(&Other)) == STATUS_PENDING);                               \
        CHECK(IoCancelIrp(Other.Irp));                                                                                      \
        CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_CANCELLED);                                                          \
        /* A WSK_BUF longer than its chain. */                                                                              \
        space.Length = ROOM + 1;                                                                                            \
        CHECK(RUN(TABLE(Socket)->WskReceive, Socket, &space, 0) == STATUS_INVALID_PARAMETER);                               \
    } while (0)

/* The event callbacks of one end, by what the other does. It is disconnected gracefully at the end. */
/* F-215 */
#define INDICATIONS(TABLE, Socket, Peer)                                                                                    \
    do {                                                                                                                    \
        WSK_BUF data = Data(300), space = Space(ROOM);                                                                      \
        CHECK(Events(Socket, WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT) == STATUS_SUCCESS);                                  \
        CHECK(RUN(CONNECTION(Peer)->WskSend, Peer, &data, 0) == STATUS_SUCCESS);                                            \
        Await(&Received);                                                                                                   \
        CHECK(ReceivedBytes == 300);                                                                                        \
        CHECK(RtlCompareMemory(MmGetSystemAddressForMdlSafe(Kept->Buffer.Mdl, NormalPagePriority), Out, 300) == 300);       \
        CHECK(TABLE(Socket)->WskRelease(Socket, NULL) == STATUS_INVALID_PARAMETER);                                         \
        CHECK(TABLE(Socket)->WskRelease(Socket, Kept) == STATUS_SUCCESS);                                                   \
        CHECK(RUN(CONNECTION(Peer)->WskDisconnect, Peer, NULL, 0) == STATUS_SUCCESS);                                       \
        Await(&Disconnected);                                                                                               \
        CHECK(!(DisconnectFlags & WSK_FLAG_ABORTIVE));                                                                      \
        CHECK(RUN(TABLE(Socket)->WskReceive, Socket, &space, 0) == STATUS_SUCCESS);                                         \
        CHECK(INFORMATION == 0);                                                                                            \
        CHECK(RUN(TABLE(Socket)->WskDisconnect, Socket, NULL, 0) == STATUS_SUCCESS);                                        \
        CHECK(RUN(TABLE(Socket)->WskSend, Socket, &data, 0) == STATUS_INVALID_DEVICE_STATE);                                \
    } while (0)

static void TestConnection(void)
{
    PWSK_SOCKET listener = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, &Cookie, &Listen);
    ADDRESS there = Bind(listener, LISTEN(listener)->WskBind, LISTEN(listener)->WskGetLocalAddress);
    ADDRESS any = Wildcard(), local, remote;
    PWSK_SOCKET socket, peer;
    WSK_BUF data = Data(700), space = Space(ROOM);

    /* WskBind, WskConnect, WskAccept. An unbound socket cannot connect. */
    socket = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, &Cookie, &Connect);
    CHECK(RUN(CONNECTION(socket)->WskConnect, socket, &there.Any, 0) == STATUS_INVALID_DEVICE_STATE);
    CHECK(RUN(CONNECTION(socket)->WskGetRemoteAddress, socket, &remote.Any) == STATUS_INVALID_DEVICE_STATE);
    CHECK(RUN(CONNECTION(socket)->WskBind, socket, &any.Any, 0) == STATUS_SUCCESS);
    CHECK(LISTEN(listener)->WskAccept(listener, 0, &Cookie, &Connect, &local.Any, &remote.Any, Start(&Other)) == STATUS_PENDING);
    CHECK(RUN(CONNECTION(socket)->WskConnect, socket, &there.Any, 0) == STATUS_SUCCESS);
    CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_SUCCESS);
    peer = (PWSK_SOCKET)Other.Irp->IoStatus.Information;
    CHECK(local.V4.sin_port == there.V4.sin_port);
    CHECK(RUN(CONNECTION(socket)->WskGetLocalAddress, socket, &any.Any) == STATUS_SUCCESS);
    CHECK(remote.V4.sin_port == any.V4.sin_port);
    CHECK(RUN(CONNECTION(socket)->WskGetRemoteAddress, socket, &remote.Any) == STATUS_SUCCESS);
    CHECK(remote.V4.sin_port == there.V4.sin_port);
    TRANSFER(CONNECTION, socket, peer);
    INDICATIONS(CONNECTION, socket, peer);
    Close(socket);
    Close(peer);

    /* WskConnectEx with data; the accept is by callback, and so is what is received. */
    CHECK(Events(listener, WSK_EVENT_ACCEPT) == STATUS_SUCCESS);
    any = Wildcard();
    socket = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, &Cookie, &Connect);
    CHECK(RUN(CONNECTION(socket)->WskBind, socket, &any.Any, 0) == STATUS_SUCCESS);
    CHECK(RUN(CONNECTION(socket)->WskConnectEx, socket, &there.Any, &data, 0) == STATUS_SUCCESS);
    CHECK(INFORMATION == 700);
    Await(&Accepted);
    Await(&Received);
    CHECK(ReceivedBytes == 700);
    CHECK(CONNECTION(AcceptedSocket)->WskRelease(AcceptedSocket, Kept) == STATUS_SUCCESS);

    /* An abortive disconnect is told to the peer as one. */
    CHECK(Events(AcceptedSocket, WSK_EVENT_DISCONNECT) == STATUS_SUCCESS);
    CHECK(RUN(CONNECTION(socket)->WskDisconnect, socket, NULL, WSK_FLAG_ABORTIVE) == STATUS_SUCCESS);
    Await(&Disconnected);
    CHECK(DisconnectFlags & WSK_FLAG_ABORTIVE);
    CHECK(RUN(CONNECTION(AcceptedSocket)->WskReceive, AcceptedSocket, &space, 0) == STATUS_CONNECTION_RESET);
    Close(socket);
    Close(AcceptedSocket);

    /* Data moves the ideal send backlog. */
    socket = ConnectTo(&there, &Connect);
    Await(&Accepted);
    CHECK(Events(AcceptedSocket, WSK_EVENT_RECEIVE | WSK_EVENT_DISABLE) == STATUS_SUCCESS);
    CHECK(Events(socket, WSK_EVENT_SEND_BACKLOG) == STATUS_SUCCESS);
    for (int i = 0; i < 400 && KeReadStateEvent(&Backlog) == 0; i++) {
        data = Data(ROOM);
        space = Space(ROOM);
        CHECK(CONNECTION(AcceptedSocket)->WskReceive(AcceptedSocket, &space, WSK_FLAG_WAITALL, Start(&Other)) == STATUS_PENDING);
        CHECK(RUN(CONNECTION(socket)->WskSend, socket, &data, 0) == STATUS_SUCCESS);
        CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_SUCCESS);
    }
    Await(&Backlog);
    Close(socket);
    Close(AcceptedSocket);
    Close(listener);
}

/* ---- conditional accept ---- */

static void TestConditional(void)
{
    PWSK_SOCKET listener = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, &Cookie, &Listen);
    PWSK_SOCKET socket;
    WSK_INSPECT_ID id;
    SIZE_T length = 0;
    ADDRESS there;

    CHECK(Option(listener, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1) == STATUS_SUCCESS);
    there = Bind(listener, LISTEN(listener)->WskBind, LISTEN(listener)->WskGetLocalAddress);
    CHECK(Events(listener, WSK_EVENT_ACCEPT) == STATUS_SUCCESS);

    InspectAnswer = WskInspectPend;
    socket = ConnectTo(&there, NULL);
    Await(&Inspected);
    CHECK(RUN(LISTEN(listener)->WskInspectComplete, listener, &InspectId, WskInspectAccept) == STATUS_SUCCESS);
    Await(&Accepted);
    CHECK(
        BASIC(AcceptedSocket)->WskControlSocket(
            AcceptedSocket, WskIoctl, SIO_WSK_QUERY_INSPECT_ID, 0, 0, NULL, sizeof id, &id, &length, NULL) == STATUS_SUCCESS);
    CHECK(length == sizeof id && id.Key == InspectId.Key && id.SerialNumber == InspectId.SerialNumber);
    CHECK(RUN(LISTEN(listener)->WskInspectComplete, listener, &InspectId, WskInspectAccept) == STATUS_NOT_FOUND);
    Close(socket);
    Close(AcceptedSocket);

    /* A peer that goes away while it is thought about. */
    socket = ConnectTo(&there, NULL);
    Await(&Inspected);
    Close(socket);
    Await(&Aborted);
    CHECK(RUN(LISTEN(listener)->WskInspectComplete, listener, &InspectId, WskInspectAccept) == STATUS_NOT_FOUND);
    Close(listener);
}

/* ---- stream sockets ---- */

static void TestStream(void)
{
    PWSK_SOCKET listener = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_STREAM_SOCKET, &Cookie, &Stream);
    ADDRESS there = Bind(listener, STREAM(listener)->WskBind, STREAM(listener)->WskGetLocalAddress);
    ADDRESS any = Wildcard(), remote;
    PWSK_SOCKET socket, peer;
    WSK_BUF data = Data(50), space = Space(ROOM);

    CHECK(RUN(STREAM(listener)->WskListen, listener) == STATUS_SUCCESS);
    socket = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_STREAM_SOCKET, &Cookie, &Stream);
    CHECK(RUN(STREAM(socket)->WskBind, socket, &any.Any, 0) == STATUS_SUCCESS);
    CHECK(STREAM(listener)->WskAccept(listener, 0, NULL, NULL, NULL, NULL, Start(&Other)) == STATUS_PENDING);
    CHECK(RUN(STREAM(socket)->WskConnect, socket, &there.Any, 0) == STATUS_SUCCESS);
    CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_SUCCESS);
    peer = (PWSK_SOCKET)Other.Irp->IoStatus.Information;
    CHECK(RUN(STREAM(socket)->WskGetRemoteAddress, socket, &remote.Any) == STATUS_SUCCESS);
    CHECK(remote.V4.sin_port == there.V4.sin_port);
    TRANSFER(STREAM, socket, peer);
    INDICATIONS(STREAM, socket, peer);
    Close(socket);
    Close(peer);

    socket = Create(Family, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_STREAM_SOCKET, &Cookie, &Stream);
    any = Wildcard();
    CHECK(RUN(STREAM(socket)->WskBind, socket, &any.Any, 0) == STATUS_SUCCESS);
    CHECK(STREAM(listener)->WskAccept(listener, 0, NULL, NULL, NULL, NULL, Start(&Other)) == STATUS_PENDING);
    CHECK(RUN(STREAM(socket)->WskConnectEx, socket, &there.Any, &data, 0) == STATUS_SUCCESS);
    CHECK(FINISH(&Other, STATUS_PENDING) == STATUS_SUCCESS);
    peer = (PWSK_SOCKET)Other.Irp->IoStatus.Information;
    CHECK(RUN(CONNECTION(peer)->WskReceive, peer, &space, 0) == STATUS_SUCCESS);
    CHECK(INFORMATION == 50 && Same(50));
    Close(socket);
    Close(peer);
    Close(listener);
}

/* ---- datagram sockets ---- */

static void TestDatagram(void)
{
    PWSK_SOCKET one = Create(Family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, &Cookie, &Datagram);
    PWSK_SOCKET two = Create(Family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL);
    ADDRESS here = Bind(one, DATAGRAM(one)->WskBind, DATAGRAM(one)->WskGetLocalAddress);
    ADDRESS there = Bind(two, DATAGRAM(two)->WskBind, DATAGRAM(two)->WskGetLocalAddress);
    WSK_BUF data = Data(400), space = Space(ROOM), small = Space(100);
    WSK_BUF_LIST second = {NULL, Data(30)}, first = {&second, Data(20)};
    ULONG control = 99, flags = 99;
    ADDRESS remote;

    CHECK(RUN(DATAGRAM(one)->WskSendTo, one, &data, 0, &there.Any, 0, NULL) == STATUS_SUCCESS);
    CHECK(INFORMATION == 400);
    CHECK(
        RUN(DATAGRAM(two)->WskReceiveFrom, two, &space, 0, &remote.Any, &control, NULL, &flags) == STATUS_SUCCESS);
    CHECK(INFORMATION == 400 && Same(400) && control == 0 && flags == 0);
    CHECK(remote.V4.sin_port == here.V4.sin_port);

    /* One that is too long is cut. */
    CHECK(RUN(DATAGRAM(one)->WskSendTo, one, &data, 0, &there.Any, 0, NULL) == STATUS_SUCCESS);
    CHECK(RUN(DATAGRAM(two)->WskReceiveFrom, two, &small, 0, NULL, NULL, NULL, &flags) == STATUS_SUCCESS);
    CHECK(INFORMATION == 100 && flags == MSG_TRUNC && Same(100));

    CHECK(RUN(DATAGRAM(one)->WskSendMessages, one, &first, 0, &there.Any, 0, NULL) == STATUS_SUCCESS);
    CHECK(INFORMATION == 50);
    CHECK(RUN(DATAGRAM(two)->WskReceiveFrom, two, &space, 0, NULL, NULL, NULL, NULL) == STATUS_SUCCESS && INFORMATION == 20);
    CHECK(RUN(DATAGRAM(two)->WskReceiveFrom, two, &space, 0, NULL, NULL, NULL, NULL) == STATUS_SUCCESS && INFORMATION == 30);

    /* A fixed destination, and the callback. */
    CHECK(
        RUN(BASIC(two)->WskControlSocket, two, WskIoctl, SIO_WSK_SET_SENDTO_ADDRESS, 0,
            Family == AF_INET ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6), &here, 0, NULL, NULL) == STATUS_SUCCESS);
    CHECK(Events(one, WSK_EVENT_RECEIVE_FROM) == STATUS_SUCCESS);
    CHECK(RUN(DATAGRAM(two)->WskSendTo, two, &data, 0, NULL, 0, NULL) == STATUS_SUCCESS);
    Await(&ReceivedFrom);
    CHECK(KeptFrom->Buffer.Length == 400);
    CHECK(((ADDRESS *)KeptFrom->RemoteAddress)->V4.sin_port == there.V4.sin_port); /* E-82 */
    CHECK(DATAGRAM(one)->WskRelease(one, KeptFrom) == STATUS_SUCCESS);
    Close(one);
    Close(two);
}

/* ---- registration ---- */

static const WSK_CLIENT_DISPATCH Client = {MAKE_WSK_VERSION(1, 0), 0, NULL}; /* no client events are defined (E-105) */
static const WSK_CLIENT_DISPATCH Future = {MAKE_WSK_VERSION(2, 0), 0, NULL};

/* The block holds anything before it is registered (F-12). */
static void TestVersions(void)
{
    WSK_CLIENT_NPI npi = {NULL, &Future};
    WSK_PROVIDER_CHARACTERISTICS versions;
    WSK_REGISTRATION registration;
    WSK_PROVIDER_NPI provider;

    CHECK(WskRegister(&npi, &registration) == STATUS_SUCCESS);
    CHECK(WskCaptureProviderNPI(&registration, WSK_NO_WAIT, &provider) == STATUS_NOINTERFACE);
    CHECK(WskQueryProviderCharacteristics(&registration, &versions) == STATUS_SUCCESS);
    CHECK(versions.LowestVersion <= MAKE_WSK_VERSION(1, 0) && versions.HighestVersion >= MAKE_WSK_VERSION(1, 0));
    WskDeregister(&registration);
}

static void TestAll(void)
{
    TestProvider();
    TestBasic();
    TestConnection();
    TestConditional();
    TestStream();
    TestDatagram();
}

#ifndef NO_NMR
/* The older way in: by the NMR. */

static HANDLE NmrClient;
static WSK_PROVIDER_NPI NmrNpi;
static KEVENT NmrAttached;

static NTSTATUS NTAPI AttachProvider(HANDLE Binding, PVOID Context, PNPI_REGISTRATION_INSTANCE Instance)
{
    const WSK_PROVIDER_CHARACTERISTICS *versions =
        (const WSK_PROVIDER_CHARACTERISTICS *)Instance->NpiSpecificCharacteristics;
    NTSTATUS status;

    CHECK(Context == &Cookie);
    CHECK(versions->HighestVersion >= MAKE_WSK_VERSION(1, 0)); /* F-31 */
    /* Refused with one table, the client may try another in the same call (F-33). */
    status = NmrClientAttachProvider(Binding, &Cookie, &Future, (PVOID *)&NmrNpi.Client, (const void **)&NmrNpi.Dispatch);
    CHECK(status == STATUS_NOINTERFACE);
    status = NmrClientAttachProvider(Binding, &Cookie, &Client, (PVOID *)&NmrNpi.Client, (const void **)&NmrNpi.Dispatch);
    CHECK(status == STATUS_SUCCESS);
    KeSetEvent(&NmrAttached, IO_NO_INCREMENT, FALSE);
    return status;
}

static NTSTATUS NTAPI DetachProvider(PVOID Context)
{
    CHECK(Context == &Cookie);
    return STATUS_SUCCESS;
}

static LONG Cleaned;

static VOID NTAPI CleanupBinding(PVOID Context)
{
    CHECK(Context == &Cookie);
    InterlockedIncrement(&Cleaned);
}

static const NPI_MODULEID ModuleId = {
    sizeof(NPI_MODULEID), MIT_GUID, {{0x7f1a4b60, 0x11d2, 0x4c8f, {0x9d, 0x10, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77}}}};

static const NPI_CLIENT_CHARACTERISTICS Characteristics = {
    0,
    sizeof(NPI_CLIENT_CHARACTERISTICS),
    AttachProvider,
    DetachProvider,
    CleanupBinding,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &NPI_WSK_INTERFACE_ID, &ModuleId, 0, NULL}};

/* F-30, F-32, F-34, F-35, F-37 */
static void TestNmr(void)
{
    KeInitializeEvent(&NmrAttached, NotificationEvent, FALSE);
    CHECK(NmrRegisterClient(&Characteristics, &Cookie, &NmrClient) == STATUS_SUCCESS);
    Await(&NmrAttached);
    Npi = NmrNpi;
    TestDatagram();
    CHECK(NmrDeregisterClient(NmrClient) == STATUS_PENDING);
    CHECK(NmrWaitForClientDeregisterComplete(NmrClient) == STATUS_SUCCESS);
    CHECK(Cleaned == 1);
}
#endif

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

static PMDL NonPaged(PUCHAR *Memory)
{
    PMDL mdl;

    *Memory = (PUCHAR)ExAllocatePoolWithTag(NonPagedPoolNx, ROOM, 'tseT');
    mdl = IoAllocateMdl(*Memory, ROOM, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(mdl);
    return mdl;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    KEVENT *events[] = {&Accepted, &Inspected, &Aborted, &Received, &ReceivedFrom, &Disconnected, &Backlog};
    WSK_CLIENT_NPI npi = {NULL, &Client};
    WSK_PROVIDER_NPI provider;

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    for (int i = 0; i < (int)(sizeof events / sizeof events[0]); i++)
        KeInitializeEvent(events[i], SynchronizationEvent, FALSE);
    OutMdl = NonPaged(&Out);
    InMdl = NonPaged(&In);
    for (ULONG i = 0; i < ROOM; i++)
        Out[i] = (UCHAR)(i * 7 + i / 251);

    TestVersions();
    CHECK(WskRegister(&npi, &Registration) == STATUS_SUCCESS);
    CHECK(WskCaptureProviderNPI(&Registration, WSK_INFINITE_WAIT, &provider) == STATUS_SUCCESS);
    Npi = provider;
    Family = AF_INET;
    TestAll();
    Family = AF_INET6;
    TestAll();
    WskReleaseProviderNPI(&Registration);
    WskDeregister(&Registration);
#ifndef NO_NMR
    TestNmr();
#endif

    IoFreeIrp(Call.Irp);
    IoFreeIrp(Other.Irp);
    IoFreeMdl(OutMdl);
    IoFreeMdl(InMdl);
    ExFreePoolWithTag(Out, 'tseT');
    ExFreePoolWithTag(In, 'tseT');
    SayChecks();
    return STATUS_SUCCESS;
}
