/*
 * control_socket.c: IOCTLs with structures and with consequences (control.md 4.5): address lists, routes and their changes,
 * silent mode, the callback of WskReceiveEx, reports of unreachable ports; and WskConnectEx with data.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

#define BASIC(Socket)      ((PWSK_PROVIDER_BASIC_DISPATCH)(Socket)->Dispatch)
#define LISTEN(Socket)     ((PWSK_PROVIDER_LISTEN_DISPATCH)(Socket)->Dispatch)
#define CONNECTION(Socket) ((PWSK_PROVIDER_CONNECTION_DISPATCH)(Socket)->Dispatch)
#define DATAGRAM(Socket)   ((PWSK_PROVIDER_DATAGRAM_DISPATCH)(Socket)->Dispatch)
#define COUNT(Array)       (sizeof(Array) / sizeof((Array)[0]))

static REQUEST Request;
static UCHAR Bytes[0x10001], Room[256];
static PMDL BytesMdl, RoomMdl;

#define FRESH RequestIrp(&Request)

static void Await(PKEVENT Event)
{
    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
}

/* ---- one request ---- */

static BOOLEAN ByIrp;
static SIZE_T Written;

/* An IOCTL that does not pend; the level is of no meaning (C-10). */
static NTSTATUS Ioctl(PWSK_SOCKET Socket, ULONG Code, SIZE_T InSize, PVOID In, SIZE_T OutSize, PVOID Out)
{
    NTSTATUS status;

    Written = 12345;
    status = BASIC(Socket)->WskControlSocket(
        Socket, WskIoctl, Code, SOL_SOCKET, InSize, In, OutSize, Out, &Written, ByIrp ? FRESH : NULL);
    CHECK(status != STATUS_PENDING && Written != 12345);
    CHECK(NT_SUCCESS(status) || status == STATUS_BUFFER_OVERFLOW || Written == 0);
    if (ByIrp)
        CHECK(
            Request.Irp->IoStatus.Status == status && Request.Irp->IoStatus.Information == (NT_SUCCESS(status) ? Written : 0));
    return status;
}

/* ---- sockets ---- */

/* An address of this machine. */
static SOCKADDR_IN6 Loopback(ADDRESS_FAMILY Family, USHORT Port)
{
    SOCKADDR_IN6 address = {Family, Port};

    if (Family == AF_INET)
        ((SOCKADDR_IN *)&address)->sin_addr.S_un.S_addr = 0x0100007f;
    else
        address.sin6_addr.u.Byte[15] = 1;
    return address;
}

static PWSK_SOCKET Datagram(ADDRESS_FAMILY Family, SOCKADDR_IN6 *Here)
{
    PWSK_SOCKET socket;

    *Here = Loopback(Family, 0);
    CHECK(NT_SUCCESS(SocketCreate(Family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)Here, 0, FRESH))));
    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(socket)->WskGetLocalAddress(socket, (PSOCKADDR)Here, FRESH))));
    return socket;
}

static PWSK_SOCKET Listener(SOCKADDR_IN6 *Here)
{
    PWSK_SOCKET socket;

    *Here = Loopback(AF_INET, 0);
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &socket)));
    CHECK(NT_SUCCESS(RequestWait(&Request, LISTEN(socket)->WskBind(socket, (PSOCKADDR)Here, 0, FRESH))));
    CHECK(NT_SUCCESS(RequestWait(&Request, LISTEN(socket)->WskGetLocalAddress(socket, (PSOCKADDR)Here, FRESH))));
    return socket;
}

static PWSK_SOCKET Bound(void)
{
    SOCKADDR_IN any = {AF_INET};
    PWSK_SOCKET socket;

    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, NULL, NULL, &socket)));
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(socket)->WskBind(socket, (PSOCKADDR)&any, 0, FRESH))));
    return socket;
}

static PWSK_SOCKET Accept(PWSK_SOCKET Socket, PVOID Context, const WSK_CLIENT_CONNECTION_DISPATCH *Dispatch)
{
    CHECK(NT_SUCCESS(
        RequestWait(&Request, LISTEN(Socket)->WskAccept(Socket, 0, Context, Dispatch, NULL, NULL, FRESH))));
    return (PWSK_SOCKET)Request.Irp->IoStatus.Information;
}

static NTSTATUS Send(PWSK_SOCKET Socket, SIZE_T Length)
{
    return RequestWait(&Request, CONNECTION(Socket)->WskSend(Socket, &(WSK_BUF){BytesMdl, 0, Length}, 0, FRESH));
}

