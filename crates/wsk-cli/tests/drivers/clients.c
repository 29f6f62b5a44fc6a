/*
 * clients.c: what real clients do beyond the samples: structures that are gone after the call, IRPs where none is needed, odd
 * answers to callbacks, things left behind, an attachment by the NMR that ends before its sockets do.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

#define LISTEN(Socket)     ((const WSK_PROVIDER_LISTEN_DISPATCH *)(Socket)->Dispatch)
#define CONNECTION(Socket) ((const WSK_PROVIDER_CONNECTION_DISPATCH *)(Socket)->Dispatch)
#define DATAGRAM(Socket)   ((const WSK_PROVIDER_DATAGRAM_DISPATCH *)(Socket)->Dispatch)

/* Contexts are numbers as good as any (F-78). */
#define LISTENER_CONTEXT   ((PVOID)(ULONG_PTR)0x1)
#define SOCKET_CONTEXT     ((PVOID)(ULONG_PTR)0xfffffffffffffff7ull)

static REQUEST Request;
static UCHAR Bytes[64], Room[64];
static PMDL BytesMdl, RoomMdl;

static void Await(PKEVENT Event)
{
    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
}

/* ---- registration ---- */

static LONG ClientEvents;

static NTSTATUS WSKAPI ClientEvent(PVOID ClientContext, ULONG EventType, PVOID Information, SIZE_T InformationLength)
{
    (void)ClientContext;
    (void)EventType;
    (void)Information;
    (void)InformationLength;
    InterlockedIncrement(&ClientEvents);
    return STATUS_NOT_IMPLEMENTED;
}

static const WSK_CLIENT_DISPATCH Told = {MAKE_WSK_VERSION(1, 0), 0, ClientEvent};

/* The NPI is copied (F-10), the table is not called (F-11, E-105). As Attach. */
static void AttachFromTheStack(void)
{
    WSK_CLIENT_NPI npi = {NULL, &Told};

    CHECK(WskRegister(&npi, &Registration) == STATUS_SUCCESS);
    RtlFillMemory(&npi, sizeof npi, 0xee);
    CHECK(WskCaptureProviderNPI(&Registration, WSK_INFINITE_WAIT, &Provider) == STATUS_SUCCESS);
}

/* ---- tables ---- */

static void AllThere(const void *Table, SIZE_T Size)
{
    for (SIZE_T at = 0; at < Size / sizeof(PVOID); at++)
        CHECK(((const PVOID *)Table)[at] != NULL);
}

/* Clients call through the last slot without a look (F-5). */
static void TestSlots(void)
{
    static const struct {
        USHORT Type;
        ULONG Protocol, Category;
        SIZE_T Size;
    } kinds[] = {
        {SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, sizeof(WSK_PROVIDER_BASIC_DISPATCH)},
        {SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, sizeof(WSK_PROVIDER_LISTEN_DISPATCH)},
        {SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, sizeof(WSK_PROVIDER_DATAGRAM_DISPATCH)},
        {SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, sizeof(WSK_PROVIDER_CONNECTION_DISPATCH)},
        {SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_STREAM_SOCKET, sizeof(WSK_PROVIDER_STREAM_DISPATCH)},
    };

    AllThere(Provider.Dispatch, sizeof *Provider.Dispatch);
    for (int i = 0; i < (int)(sizeof kinds / sizeof kinds[0]); i++) {
        PWSK_SOCKET socket;

        CHECK(NT_SUCCESS(SocketCreate(AF_INET, kinds[i].Type, kinds[i].Protocol, kinds[i].Category, NULL, NULL, &socket)));
        AllThere(socket->Dispatch, kinds[i].Size);
        SocketClose(socket);
    }
}

/* ---- callbacks ---- */

