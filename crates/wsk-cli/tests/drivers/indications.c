/*
 * indications.c: a client that takes indications apart in every way that real clients do (events.md 11): releases elements one
 * by one in any order, some of them inside the callback, uses Next for itself, keeps some beyond the close, accepts parts, and
 * refuses.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

static REQUEST Request;
static UCHAR Bytes[64];
static PMDL BytesMdl;
static PWSK_SOCKET Receiver, Sender;
static SOCKADDR_IN Address = {AF_INET};

/* What the callback does with the next indication, and what it got. */
static enum { KeepAll, ReleaseInside, ReturnSuccess, ScribbleAndReturn, Refuse, AcceptPart } What;
static KEVENT Called;
static PVOID Kept[64];
static LONG KeptCount;
static SIZE_T Seen;
static LONG Calls;

#define DATAGRAM(Socket)   ((const WSK_PROVIDER_DATAGRAM_DISPATCH *)(Socket)->Dispatch)
#define CONNECTION(Socket) ((const WSK_PROVIDER_CONNECTION_DISPATCH *)(Socket)->Dispatch)

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    NTSTATUS status = STATUS_PENDING;
    int index = 0;

    (void)SocketContext;
    (void)Flags;
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    if (What == ReturnSuccess)
        status = STATUS_SUCCESS;
    while (DataIndication != NULL) {
        PWSK_DATAGRAM_INDICATION next = DataIndication->Next;

        Seen += DataIndication->Buffer.Length;
        CHECK(DataIndication->ControlInfo == NULL && DataIndication->ControlInfoLength == 0);
        if (What == ScribbleAndReturn) {
            DataIndication->Next = (PWSK_DATAGRAM_INDICATION)(ULONG_PTR)0x1234; /* our own business until we return */
            status = STATUS_SUCCESS;
        } else if (What == ReleaseInside && index % 2 == 0) {
            DataIndication->Next = NULL;
            CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, DataIndication) == STATUS_SUCCESS);
        } else if (status == STATUS_PENDING) {
            DataIndication->Next = NULL;
            Kept[KeptCount++] = DataIndication;
        }
        index++;
        DataIndication = next;
    }
    KeSetEvent(&Called, IO_NO_INCREMENT, FALSE);
    return status;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Datagrams = {ReceiveFromEvent};

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    NTSTATUS status = STATUS_SUCCESS;

    (void)SocketContext;
    (void)Flags;
    if (DataIndication == NULL)
        return STATUS_SUCCESS;
    if (What == Refuse)
        status = STATUS_DATA_NOT_ACCEPTED;
    else if (What == AcceptPart)
        *BytesAccepted = 10;
    InterlockedIncrement(&Calls);
    Seen = BytesIndicated;
    KeSetEvent(&Called, IO_NO_INCREMENT, FALSE); /* from here on the test changes its mind */
    return status;
}

static const WSK_CLIENT_CONNECTION_DISPATCH Connection = {ReceiveEvent, NULL, NULL};

static void SendDatagrams(int Count)
{
    for (int i = 0; i < Count; i++) {
        WSK_BUF data = {BytesMdl, 0, 20};
        CHECK(NT_SUCCESS(RequestWait(
            &Request, DATAGRAM(Sender)->WskSendTo(Sender, &data, 0, (PSOCKADDR)&Address, 0, NULL, RequestIrp(&Request)))));
    }
}

/* Waits until so many bytes were indicated. */
static void AwaitBytes(SIZE_T Length)
{
    while (Seen < Length)
        KeWaitForSingleObject(&Called, Executive, KernelMode, FALSE, NULL);
    CHECK(Seen == Length);
    Seen = 0;
}

static PWSK_SOCKET DatagramSocket(const void *Dispatch)
{
    SOCKADDR_IN any = {AF_INET};
    PWSK_SOCKET socket;

    any.sin_addr.S_un.S_addr = 0x0100007f;
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, Dispatch, &socket)));
    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)&any, 0, RequestIrp(&Request)))));
    return socket;
}

/* E-117, E-118, E-121, F-116, F-216 */
static void TestDatagrams(void)
{
    WSK_DATAGRAM_INDICATION own = {NULL};
    PWSK_DATAGRAM_INDICATION first, second;

    Receiver = DatagramSocket(&Datagrams);
    Sender = DatagramSocket(NULL);
    CHECK(NT_SUCCESS(RequestWait(
        &Request, DATAGRAM(Receiver)->WskGetLocalAddress(Receiver, (PSOCKADDR)&Address, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(SocketEvents(Receiver, WSK_EVENT_RECEIVE_FROM)));

    /* Kept one by one, released in the reverse order. */
    What = KeepAll;
    SendDatagrams(9);
    AwaitBytes(9 * 20);
    CHECK(KeptCount == 9);
    while (KeptCount > 0)
        CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, (PWSK_DATAGRAM_INDICATION)Kept[--KeptCount]) == STATUS_SUCCESS);

    /* Chained by us into one list, and released at once; what is not one's own is refused, and nothing is released. */
    SendDatagrams(2);
    AwaitBytes(2 * 20);
    first = (PWSK_DATAGRAM_INDICATION)Kept[0];
    second = (PWSK_DATAGRAM_INDICATION)Kept[1];
    KeptCount = 0;
#ifdef MISUSE
    first->Next = &own;
    CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, first) == STATUS_INVALID_PARAMETER);
    first->Next = second;
    CHECK(DATAGRAM(Sender)->WskRelease(Sender, first) == STATUS_INVALID_PARAMETER);
    second->Next = first; /* a ring */
    CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, first) == STATUS_INVALID_PARAMETER);
    second->Next = NULL;