static NTSTATUS Receive(PWSK_SOCKET Socket)
{
    return RequestWait(&Request, CONNECTION(Socket)->WskReceive(Socket, &(WSK_BUF){RoomMdl, 0, sizeof Room}, 0, FRESH));
}

/* ---- address lists ---- */

/* Its pointers lie inside its own buffer, behind the entries, and lead to unicast addresses of that family, without a port. */
static void IsList(const UCHAR *Buffer, SIZE_T Length, ADDRESS_FAMILY Family)
{
    const SOCKET_ADDRESS_LIST *list = (const SOCKET_ADDRESS_LIST *)Buffer;

    CHECK(list->iAddressCount >= 0 && 8 + list->iAddressCount * sizeof list->Address[0] <= Length);
    for (INT i = 0; i < list->iAddressCount; i++) {
        const UCHAR *at = (const UCHAR *)list->Address[i].lpSockaddr;
        INT length = list->Address[i].iSockaddrLength;

        CHECK(length == (Family == AF_INET ? 16 : 28));
        CHECK(at >= (const UCHAR *)&list->Address[list->iAddressCount] && at + length <= Buffer + Length);
        CHECK(((const SOCKADDR_IN *)at)->sin_family == Family && ((const SOCKADDR_IN *)at)->sin_port == 0);
    }
}

/* C-32, C 4.5 SIO_ADDRESS_LIST_QUERY: too little room is BUFFER_OVERFLOW with the size it takes. */
static void TestAddresses(void)
{
    static const ADDRESS_FAMILY families[] = {AF_INET, AF_INET6};

    for (SIZE_T i = 0; i < COUNT(families); i++) {
        SOCKADDR_IN6 here;
        PWSK_SOCKET bound = Datagram(families[i], &here), basic;
        UCHAR *buffer;
        SIZE_T needed;

        CHECK(NT_SUCCESS(
            SocketCreate(families[i], SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, NULL, NULL, &basic)));
        CHECK(Ioctl(basic, SIO_ADDRESS_LIST_QUERY, 0, NULL, 0, NULL) == STATUS_BUFFER_OVERFLOW);
        needed = Written;
        CHECK(needed > 8);
        buffer = (UCHAR *)ExAllocatePoolWithTag(NonPagedPoolNx, needed + 16, 'tseT');
        for (SIZE_T room = 0; room < needed; room++) {
            RtlFillMemory(buffer, needed + 16, 0xee);
            CHECK(Ioctl(bound, SIO_ADDRESS_LIST_QUERY, 0, NULL, room, buffer) == STATUS_BUFFER_OVERFLOW && Written == needed);
            CHECK(buffer[0] == 0xee && buffer[room] == 0xee);
        }
        CHECK(Ioctl(bound, SIO_ADDRESS_LIST_QUERY, 0, NULL, needed, NULL) == STATUS_BUFFER_OVERFLOW && Written == needed);
        RtlFillMemory(buffer, needed + 16, 0xee);
        CHECK(Ioctl(bound, SIO_ADDRESS_LIST_QUERY, 0, NULL, needed + 8, buffer) == STATUS_SUCCESS && Written == needed);
        CHECK(buffer[needed] == 0xee);
        IsList(buffer, needed, families[i]);
        /* And sorted in its own place: the same addresses, in another order. */
        CHECK(Ioctl(basic, SIO_ADDRESS_LIST_SORT, needed, buffer, needed, buffer) == STATUS_SUCCESS && Written == needed);
        IsList(buffer, needed, families[i]);
        ExFreePoolWithTag(buffer, 'tseT');
        SocketClose(basic);
        SocketClose(bound);
    }
}