static KEVENT Accepting, Receiving, Disconnecting, ReceivingFrom;
static NTSTATUS AcceptAnswer;
static PWSK_SOCKET AcceptedSocket;
static PWSK_DATA_INDICATION Kept;
static PWSK_DATAGRAM_INDICATION KeptFrom;

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    (void)Flags;
    (void)BytesIndicated;
    (void)BytesAccepted;
    CHECK(SocketContext == SOCKET_CONTEXT);
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    Kept = DataIndication;
    KeSetEvent(&Receiving, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static NTSTATUS WSKAPI DisconnectEvent(PVOID SocketContext, ULONG Flags)
{
    (void)Flags;
    CHECK(SocketContext == SOCKET_CONTEXT);
    KeSetEvent(&Disconnecting, IO_NO_INCREMENT, FALSE);
    return STATUS_UNSUCCESSFUL; /* must be SUCCESS; of no interest to the subsystem (E-100) */
}

static const WSK_CLIENT_CONNECTION_DISPATCH Connection = {ReceiveEvent, DisconnectEvent, NULL};

static NTSTATUS WSKAPI AcceptEvent(
    PVOID SocketContext, ULONG Flags, PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, PWSK_SOCKET AcceptSocket,
    PVOID *AcceptSocketContext, CONST WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch)
{
    NTSTATUS answer = AcceptAnswer;

    (void)Flags;
    (void)LocalAddress;
    (void)RemoteAddress;
    CHECK(SocketContext == LISTENER_CONTEXT);
    if (AcceptSocket == NULL)
        return STATUS_REQUEST_NOT_ACCEPTED;
    *AcceptSocketContext = SOCKET_CONTEXT;
    *AcceptSocketDispatch = &Connection;
    if (answer == STATUS_SUCCESS)
        AcceptedSocket = AcceptSocket;
    KeSetEvent(&Accepting, IO_NO_INCREMENT, FALSE);
    return answer;
}

static const WSK_CLIENT_LISTEN_DISPATCH Listen = {AcceptEvent, NULL, NULL};

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)Flags;
    CHECK(SocketContext == NULL); /* E-1 */
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    for (PWSK_DATAGRAM_INDICATION one = DataIndication; one != NULL; one = one->Next) {
        CHECK(one->Buffer.Mdl->Next == NULL); /* E-85 */
        CHECK(one->Buffer.Offset + one->Buffer.Length <= MmGetMdlByteCount(one->Buffer.Mdl));
    }
    KeptFrom = DataIndication;
    KeSetEvent(&ReceivingFrom, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Datagrams = {ReceiveFromEvent};

/* Enables or disables with an IRP, as fnsock and older msquic do; OutputSizeReturned comes along (F-108). */
static NTSTATUS EventsByIrp(PWSK_SOCKET Socket, ULONG Events)
{
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, Events};
    SIZE_T length = 77;
    NTSTATUS returned =
        ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)
            ->WskControlSocket(
                Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof control, &control, 0, NULL, &length,
                RequestIrp(&Request));

    if (returned != STATUS_PENDING)
        CHECK(Request.Irp->IoStatus.Status == returned && length == 0); /* C-13 */
    CHECK(RequestWait(&Request, returned) == Request.Irp->IoStatus.Status && Request.Irp->IoStatus.Information == 0);
    return Request.Irp->IoStatus.Status;
}

static PWSK_SOCKET Listener(SOCKADDR_IN *Address)
{
    PWSK_SOCKET listener;

    *Address = (SOCKADDR_IN){AF_INET};
    Address->sin_addr.S_un.S_addr = 0x0100007f;
    CHECK(NT_SUCCESS(
        SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, LISTENER_CONTEXT, &Listen, &listener)));
    CHECK(EventsByIrp(listener, WSK_EVENT_ACCEPT) == STATUS_INVALID_DEVICE_STATE); /* E-13: a failure too */
    CHECK(NT_SUCCESS(RequestWait(&Request, LISTEN(listener)->WskBind(listener, (PSOCKADDR)Address, 0, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(
        RequestWait(&Request, LISTEN(listener)->WskGetLocalAddress(listener, (PSOCKADDR)Address, RequestIrp(&Request)))));
    CHECK(EventsByIrp(listener, WSK_EVENT_ACCEPT) == STATUS_SUCCESS); /* E-13 */
    return listener;
}

static PWSK_SOCKET Connect(const SOCKADDR_IN *Address)
{
    SOCKADDR_IN any = {AF_INET};
    NTSTATUS status = RequestWait(
        &Request,
        Provider.Dispatch->WskSocketConnect(
            Provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&any, (PSOCKADDR)Address, 0, NULL, NULL, NULL, NULL, NULL,
            RequestIrp(&Request)));

    CHECK(NT_SUCCESS(status));
    return NT_SUCCESS(status) ? (PWSK_SOCKET)Request.Irp->IoStatus.Information : NULL;
}

static void Send(PWSK_SOCKET Socket)
{
    WSK_BUF data = {BytesMdl, 0, 30};

    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(Socket)->WskSend(Socket, &data, 0, RequestIrp(&Request)))));
}