#endif
    (void)own;
    first->Next = second;
    CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, first) == STATUS_SUCCESS);
#ifdef MISUSE
    CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, second) == STATUS_INVALID_PARAMETER); /* twice */
#endif

    /* Some released inside the callback that keeps the rest. */
    What = ReleaseInside;
    SendDatagrams(8);
    AwaitBytes(8 * 20);
    while (KeptCount > 0)
        CHECK(DATAGRAM(Receiver)->WskRelease(Receiver, (PWSK_DATAGRAM_INDICATION)Kept[--KeptCount]) == STATUS_SUCCESS);

    /* Given back by returning; the links may be anything by then. */
    What = ReturnSuccess;
    SendDatagrams(4);
    AwaitBytes(4 * 20);
    What = ScribbleAndReturn;
    SendDatagrams(4);
    AwaitBytes(4 * 20);

    /* One is released after its socket is closed: late, but harmless (E-119). */
    What = KeepAll;
    SendDatagrams(1);
    AwaitBytes(20);
    SocketClose(Receiver);
    CHECK(RtlCompareMemory(
              MmGetSystemAddressForMdlSafe(((PWSK_DATAGRAM_INDICATION)Kept[0])->Buffer.Mdl, NormalPagePriority), Bytes, 20) ==
          20);
    {
        /* The table is gone with the socket; another datagram socket has the same. */
        CHECK(DATAGRAM(Sender)->WskRelease(Receiver, (PWSK_DATAGRAM_INDICATION)Kept[0]) == STATUS_SUCCESS);
    }
    KeptCount = 0;
    SocketClose(Sender);
}

static void AwaitCall(LONG Number)
{
    while (Calls < Number)
        KeWaitForSingleObject(&Called, Executive, KernelMode, FALSE, NULL);
}

static void Send(PWSK_SOCKET Socket, SIZE_T Length)
{
    WSK_BUF data = {BytesMdl, 0, Length};

    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(Socket)->WskSend(Socket, &data, 0, RequestIrp(&Request)))));
}

/* Refusal stops the callbacks until a receive has completed; nothing is lost or seen twice. */
static void TestStream(void)
{
    static UCHAR room[64];
    PMDL mdl = IoAllocateMdl(room, sizeof room, FALSE, FALSE, NULL);
    WSK_BUF space = {mdl, 0, 25}, nothing = {NULL, 0, 0};
    SOCKADDR_IN any = {AF_INET}, there = {AF_INET};
    PWSK_SOCKET listener, one, two;
    const WSK_PROVIDER_LISTEN_DISPATCH *listen;

    MmBuildMdlForNonPagedPool(mdl);
    there.sin_addr.S_un.S_addr = 0x0100007f;
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &listener)));
    listen = (const WSK_PROVIDER_LISTEN_DISPATCH *)listener->Dispatch;
    CHECK(NT_SUCCESS(RequestWait(&Request, listen->WskBind(listener, (PSOCKADDR)&there, 0, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(
        RequestWait(&Request, listen->WskGetLocalAddress(listener, (PSOCKADDR)&there, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        Provider.Dispatch->WskSocketConnect(
            Provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&any, (PSOCKADDR)&there, 0, NULL, NULL, NULL, NULL, NULL,
            RequestIrp(&Request)))));
    two = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    CHECK(NT_SUCCESS(
        RequestWait(&Request, listen->WskAccept(listener, 0, NULL, &Connection, NULL, NULL, RequestIrp(&Request)))));
    one = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    CHECK(NT_SUCCESS(SocketEvents(one, WSK_EVENT_RECEIVE)));

    What = Refuse;
    Send(two, 30);
    AwaitCall(1);
    CHECK(Seen == 30 && Calls == 1);
    What = ReturnSuccess;
    /* The receive takes the oldest 25 bytes, and then the callbacks go on with the other 5. */
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(one)->WskReceive(one, &space, 0, RequestIrp(&Request)))));
    CHECK(Request.Irp->IoStatus.Information == 25 && RtlCompareMemory(room, Bytes, 25) == 25);
    AwaitCall(2);
    CHECK(Seen == 5 && Calls == 2);

    What = AcceptPart;
    Send(two, 40);
    AwaitCall(3);
    CHECK(Seen == 40 && Calls == 3);
    What = ReturnSuccess;
    /* A receive of nothing sets them going again, with the 30 bytes that were not accepted. */
    CHECK(NT_SUCCESS(RequestWait(&Request, CONNECTION(one)->WskReceive(one, &nothing, 0, RequestIrp(&Request)))));
    CHECK(Request.Irp->IoStatus.Information == 0);
    AwaitCall(4);
    CHECK(Seen == 30 && Calls == 4);

    SocketClose(one);
    SocketClose(two);
    SocketClose(listener);
    IoFreeMdl(mdl);
}