/* C 4.5 SIO_ADDRESS_LIST_SORT: what is not reachable goes behind what is. */
static void TestSort(void)
{
    SOCKADDR_IN near_ = {AF_INET}, other = {AF_INET};
    struct {
        SOCKET_ADDRESS_LIST List;
        SOCKET_ADDRESS Second;
        UCHAR Room[64];
    } in = {{2, {{(LPSOCKADDR)&other, sizeof other}}}, {(LPSOCKADDR)&near_, sizeof near_}, {0}}, out, bad;
    const SIZE_T size = 8 + 2 * sizeof(SOCKET_ADDRESS);
    PWSK_SOCKET socket;

    near_.sin_addr.S_un.S_addr = 0x0100007f;
    near_.sin_port = 0x1234;
    other.sin_addr.S_un.S_addr = 0xffffffff; /* of no host */
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &in, sizeof out, &out) == STATUS_SUCCESS && Written == size + 32);
    CHECK(out.List.iAddressCount == 2);
    CHECK((UCHAR *)out.List.Address[0].lpSockaddr == (UCHAR *)&out + size);
    CHECK(RtlCompareMemory(out.List.Address[0].lpSockaddr, &near_, 16) == 16); /* with its port */
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &in, size + 31, &out) == STATUS_BUFFER_OVERFLOW && Written == size + 32);
    /* Lists that are none. */
    for (SIZE_T length = 0; length < size; length++)
        CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, length, &in, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    bad = in;
    bad.List.iAddressCount = -1;
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &bad, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    bad.List.iAddressCount = 0x7fffffff;
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &bad, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    bad = in;
    bad.Second.lpSockaddr = NULL;
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &bad, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    for (INT length = -1; length < 16; length++) {
        bad = in;
        bad.Second.iSockaddrLength = length;
        CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &bad, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    }
    near_.sin_family = 10; /* Linux' number of IPv6 */
    CHECK(Ioctl(socket, SIO_ADDRESS_LIST_SORT, size, &in, sizeof out, &out) == STATUS_INVALID_PARAMETER);
    SocketClose(socket);
}

/* C 4.5 SIO_ROUTING_INTERFACE_QUERY / CHANGE: where a destination is reached from. */
static void TestRoutes(void)
{
    static const ADDRESS_FAMILY families[] = {AF_INET, AF_INET6};

    for (SIZE_T i = 0; i < COUNT(families); i++) {
        SIZE_T length = families[i] == AF_INET ? 16 : 28;
        SOCKADDR_IN6 to = Loopback(families[i], 0x1234), here, wrong;
        PWSK_SOCKET socket = Datagram(families[i], &here);
        UCHAR out[64];

        for (SIZE_T room = 0; room < length; room++) {
            RtlFillMemory(out, sizeof out, 0xee);
            CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_QUERY, length, &to, room, out) == STATUS_BUFFER_TOO_SMALL);
            CHECK(out[0] == 0xee && out[room] == 0xee);
        }
        CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_QUERY, length, &to, sizeof out, NULL) == STATUS_BUFFER_TOO_SMALL);
        CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_QUERY, length, &to, sizeof out, out) == STATUS_SUCCESS && Written == length);
        CHECK(out[length] == 0xee);
        here = Loopback(families[i], ((SOCKADDR_IN6 *)out)->sin6_port);
        CHECK(RtlCompareMemory(out, &here, length) == length);
        for (SIZE_T less = 0; less < length; less++) {
            CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_QUERY, less, &to, sizeof out, out) == STATUS_INVALID_PARAMETER);
            CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_CHANGE, less, &to, 0, NULL) == STATUS_INVALID_PARAMETER);
        }
        wrong = to;
        wrong.sin6_family = 10; /* Linux' number */
        CHECK(Ioctl(socket, SIO_ROUTING_INTERFACE_QUERY, length, &wrong, sizeof out, out) == STATUS_INVALID_PARAMETER);
        SocketClose(socket);
    }
}

/* Changes pend: without an IRP they are not taken (C-12); they end by IoCancelIrp, and by the close (C-33). */
static void TestChanges(void)
{
    static const ULONG codes[] = {SIO_ADDRESS_LIST_CHANGE, SIO_ROUTING_INTERFACE_CHANGE};

    for (SIZE_T i = 0; i < 2 * COUNT(codes); i++) {
        ADDRESS_FAMILY family = i & 1 ? AF_INET6 : AF_INET;
        SIZE_T length = family == AF_INET ? 16 : 28;
        ULONG code = codes[i / 2];
        SOCKADDR_IN6 here, to = Loopback(family, 0);
        PWSK_SOCKET socket = Datagram(family, &here);
        REQUEST requests[3];
        SIZE_T written = 12345;

        CHECK(
            BASIC(socket)->WskControlSocket(socket, WskIoctl, code, 0, length, &to, 0, NULL, &written, NULL) ==
            STATUS_REQUEST_NOT_ACCEPTED);
        CHECK(written == 0);
        for (SIZE_T r = 0; r < COUNT(requests); r++) {
            CHECK(RequestCreate(&requests[r]));
            CHECK(
                BASIC(socket)->WskControlSocket(
                    socket, WskIoctl, code, 0, length, &to, 0, NULL, NULL, RequestIrp(&requests[r])) == STATUS_PENDING);
        }
        RtlFillMemory(&to, sizeof to, 0xee); /* it was copied (F-74) */
        CHECK(IoCancelIrp(requests[1].Irp));
        CHECK(RequestWait(&requests[1], STATUS_PENDING) == STATUS_CANCELLED);
        CHECK(KeReadStateEvent(&requests[0].Done) == 0 && KeReadStateEvent(&requests[2].Done) == 0);
        SocketClose(socket);
        for (SIZE_T r = 0; r < COUNT(requests); r++) {
            if (r != 1) {
                CHECK(KeReadStateEvent(&requests[r].Done) != 0); /* before the close completed (F-115) */
                CHECK(RequestWait(&requests[r], STATUS_PENDING) == STATUS_CANCELLED);
                CHECK(requests[r].Irp->IoStatus.Information == 0);
            }
            RequestFree(&requests[r]);
        }
    }
}