static void TestStreams(void)
{
    static const NTSTATUS refusals[] = {STATUS_REQUEST_NOT_ACCEPTED, STATUS_UNSUCCESSFUL, STATUS_PENDING, 0x40000001};
    WSK_BUF space = {RoomMdl, 0, sizeof Room};
    SOCKADDR_IN there;
    PWSK_SOCKET listener = Listener(&there), peer, socket;
    static const NPIID unknown = {0x77};
    WSK_EXTENSION_CONTROL_IN extension = {&unknown, NULL, NULL};
    WSK_EXTENSION_CONTROL_OUT theirs;

    /* Whatever is not SUCCESS rejects: the peer is reset (E-54). */
    for (int i = 0; i < (int)(sizeof refusals / sizeof refusals[0]); i++) {
        AcceptAnswer = refusals[i];
        peer = Connect(&there);
        Await(&Accepting);
        CHECK(
            RequestWait(&Request, CONNECTION(peer)->WskReceive(peer, &space, 0, RequestIrp(&Request))) ==
            STATUS_CONNECTION_RESET);
        SocketClose(peer);
    }

    AcceptAnswer = STATUS_SUCCESS;
    peer = Connect(&there);
    Await(&Accepting);
    socket = AcceptedSocket;
    CHECK(EventsByIrp(socket, WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT) == STATUS_SUCCESS);
    /* No extension interface is known (E-110). */
    CHECK(
        CONNECTION(socket)->Basic.WskControlSocket(
            socket, WskIoctl, SIO_WSK_REGISTER_EXTENSION, 0, sizeof extension, &extension, sizeof theirs, &theirs, NULL, NULL) ==
        STATUS_NOT_SUPPORTED);
    Send(peer);
    Await(&Receiving);
    /* The order that is safe without a wait anywhere else (E-124). */
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(socket)->WskDisconnect(socket, NULL, 0, RequestIrp(&Request)))));
    CHECK(EventsByIrp(socket, WSK_EVENT_RECEIVE | WSK_EVENT_DISABLE) == STATUS_SUCCESS);
    CHECK(EventsByIrp(socket, WSK_EVENT_DISCONNECT | WSK_EVENT_DISABLE) == STATUS_SUCCESS);
    CHECK(CONNECTION(socket)->WskRelease(socket, Kept) == STATUS_SUCCESS);
    CHECK(NT_SUCCESS(
        RequestWait(&Request, CONNECTION(socket)->Basic.WskCloseSocket(socket, RequestIrp(&Request)))));
    SocketClose(peer);

    /* One whose peer goes: the callback's answer is of no interest. */
    peer = Connect(&there);
    Await(&Accepting);
    CHECK(EventsByIrp(AcceptedSocket, WSK_EVENT_DISCONNECT) == STATUS_SUCCESS);
    SocketClose(peer);
    Await(&Disconnecting);
    SocketClose(AcceptedSocket);
    SocketClose(listener);
}

/* ---- what is left behind ---- */

static PWSK_SOCKET Datagram(SOCKADDR_IN *Address, const WSK_CLIENT_DATAGRAM_DISPATCH *Dispatch)
{
    PWSK_SOCKET socket;

    *Address = (SOCKADDR_IN){AF_INET};
    Address->sin_addr.S_un.S_addr = 0x0100007f;
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, Dispatch, &socket)));
    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)Address, 0, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(
        RequestWait(&Request, DATAGRAM(socket)->WskGetLocalAddress(socket, (PSOCKADDR)Address, RequestIrp(&Request)))));
    return socket;
}

/* An indication that is never released: WskDeregister waits for it as little as the close does, and frees it (F-24). */
static void TestDatagrams(void)
{
    SOCKADDR_IN here, there;
    PWSK_SOCKET one = Datagram(&here, NULL), two = Datagram(&there, &Datagrams);
    WSK_BUF data = {BytesMdl, 0, 30};

    CHECK(EventsByIrp(two, WSK_EVENT_RECEIVE_FROM) == STATUS_SUCCESS);
    CHECK(NT_SUCCESS(RequestWait(
        &Request, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&there, 0, NULL, RequestIrp(&Request)))));
    Await(&ReceivingFrom);