/* An MDL chain whose pieces a request uses in place, with empty ones between (F-79). */
static void TestChain(void)
{
    static UCHAR pieces[3][16], empty[1];
    PMDL chain[5];
    PWSK_SOCKET one = DatagramSocket(NULL), two = DatagramSocket(NULL);
    SOCKADDR_IN address;
    WSK_BUF data = {BytesMdl, 3, 30}, space;

    for (int i = 0; i < 5; i++) {
        chain[i] = i % 2 == 0 ? IoAllocateMdl(pieces[i / 2], 16, FALSE, FALSE, NULL) : IoAllocateMdl(empty, 0, FALSE, FALSE, NULL);
        MmBuildMdlForNonPagedPool(chain[i]);
        if (i > 0)
            chain[i - 1]->Next = chain[i];
    }
    space.Mdl = chain[0];
    space.Offset = 6;
    space.Length = 40;
    CHECK(NT_SUCCESS(
        RequestWait(&Request, DATAGRAM(two)->WskGetLocalAddress(two, (PSOCKADDR)&address, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(RequestWait(
        &Request, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&Request)))));
    CHECK(NT_SUCCESS(RequestWait(
        &Request, DATAGRAM(two)->WskReceiveFrom(two, &space, 0, NULL, NULL, NULL, NULL, RequestIrp(&Request)))));
    CHECK(Request.Irp->IoStatus.Information == 30);
    CHECK(RtlCompareMemory(&pieces[0][6], &Bytes[3], 10) == 10);
    CHECK(RtlCompareMemory(pieces[1], &Bytes[13], 16) == 16);
    CHECK(RtlCompareMemory(pieces[2], &Bytes[29], 4) == 4);
    CHECK(pieces[0][5] == 0 && pieces[2][4] == 0);
    SocketClose(one);
    SocketClose(two);
    for (int i = 0; i < 5; i++)
        IoFreeMdl(chain[i]);
}

/* A cancel that races with a completion: the request ends once, one way or the other. */
static void TestCancel(void)
{
    static UCHAR room[16];
    PMDL mdl = IoAllocateMdl(room, sizeof room, FALSE, FALSE, NULL);
    PWSK_SOCKET one = DatagramSocket(NULL), two = DatagramSocket(NULL);
    WSK_BUF space = {mdl, 0, sizeof room}, data = {BytesMdl, 0, 8};
    SOCKADDR_IN address;
    LONG received = 0, cancelled = 0;
    REQUEST other;

    MmBuildMdlForNonPagedPool(mdl);
    CHECK(RequestCreate(&other));
    CHECK(NT_SUCCESS(
        RequestWait(&Request, DATAGRAM(two)->WskGetLocalAddress(two, (PSOCKADDR)&address, RequestIrp(&Request)))));
    for (int i = 0; i < 300; i++) {
        PIRP irp = RequestIrp(&other);
        NTSTATUS returned = DATAGRAM(two)->WskReceiveFrom(two, &space, 0, NULL, NULL, NULL, NULL, irp);
        NTSTATUS status;

        CHECK(NT_SUCCESS(RequestWait(
            &Request, DATAGRAM(one)->WskSendTo(one, &data, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&Request)))));
        if (i % 3 != 0)
            IoCancelIrp(irp);
        status = RequestWait(&other, returned);
        CHECK(status == STATUS_SUCCESS || status == STATUS_CANCELLED);
        CHECK(status == STATUS_CANCELLED || other.Irp->IoStatus.Information == 8);
        if (status == STATUS_SUCCESS)
            received++;
        else
            cancelled++;
    }
    /* Nothing is lost: what a cancelled receive did not take is still there. */
    for (LONG i = 0; i < cancelled; i++)
        CHECK(NT_SUCCESS(RequestWait(
            &Request, DATAGRAM(two)->WskReceiveFrom(two, &space, 0, NULL, NULL, NULL, NULL, RequestIrp(&Request)))));
    CHECK(received + cancelled == 300 && received >= 100);
    RequestFree(&other);
    SocketClose(one);
    SocketClose(two);
    IoFreeMdl(mdl);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&Called, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < sizeof Bytes; i++)
        Bytes[i] = (UCHAR)(i + 1);
    BytesMdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(BytesMdl);
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    TestDatagrams();
    TestStream();
    TestChain();
    TestCancel();
    RequestFree(&Request);
    Detach();
    IoFreeMdl(BytesMdl);
    SayChecks();
    return STATUS_SUCCESS;
}