/* ---- connections ---- */

/* C 4.5 SIO_WSK_SET_TCP_SILENT_MODE: not on this machine itself, where the host would answer anyway (C-31). */
static void TestSilence(void)
{
    SOCKADDR_IN6 there;
    PWSK_SOCKET listener = Listener(&there), socket = Bound(), peer;

    CHECK(Ioctl(socket, SIO_WSK_SET_TCP_SILENT_MODE, 0, NULL, 0, NULL) == STATUS_INVALID_DEVICE_STATE);
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(socket)->WskConnect(socket, (PSOCKADDR)&there, 0, FRESH))));
    peer = Accept(listener, NULL, NULL);
    CHECK(Ioctl(socket, SIO_WSK_SET_TCP_SILENT_MODE, 0, NULL, 0, NULL) == STATUS_NOT_SUPPORTED);
    /* It speaks on. */
    CHECK(Send(socket, 10) == STATUS_SUCCESS);
    CHECK(Receive(peer) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 10);
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(socket)->WskDisconnect(socket, NULL, 0, FRESH))));
    CHECK(Receive(peer) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 0);
    SocketClose(socket);
    SocketClose(peer);
    SocketClose(listener);
}

/* F-156, F-61: with data, which the peer has before anything that is sent later. */
static void TestConnectEx(void)
{
    SOCKADDR_IN6 there, wild;
    PWSK_SOCKET listener = Listener(&there), socket, peer;
    WSK_BUF some = {BytesMdl, 0, 30}, most = {BytesMdl, 0, 0xffff}, more = {BytesMdl, 0, 0x10000}, nothing = {NULL, 0, 0};
    WSK_BUF *buffers[] = {&some, &most, &nothing, NULL};

    for (SIZE_T i = 0; i < COUNT(buffers); i++) {
        SIZE_T length = buffers[i] ? buffers[i]->Length : 0, got = 0;

        socket = Bound();
        CHECK(
            RequestWait(&Request, CONNECTION(socket)->WskConnectEx(socket, (PSOCKADDR)&there, &some, 1, FRESH)) ==
            STATUS_INVALID_PARAMETER);
        CHECK(
            RequestWait(&Request, CONNECTION(socket)->WskConnectEx(socket, (PSOCKADDR)&there, &more, 0, FRESH)) ==
            STATUS_BUFFER_OVERFLOW);
        wild = there;
        wild.sin6_port = 0;
        CHECK(
            RequestWait(&Request, CONNECTION(socket)->WskConnectEx(socket, (PSOCKADDR)&wild, &some, 0, FRESH)) ==
            STATUS_INVALID_ADDRESS_COMPONENT);
        CHECK(
            RequestWait(&Request, CONNECTION(socket)->WskConnectEx(socket, (PSOCKADDR)&there, buffers[i], 0, FRESH)) ==
            STATUS_SUCCESS);
        CHECK(Request.Irp->IoStatus.Information == length);
        peer = Accept(listener, NULL, NULL);
        CHECK(Send(socket, 7) == STATUS_SUCCESS);
        while (got < length + 7) {
            SIZE_T now;

            if (!NT_SUCCESS(Receive(peer)) || Request.Irp->IoStatus.Information == 0) {
                CHECK(!"more data");
                break;
            }
            now = Request.Irp->IoStatus.Information;
            if (got + now <= length)
                CHECK(RtlCompareMemory(Room, Bytes + got, now) == now);
            else if (got >= length)
                CHECK(RtlCompareMemory(Room, Bytes + (got - length), now) == now);
            got += now;
        }
        CHECK(got == length + 7);
        SocketClose(socket);
        SocketClose(peer);
    }
    SocketClose(listener);
}