#ifndef LEAVES
    CHECK(DATAGRAM(two)->WskRelease(two, KeptFrom) == STATUS_SUCCESS);
#endif
    SocketClose(one);
    SocketClose(two);
}

/* ---- an attachment that ends before its sockets do ---- */

static WSK_PROVIDER_NPI NmrNpi;
static KEVENT Attached, Detached;
static LONG Cleaned;

static NTSTATUS NTAPI AttachProvider(HANDLE Binding, PVOID Context, PNPI_REGISTRATION_INSTANCE Instance)
{
    NTSTATUS status;

    (void)Context;
    (void)Instance;
    status = NmrClientAttachProvider(Binding, NULL, &Told, (PVOID *)&NmrNpi.Client, (const void **)&NmrNpi.Dispatch);
    KeSetEvent(&Attached, IO_NO_INCREMENT, FALSE);
    return status;
}

static NTSTATUS NTAPI DetachProvider(PVOID Context)
{
    (void)Context;
    KeSetEvent(&Detached, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static VOID NTAPI CleanupBinding(PVOID Context)
{
    (void)Context;
    InterlockedIncrement(&Cleaned);
}

static const NPI_MODULEID ModuleId = {
    sizeof(NPI_MODULEID), MIT_GUID, {{0x2a1a4b61, 0x11d2, 0x4c8f, {0x9d, 0x10, 0x22, 0x33, 0x44, 0x55, 0x66, 0x78}}}};

static const NPI_CLIENT_CHARACTERISTICS Characteristics = {
    0,
    sizeof(NPI_CLIENT_CHARACTERISTICS),
    AttachProvider,
    DetachProvider,
    CleanupBinding,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &NPI_WSK_INTERFACE_ID, &ModuleId, 0, NULL}};

/* The provider has detached only when the last socket is closed (F-36, F-38). */
static void TestNmr(void)
{
    WSK_PROVIDER_NPI before = Provider;
    SOCKADDR_IN here, there;
    PWSK_SOCKET one, two;
    HANDLE handle;

    CHECK(NmrRegisterClient(&Characteristics, NULL, &handle) == STATUS_SUCCESS);
    Await(&Attached);
    Provider = NmrNpi;
    one = Datagram(&here, NULL);
    two = Datagram(&there, NULL);
    CHECK(NmrDeregisterClient(handle) == STATUS_PENDING);
    Await(&Detached);
    for (int i = 0; i < 20; i++) {
        WSK_BUF data = {BytesMdl, 0, 30}, space = {RoomMdl, 0, sizeof Room};

        /* Sockets serve until they are closed. */
        CHECK(NT_SUCCESS(RequestWait(
            &Request, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&there, 0, NULL, RequestIrp(&Request)))));
        CHECK(NT_SUCCESS(RequestWait(
            &Request, DATAGRAM(two)->WskReceiveFrom(two, &space, 0, NULL, NULL, NULL, NULL, RequestIrp(&Request)))));
        CHECK(Cleaned == 0);
    }
    SocketClose(one);
    CHECK(Cleaned == 0);
    SocketClose(two);
    CHECK(NmrWaitForClientDeregisterComplete(handle) == STATUS_SUCCESS);
    CHECK(Cleaned == 1);
    Provider = before;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    KEVENT *events[] = {&Accepting, &Receiving, &Disconnecting, &ReceivingFrom, &Attached, &Detached};

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    for (int i = 0; i < (int)(sizeof events / sizeof events[0]); i++)
        KeInitializeEvent(events[i], SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < sizeof Bytes; i++)
        Bytes[i] = (UCHAR)(i + 1);
    BytesMdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(BytesMdl);
    RoomMdl = IoAllocateMdl(Room, sizeof Room, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(RoomMdl);
    CHECK(RequestCreate(&Request));
    AttachFromTheStack();
    TestSlots();
    TestStreams();
    TestNmr();
    TestDatagrams();
    Detach();
    CHECK(ClientEvents == 0);
    RequestFree(&Request);
    IoFreeMdl(BytesMdl);
    IoFreeMdl(RoomMdl);
    SayChecks();
    return STATUS_SUCCESS;
}