/* ---- the callback of WskReceiveEx ---- */

static KEVENT Indicated, IndicatedEx;
static PWSK_DATA_INDICATION Kept;
static SIZE_T KeptBytes;
static LONG ExCalls, Calls;
static PWSK_SOCKET Removes; /* the callback of this socket removes itself */

static NTSTATUS SetEx(PWSK_SOCKET Socket, PFN_WSK_RECEIVE_EX_EVENT Function);

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    (void)Flags;
    (void)BytesAccepted;
    CHECK(SocketContext == (PVOID)0x77);
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    InterlockedIncrement(&Calls);
    KeptBytes = BytesIndicated;
    KeSetEvent(&Indicated, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_CONNECTION_DISPATCH Connection = {ReceiveEvent, NULL, NULL};

static NTSTATUS WSKAPI ReceiveExEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, PCMSGHDR ControlInfo, ULONG ControlInfoLength,
    SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    (void)Flags;
    (void)BytesAccepted;
    CHECK(SocketContext == (PVOID)0x77 && ControlInfo == NULL && ControlInfoLength == 0);
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    InterlockedIncrement(&ExCalls);
    if (Removes != NULL) {
        CHECK(SetEx(Removes, NULL) == STATUS_SUCCESS);
        if (BytesIndicated == 23)
            CHECK(SetEx(Removes, ReceiveExEvent) == STATUS_SUCCESS); /* and is there again */
    }
    Kept = DataIndication;
    KeptBytes = BytesIndicated;
    KeSetEvent(&IndicatedEx, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

/* Without an IRP: the callback calls it too. */
static NTSTATUS SetEx(PWSK_SOCKET Socket, PFN_WSK_RECEIVE_EX_EVENT Function)
{
    return BASIC(Socket)->WskControlSocket(
        Socket, WskIoctl, SIO_WSK_SET_RECEIVE_EX_CALLBACK, 0, sizeof Function, &Function, 0, NULL, NULL, NULL);
}

/* F-172, C 4.5 SIO_WSK_SET_RECEIVE_EX_CALLBACK: while it is installed it takes everything, whatever WSK_EVENT_RECEIVE says. */
static void TestReceiveEx(void)
{
    SOCKADDR_IN6 there;
    PWSK_SOCKET listener = Listener(&there), peer = Bound(), socket;

    CHECK(SetEx(peer, ReceiveExEvent) == STATUS_INVALID_DEVICE_STATE); /* not connected */
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(peer)->WskConnect(peer, (PSOCKADDR)&there, 0, FRESH))));
    socket = Accept(listener, (PVOID)0x77, &Connection);
    ExCalls = Calls = 0;
    CHECK(SetEx(socket, ReceiveExEvent) == STATUS_SUCCESS);
    for (SIZE_T length = 10; length < 13; length++) {
        if (length == 11)
            CHECK(SocketEvents(socket, WSK_EVENT_RECEIVE) == STATUS_SUCCESS);
        if (length == 12)
            CHECK(NT_SUCCESS(SocketEvents(socket, WSK_EVENT_RECEIVE | WSK_EVENT_DISABLE)));
        CHECK(Send(peer, length) == STATUS_SUCCESS);
        Await(&IndicatedEx);
        CHECK(KeptBytes == length && Kept->Buffer.Length == length);
        CHECK(CONNECTION(socket)->WskRelease(socket, Kept) == STATUS_SUCCESS);
    }
    CHECK(Calls == 0 && ExCalls == 3);
    /* Removed: nobody takes the data but who asks for it. */
    CHECK(SetEx(socket, NULL) == STATUS_SUCCESS && SetEx(socket, NULL) == STATUS_SUCCESS);
    CHECK(Send(peer, 20) == STATUS_SUCCESS);
    CHECK(Receive(socket) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 20);
    CHECK(SocketEvents(socket, WSK_EVENT_RECEIVE) == STATUS_SUCCESS);
    CHECK(Send(peer, 21) == STATUS_SUCCESS);
    Await(&Indicated);
    CHECK(KeptBytes == 21 && Calls == 1 && ExCalls == 3);
    /* And installed again. */
    CHECK(SetEx(socket, ReceiveExEvent) == STATUS_SUCCESS);
    CHECK(Send(peer, 22) == STATUS_SUCCESS);
    Await(&IndicatedEx);
    CHECK(KeptBytes == 22 && Calls == 1 && ExCalls == 4);
    CHECK(CONNECTION(socket)->WskRelease(socket, Kept) == STATUS_SUCCESS);
    /* Removed from inside, with the other callback off. */
    CHECK(NT_SUCCESS(SocketEvents(socket, WSK_EVENT_RECEIVE | WSK_EVENT_DISABLE)));
    Removes = socket;
    for (SIZE_T length = 23; length < 25; length++) {
        CHECK(Send(peer, length) == STATUS_SUCCESS);
        Await(&IndicatedEx);
        CHECK(KeptBytes == length);
        CHECK(CONNECTION(socket)->WskRelease(socket, Kept) == STATUS_SUCCESS);
    }
    Removes = NULL;
    CHECK(Send(peer, 25) == STATUS_SUCCESS);
    CHECK(Receive(socket) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 25 && ExCalls == 6);
    SocketClose(socket);
    SocketClose(peer);
    SocketClose(listener);
}

/* ---- datagrams that arrive nowhere ---- */

static NTSTATUS SendTo(PWSK_SOCKET Socket, const SOCKADDR_IN6 *To, SIZE_T Length)
{
    return RequestWait(
        &Request, DATAGRAM(Socket)->WskSendTo(Socket, &(WSK_BUF){BytesMdl, 0, Length}, 0, (PSOCKADDR)To, 0, NULL, FRESH));
}

static NTSTATUS ReceiveFrom(PWSK_SOCKET Socket)
{
    return RequestWait(
        &Request, DATAGRAM(Socket)->WskReceiveFrom(
                      Socket, &(WSK_BUF){RoomMdl, 0, sizeof Room}, 0, NULL, NULL, NULL, NULL, FRESH));
}

/* C 4.5 SIO_UDP_CONNRESET / NETRESET, F-199: a receive fails, once, if it was asked for. */
static void TestUnreachable(void)
{
    static const ADDRESS_FAMILY families[] = {AF_INET, AF_INET6};

    for (SIZE_T i = 0; i < COUNT(families); i++) {
        SOCKADDR_IN6 here, there, nobody;
        PWSK_SOCKET socket = Datagram(families[i], &here), peer = Datagram(families[i], &there);
        BOOLEAN on = TRUE, off = FALSE;

        SocketClose(Datagram(families[i], &nobody)); /* a port that was somebody's */
        /* Nothing unless asked for. */
        CHECK(SendTo(socket, &nobody, 10) == STATUS_SUCCESS && SendTo(peer, &here, 11) == STATUS_SUCCESS);
        CHECK(ReceiveFrom(socket) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 11);
        CHECK(Ioctl(socket, SIO_UDP_CONNRESET, sizeof on, &on, 0, NULL) == STATUS_SUCCESS);
        CHECK(Ioctl(socket, SIO_UDP_NETRESET, sizeof off, &off, 0, NULL) == STATUS_SUCCESS); /* the other is not touched */
        CHECK(SendTo(socket, &nobody, 10) == STATUS_SUCCESS);
        CHECK(ReceiveFrom(socket) == STATUS_PORT_UNREACHABLE && Request.Irp->IoStatus.Information == 0);
        CHECK(SendTo(peer, &here, 12) == STATUS_SUCCESS);
        CHECK(ReceiveFrom(socket) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 12);
        CHECK(Ioctl(socket, SIO_UDP_CONNRESET, sizeof off, &off, 0, NULL) == STATUS_SUCCESS);
        CHECK(SendTo(socket, &nobody, 10) == STATUS_SUCCESS && SendTo(peer, &here, 13) == STATUS_SUCCESS);
        CHECK(ReceiveFrom(socket) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 13);
        SocketClose(socket);
        SocketClose(peer);
    }
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&Indicated, SynchronizationEvent, FALSE);
    KeInitializeEvent(&IndicatedEx, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < sizeof Bytes; i++)
        Bytes[i] = (UCHAR)(i * 7 + i / 256);
    BytesMdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(BytesMdl);
    RoomMdl = IoAllocateMdl(Room, sizeof Room, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(RoomMdl);
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    for (int by_irp = 0; by_irp < 2; by_irp++) {
        ByIrp = (BOOLEAN)by_irp;
        TestAddresses();
        TestSort();
        TestRoutes();
        TestChanges();
        TestSilence();
        TestConnectEx();
        TestReceiveEx();
        TestUnreachable();
    }
    RequestFree(&Request);
    IoFreeMdl(BytesMdl);
    IoFreeMdl(RoomMdl);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
