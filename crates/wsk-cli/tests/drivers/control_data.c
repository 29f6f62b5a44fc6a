/*
 * control_data.c: control messages of datagrams, both ways and by every function (control.md 4.4): on IPv4, IPv6 and dual-mode
 * sockets, by WskSendTo and WskSendMessages, by WskReceiveFrom and WskReceiveFromEvent.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

#define DATAGRAM(Socket) ((const WSK_PROVIDER_DATAGRAM_DISPATCH *)(Socket)->Dispatch)
#define COUNT(Array)     (sizeof(Array) / sizeof((Array)[0]))

static REQUEST Request;
static UCHAR Bytes[4096], Room[4096];
static PMDL BytesMdl, RoomMdl;

#define FRESH RequestIrp(&Request)

/* ---- sockets ---- */

/* What a socket is: IPv4, IPv6, or both. */
typedef enum { V4, V6, DUAL } KIND;

/* An address of this machine, as a socket of that kind has it; `Last` is the last byte of 127.0.0.x. */
static SOCKADDR_IN6 Loopback(KIND Kind, BOOLEAN Of4, UCHAR Last, USHORT Port)
{
    SOCKADDR_IN6 address = {0};
    UCHAR v4[4] = {127, 0, 0, Last};

    address.sin6_family = Kind == V4 ? AF_INET : AF_INET6;
    address.sin6_port = Port;
    if (Kind == V4) {
        RtlCopyMemory(&((SOCKADDR_IN *)&address)->sin_addr, v4, 4);
    } else if (Of4) {
        address.sin6_addr.u.Byte[10] = address.sin6_addr.u.Byte[11] = 0xff;
        RtlCopyMemory(&address.sin6_addr.u.Byte[12], v4, 4);
    } else {
        address.sin6_addr.u.Byte[15] = 1;
    }
    return address;
}

static USHORT PortOf(PWSK_SOCKET Socket)
{
    SOCKADDR_IN6 address;

    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(Socket)->WskGetLocalAddress(Socket, (PSOCKADDR)&address, FRESH))));
    return address.sin6_port; /* at the same place in both */
}

/* A socket on the wildcard address. */
static PWSK_SOCKET Open(KIND Kind, const WSK_CLIENT_DATAGRAM_DISPATCH *Dispatch)
{
    SOCKADDR_IN6 any = {Kind == V4 ? AF_INET : AF_INET6};
    PWSK_SOCKET socket;

    CHECK(NT_SUCCESS(
        SocketCreate(any.sin6_family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, Dispatch, &socket)));
    if (Kind == DUAL)
        CHECK(NT_SUCCESS(SocketOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0)));
    CHECK(NT_SUCCESS(RequestWait(&Request, DATAGRAM(socket)->WskBind(socket, (PSOCKADDR)&any, 0, FRESH))));
    return socket;
}

/* Asks for all that comes with a datagram. */
static void ShowAll(PWSK_SOCKET Socket, KIND Kind)
{
    static const ULONG v4[] = {IP_PKTINFO, IP_HOPLIMIT, IP_RECVTOS, IP_ECN};
    static const ULONG v6[] = {IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_RECVTCLASS, IPV6_ECN};

    for (SIZE_T i = 0; i < COUNT(v4); i++) {
        if (Kind != V6)
            CHECK(SocketOption(Socket, IPPROTO_IP, v4[i], 1) == STATUS_SUCCESS);
        if (Kind != V4)
            CHECK(SocketOption(Socket, IPPROTO_IPV6, v6[i], 1) == STATUS_SUCCESS);
    }
}

/* ---- chains of messages ---- */

/* A chain to send. */
typedef struct _CHAIN {
    ULONG Length;
    DECLSPEC_ALIGN(8) UCHAR Bytes[256];
} CHAIN;

static void Add(CHAIN *Chain, ULONG Level, ULONG Type, const void *Data, SIZE_T Size)
{
    PCMSGHDR header = (PCMSGHDR)(Chain->Bytes + Chain->Length);

    header->cmsg_len = CMSG_LEN(Size);
    header->cmsg_level = (INT)Level;
    header->cmsg_type = (INT)Type;
    RtlCopyMemory(WSA_CMSG_DATA(header), Data, Size);
    Chain->Length += (ULONG)CMSG_SPACE(Size);
}

static void AddNumber(CHAIN *Chain, ULONG Level, ULONG Type, ULONG Value)
{
    Add(Chain, Level, Type, &Value, sizeof Value);
}

/* The data of a message; NULL if it is not there. It has so many bytes. */
static const void *Find(PCMSGHDR First, ULONG Length, ULONG Level, ULONG Type, SIZE_T Size)
{
    WSAMSG all = {NULL, 0, NULL, 0, {Length, (CHAR *)First}, 0};

    for (PCMSGHDR at = CMSG_FIRSTHDR(&all); at != NULL; at = CMSG_NXTHDR(&all, at)) {
        if (at->cmsg_level != (INT)Level || at->cmsg_type != (INT)Type)
            continue;
        CHECK(at->cmsg_len == CMSG_LEN(Size));
        return WSA_CMSG_DATA(at);
    }
    return NULL;
}

static ULONG Messages(PCMSGHDR First, ULONG Length)
{
    WSAMSG all = {NULL, 0, NULL, 0, {Length, (CHAR *)First}, 0};
    ULONG messages = 0;

    for (PCMSGHDR at = CMSG_FIRSTHDR(&all); at != NULL; at = CMSG_NXTHDR(&all, at))
        messages++;
    return messages;
}

static BOOLEAN IsNumber(PCMSGHDR First, ULONG Length, ULONG Level, ULONG Type, ULONG Value)
{
    const ULONG *found = Find(First, Length, Level, Type, sizeof(ULONG));

    return found != NULL && *found == Value;
}

/* All four messages of a datagram, and no other: C 4.4 IP_PKTINFO, IPV6_PKTINFO, IP_TTL, IP_TOS, IP_ECN. */
static void IsAll(PCMSGHDR First, ULONG Length, BOOLEAN Of4, ULONG HopLimit, ULONG Class)
{
    ULONG level = Of4 ? IPPROTO_IP : IPPROTO_IPV6;
    SOCKADDR_IN6 here = Loopback(V6, FALSE, 1, 0);
    UCHAR here4[4] = {127, 0, 0, 1};

    CHECK(Length % 8 == 0 && Messages(First, Length) == 4);
    if (Of4) {
        const IN_PKTINFO *info = Find(First, Length, IPPROTO_IP, IP_PKTINFO, sizeof *info);

        CHECK(info != NULL && RtlCompareMemory(&info->ipi_addr, here4, 4) == 4 && info->ipi_ifindex != 0);
    } else {
        const IN6_PKTINFO *info = Find(First, Length, IPPROTO_IPV6, IPV6_PKTINFO, sizeof *info);

        CHECK(info != NULL && RtlCompareMemory(&info->ipi6_addr, &here.sin6_addr, 16) == 16 && info->ipi6_ifindex != 0);
    }
    CHECK(IsNumber(First, Length, level, Of4 ? IP_TTL : IPV6_HOPLIMIT, HopLimit));
    CHECK(IsNumber(First, Length, level, Of4 ? IP_TOS : IPV6_TCLASS, Class));
    CHECK(IsNumber(First, Length, level, Of4 ? IP_ECN : IPV6_ECN, Class & 3));
}

/* ---- functions ---- */

static ULONGLONG Control[64];
static SOCKADDR_IN6 Source;
static ULONG ControlLength, ControlFlags;

/* Receives one datagram, with room for this many bytes of control data; the bytes behind it stay. */
static NTSTATUS ReceiveWith(PWSK_SOCKET Socket, ULONG Space)
{
    WSK_BUF room = {RoomMdl, 0, sizeof Room};
    NTSTATUS status;

    RtlFillMemory(Control, sizeof Control, 0xee);
    ControlLength = Space;
    ControlFlags = 0xeeeeeeee;
    status = RequestWait(
        &Request, DATAGRAM(Socket)->WskReceiveFrom(
                      Socket, &room, 0, (PSOCKADDR)&Source, &ControlLength, (PCMSGHDR)Control, &ControlFlags, FRESH));
    CHECK(ControlLength <= Space || !NT_SUCCESS(status));
    for (SIZE_T at = NT_SUCCESS(status) ? ControlLength : 0; at < sizeof Control; at++)
        if (((UCHAR *)Control)[at] != 0xee) {
            CHECK(!"bytes behind the control data are written");
            break;
        }
    return status;
}

static NTSTATUS Receive(PWSK_SOCKET Socket)
{
    return ReceiveWith(Socket, sizeof Control);
}

/* By which function a datagram is sent. */
typedef enum { SEND_TO, SEND_MESSAGES, WAYS } WAY;

/* Sends bytes as one datagram. Address and control data are overwritten as soon as the function has returned (C-23, F-73). */
static NTSTATUS Send(PWSK_SOCKET Socket, WAY Way, SOCKADDR_IN6 To, SIZE_T Length, CHAIN Chain)
{
    WSK_BUF data = {BytesMdl, 0, Length};
    WSK_BUF_LIST list = {NULL, {BytesMdl, 0, Length}};
    PCMSGHDR control = Chain.Length ? (PCMSGHDR)Chain.Bytes : NULL;
    NTSTATUS status;

    if (Way == SEND_TO)
        status = DATAGRAM(Socket)->WskSendTo(Socket, &data, 0, (PSOCKADDR)&To, Chain.Length, control, FRESH);
    else
        status = DATAGRAM(Socket)->WskSendMessages(Socket, &list, 0, (PSOCKADDR)&To, Chain.Length, control, FRESH);
    RtlFillMemory(&To, sizeof To, 0xee);
    RtlFillMemory(&Chain, sizeof Chain, 0xee);
    RtlFillMemory(&data, sizeof data, 0xee);
    RtlFillMemory(&list, sizeof list, 0xee);
    status = RequestWait(&Request, status);
    if (NT_SUCCESS(status))
        CHECK(Request.Irp->IoStatus.Information == Length);
    return status;
}

static const CHAIN None;

/* ---- callbacks ---- */

#define MOST_KEPT 64

static PWSK_DATAGRAM_INDICATION Kept[MOST_KEPT];
static UCHAR Copies[MOST_KEPT][256];
static LONG KeptCount;
static KSEMAPHORE Arrived;

/* Keeps everything, element by element. */
static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)SocketContext;
    (void)Flags;
    while (DataIndication != NULL) {
        PWSK_DATAGRAM_INDICATION next = DataIndication->Next;

        CHECK(KeptCount < MOST_KEPT && DataIndication->ControlInfoLength <= sizeof Copies[0]);
        CHECK((DataIndication->ControlInfo == NULL) == (DataIndication->ControlInfoLength == 0));
        CHECK((ULONG_PTR)DataIndication->ControlInfo % 8 == 0);
        DataIndication->Next = NULL; /* from here on a list by itself */
        RtlCopyMemory(Copies[KeptCount], DataIndication->ControlInfo, DataIndication->ControlInfoLength);
        Kept[KeptCount++] = DataIndication;
        KeReleaseSemaphore(&Arrived, IO_NO_INCREMENT, 1, FALSE);
        DataIndication = next;
    }
    return STATUS_PENDING;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Dispatch = {ReceiveFromEvent};

static PWSK_DATAGRAM_INDICATION NextKept(LONG Number)
{
    KeWaitForSingleObject(&Arrived, Executive, KernelMode, FALSE, NULL);
    return Kept[Number];
}

/* What was kept is as it came (E-121); then it is given back. */
static void ReleaseKept(PWSK_SOCKET Socket)
{
    for (LONG i = 0; i < KeptCount; i++) {
        CHECK(
            RtlCompareMemory(Copies[i], Kept[i]->ControlInfo, Kept[i]->ControlInfoLength) == Kept[i]->ControlInfoLength);
        CHECK(DATAGRAM(Socket)->WskRelease(Socket, Kept[i]) == STATUS_SUCCESS);
    }
    KeptCount = 0;
}

/* ---- the tests ---- */

/*
 * C 4.4 (every row) but the last two: each family to each kind of server that hears it, by both functions and by callback.
 *
 * IPv4's on a dual-mode socket are of the level IPPROTO_IP (C-42); the source is of the socket's family (C-41).
 */
static void TestShown(void)
{
    static const struct {
        KIND Server, Client;
        BOOLEAN Of4;
    } pairs[] = {{V4, V4, TRUE}, {V6, V6, FALSE}, {DUAL, V4, TRUE}, {DUAL, V6, FALSE}, {DUAL, DUAL, TRUE}, {DUAL, DUAL, FALSE},
                 {V4, DUAL, TRUE}};

    for (SIZE_T i = 0; i < COUNT(pairs) * WAYS; i++) {
        KIND kind = pairs[i / WAYS].Server, from = pairs[i / WAYS].Client;
        BOOLEAN of4 = pairs[i / WAYS].Of4;
        PWSK_SOCKET server = Open(kind, &Dispatch), client = Open(from, NULL);
        SOCKADDR_IN6 to = Loopback(from, of4, 1, PortOf(server));
        SOCKADDR_IN6 source = Loopback(kind, of4, 1, PortOf(client));
        PWSK_DATAGRAM_INDICATION node;
        WAY way = (WAY)(i % WAYS);

        /* Nothing that was not asked for (E-83). */
        CHECK(Send(client, way, to, 10, None) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS);
        CHECK(ControlLength == 0 && ControlFlags == 0);
        ShowAll(server, kind);
        CHECK(NT_SUCCESS(SocketOption(client, of4 ? IPPROTO_IP : IPPROTO_IPV6, 4 /* both hop limits */, 33)));
        CHECK(Send(client, way, to, 11, None) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 11);
        IsAll((PCMSGHDR)Control, ControlLength, of4, 33, 0);
        CHECK(ControlFlags == 0);
        CHECK(RtlCompareMemory(&Source, &source, kind == V4 ? 16 : 28) == (SIZE_T)(kind == V4 ? 16 : 28));

        CHECK(NT_SUCCESS(SocketEvents(server, WSK_EVENT_RECEIVE_FROM)));
        CHECK(Send(client, way, to, 12, None) == STATUS_SUCCESS);
        node = NextKept(0);
        CHECK(node->Buffer.Length == 12);
        IsAll(node->ControlInfo, node->ControlInfoLength, of4, 33, 0);
        CHECK(RtlCompareMemory(node->RemoteAddress, &source, kind == V4 ? 16 : 28) == (SIZE_T)(kind == V4 ? 16 : 28));
        ReleaseKept(server);
        SocketClose(client);
        SocketClose(server);
    }
}

/* C-22, C-23, F-192: where from, how far, and how; what is sent next is as before. C-42: a mapped address takes IPv4's. */
static void TestChosen(void)
{
    static const struct {
        KIND Client;
        BOOLEAN Of4;
    } clients[] = {{V4, TRUE}, {V6, FALSE}, {DUAL, TRUE}, {DUAL, FALSE}};

    for (SIZE_T i = 0; i < COUNT(clients) * WAYS; i++) {
        KIND from = clients[i / WAYS].Client;
        BOOLEAN of4 = clients[i / WAYS].Of4;
        ULONG level = of4 ? IPPROTO_IP : IPPROTO_IPV6;
        PWSK_SOCKET server = Open(DUAL, NULL), client = Open(from, NULL);
        SOCKADDR_IN6 to = Loopback(from, of4, 1, PortOf(server));
        SOCKADDR_IN6 source = Loopback(DUAL, of4, of4 ? 2 : 1, PortOf(client));
        WAY way = (WAY)(i % WAYS);
        CHAIN chain = {0};

        ShowAll(server, DUAL);
        if (of4) {
            IN_PKTINFO info = {{{{127, 0, 0, 2}}}, 0};

            Add(&chain, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
            Add(&chain, IPPROTO_IP, IP_OPTIONS, NULL, 0); /* wireguard-nt sends it along */
        } else {
            IN6_PKTINFO info = {Loopback(V6, FALSE, 1, 0).sin6_addr, 1};

            Add(&chain, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
            Add(&chain, IPPROTO_IPV6, IPV6_RTHDR, NULL, 0);
        }
        AddNumber(&chain, level, of4 ? IP_TTL : IPV6_HOPLIMIT, 7);
        AddNumber(&chain, level, of4 ? IP_TOS : IPV6_TCLASS, 0xa0);
        AddNumber(&chain, level, of4 ? IP_ECN : IPV6_ECN, 2);
        CHECK(Send(client, way, to, 20, chain) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 20);
        IsAll((PCMSGHDR)Control, ControlLength, of4, 7, 0xa2);
        CHECK(RtlCompareMemory(&Source, &source, sizeof source) == sizeof source);
        CHECK(Send(client, way, to, 21, None) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 21);
        IsAll((PCMSGHDR)Control, ControlLength, of4, 64, 0);

        /* The padding of the last message need not be there; neither must the chain lie aligned. */
        chain.Length = 0;
        AddNumber(&chain, level, of4 ? IP_TTL : IPV6_HOPLIMIT, 9);
        chain.Length -= 4;
        RtlMoveMemory(chain.Bytes + 1, chain.Bytes, chain.Length);
        CHECK(
            RequestWait(
                &Request, DATAGRAM(client)->WskSendTo(
                              client, &(WSK_BUF){BytesMdl, 0, 22}, 0, (PSOCKADDR)&to, chain.Length, (PCMSGHDR)(chain.Bytes + 1),
                              FRESH)) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 22);
        IsAll((PCMSGHDR)Control, ControlLength, of4, 9, 0);
        SocketClose(client);
        SocketClose(server);
    }
}

/* The same control data goes with each message of a list, and they come in its order (F-193). */
static void TestLists(void)
{
    PWSK_SOCKET server = Open(V4, NULL), client = Open(V4, NULL);
    SOCKADDR_IN6 to = Loopback(V4, TRUE, 1, PortOf(server));
    WSK_BUF_LIST list[5];
    CHAIN chain = {0};

    ShowAll(server, V4);
    AddNumber(&chain, IPPROTO_IP, IP_TTL, 5);
    AddNumber(&chain, IPPROTO_IP, IP_TOS, 0x40);
    for (SIZE_T i = 0; i < COUNT(list); i++) {
        list[i].Next = i + 1 < COUNT(list) ? &list[i + 1] : NULL;
        list[i].Buffer = (WSK_BUF){BytesMdl, (ULONG)i, 30 + 10 * i};
    }
    CHECK(
        RequestWait(
            &Request, DATAGRAM(client)->WskSendMessages(
                          client, list, 0, (PSOCKADDR)&to, chain.Length, (PCMSGHDR)chain.Bytes, FRESH)) == STATUS_SUCCESS);
    CHECK(Request.Irp->IoStatus.Information == 30 + 40 + 50 + 60 + 70);
    for (SIZE_T i = 0; i < COUNT(list); i++) {
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 30 + 10 * i);
        CHECK(RtlCompareMemory(Room, Bytes + i, 30 + 10 * i) == 30 + 10 * i);
        IsAll((PCMSGHDR)Control, ControlLength, TRUE, 5, 0x40);
    }
    SocketClose(client);
    SocketClose(server);
}

/* Chains that are none, messages that nobody knows, values out of range: refused at once, and nothing is sent (F-192, C-22). */
static void TestMalformed(void)
{
    PWSK_SOCKET server = Open(DUAL, NULL);

    for (int dual = 0; dual < 2 * WAYS; dual++) {
        static const struct {
            ULONG Level, Type, Value;
            ULONG Size;
        } bad[] = {
            {IPPROTO_IP, 0x77, 0, 4},           {0x77, IP_TTL, 1, 4},
            {SOL_SOCKET, IP_TTL, 1, 4},         {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 0, 4},
            {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 70000, 4},
            {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 1000, 2},
            {IPPROTO_IP, IP_TTL, 256, 4},       {IPPROTO_IP, IP_TTL, 5, 3},
            {IPPROTO_IP, IP_TTL, 5, 0},         {IPPROTO_IP, IP_TOS, 256, 4},
            {IPPROTO_IP, IP_ECN, 4, 4},         {IPPROTO_IPV6, IPV6_ECN, 0xffffffff, 4},
            {IPPROTO_IP, IP_PKTINFO, 0, 4},     {IPPROTO_IP, IP_PKTINFO, 0, 0},
            {IPPROTO_IPV6, IPV6_PKTINFO, 0, 4}, {IPPROTO_IPV6, IPV6_PKTINFO, 0, 16},
            {IPPROTO_IPV6, IPV6_HOPLIMIT, 300, 4},
            {IPPROTO_IPV6, IPV6_TCLASS, 256, 4},
            {IPPROTO_IP, IP_OPTIONS, 0, 4}, /* only empty ones are ignored */
            {IPPROTO_IPV6, IPV6_RTHDR, 0, 8},
        };
        static const SIZE_T lengths[] = {0, 1, 15, 21, 32, 1000, (SIZE_T)-1, (SIZE_T)-8, (SIZE_T)1 << 63};
        PWSK_SOCKET client = Open(dual / WAYS ? DUAL : V4, NULL);
        SOCKADDR_IN6 to = Loopback(dual / WAYS ? DUAL : V4, TRUE, 1, PortOf(server));
        WAY way = (WAY)(dual % WAYS);
        CHAIN chain = {0};
        WSK_BUF data = {BytesMdl, 0, 10};

        for (SIZE_T i = 0; i < COUNT(bad); i++) {
            UCHAR value[16] = {0};

            RtlCopyMemory(value, &bad[i].Value, 4);
            chain.Length = 0;
            Add(&chain, bad[i].Level, bad[i].Type, value, bad[i].Size);
            CHECK(Send(client, way, to, 10, chain) == STATUS_INVALID_PARAMETER);
            /* Behind a good one too. */
            chain.Length = 0;
            AddNumber(&chain, IPPROTO_IP, IP_TTL, 5);
            Add(&chain, bad[i].Level, bad[i].Type, value, bad[i].Size);
            CHECK(Send(client, way, to, 10, chain) == STATUS_INVALID_PARAMETER);
        }
        for (SIZE_T i = 0; i < COUNT(lengths); i++) {
            chain.Length = 0;
            AddNumber(&chain, IPPROTO_IP, IP_TTL, 5);
            ((PCMSGHDR)chain.Bytes)->cmsg_len = lengths[i];
            CHECK(Send(client, way, to, 10, chain) == STATUS_INVALID_PARAMETER);
        }
        for (ULONG cut = 1; cut < CMSG_LEN(4); cut++) {
            chain.Length = 0;
            AddNumber(&chain, IPPROTO_IP, IP_TTL, 5);
            chain.Length = cut; /* ends in the middle */
            CHECK(Send(client, way, to, 10, chain) == STATUS_INVALID_PARAMETER);
        }
        for (ULONG more = 1; more < sizeof(CMSGHDR); more++) {
            chain.Length = 0;
            AddNumber(&chain, IPPROTO_IP, IP_TTL, 5);
            chain.Length += more; /* something behind the last one */
            CHECK(Send(client, way, to, 10, chain) == STATUS_INVALID_PARAMETER);
        }
        CHECK(
            RequestWait(&Request, DATAGRAM(client)->WskSendTo(client, &data, 0, (PSOCKADDR)&to, 16, NULL, FRESH)) ==
            STATUS_INVALID_PARAMETER);
        /* A pointer of no length is nothing. */
        CHECK(
            RequestWait(&Request, DATAGRAM(client)->WskSendTo(client, &data, 0, (PSOCKADDR)&to, 0, (PCMSGHDR)8, FRESH)) ==
            STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 10);
        /* That was the first, and it is the last. */
        CHECK(Send(client, way, to, 17, None) == STATUS_SUCCESS);
        CHECK(Receive(server) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 17);
        SocketClose(client);
    }
    SocketClose(server);
}

/* F-195, F-196: room for none, some or all of it, byte by byte. */
static void TestRoom(void)
{
    for (KIND kind = V4; kind <= V6; kind++) {
        PWSK_SOCKET server = Open(kind, NULL), client = Open(kind, NULL);
        SOCKADDR_IN6 to = Loopback(kind, kind == V4, 1, PortOf(server));
        WSK_BUF room = {RoomMdl, 0, sizeof Room}, small = {RoomMdl, 0, 4};
        ULONG whole, info = (ULONG)CMSG_SPACE(kind == V4 ? sizeof(IN_PKTINFO) : sizeof(IN6_PKTINFO));

        ShowAll(server, kind);
        whole = info + 3 * (ULONG)CMSG_SPACE(sizeof(INT));
        for (ULONG space = 0; space <= whole + 9; space++) {
            ULONG fits = space < info ? 0 : info + (space - info) / (ULONG)CMSG_SPACE(4) * (ULONG)CMSG_SPACE(4);

            CHECK(Send(client, SEND_TO, to, 10, None) == STATUS_SUCCESS);
            CHECK(ReceiveWith(server, space) == STATUS_SUCCESS && Request.Irp->IoStatus.Information == 10);
            CHECK(ControlLength == (fits < whole ? fits : whole));
            CHECK(ControlFlags == (ControlLength == whole ? 0 : MSG_CTRUNC));
            CHECK(Messages((PCMSGHDR)Control, ControlLength) == (ControlLength < info ? 0 : 1 + (ControlLength - info) / 24));
        }
        /* Without a length the control data is ignored; the flags are written all the same. */
        RtlFillMemory(Control, sizeof Control, 0xee);
        ControlFlags = 0xeeeeeeee;
        CHECK(Send(client, SEND_TO, to, 10, None) == STATUS_SUCCESS);
        CHECK(
            RequestWait(
                &Request, DATAGRAM(server)->WskReceiveFrom(
                              server, &room, 0, NULL, NULL, (PCMSGHDR)Control, &ControlFlags, FRESH)) == STATUS_SUCCESS);
        CHECK(ControlFlags == 0 && *(UCHAR *)Control == 0xee);
        /* A length without a place. */
        ControlLength = sizeof Control;
        CHECK(Send(client, SEND_TO, to, 10, None) == STATUS_SUCCESS);
        CHECK(
            RequestWait(&Request, DATAGRAM(server)->WskReceiveFrom(
                                      server, &room, 0, NULL, &ControlLength, NULL, &ControlFlags, FRESH)) == STATUS_SUCCESS);
        CHECK(ControlFlags == MSG_CTRUNC && ControlLength == 0);
        /* A datagram that is cut, with its control data whole. */
        ControlLength = sizeof Control;
        CHECK(Send(client, SEND_TO, to, 10, None) == STATUS_SUCCESS);
        CHECK(
            RequestWait(
                &Request, DATAGRAM(server)->WskReceiveFrom(
                              server, &small, 0, NULL, &ControlLength, (PCMSGHDR)Control, &ControlFlags, FRESH)) ==
            STATUS_SUCCESS);
        CHECK(Request.Irp->IoStatus.Information == 4 && ControlFlags == MSG_TRUNC && ControlLength == whole);
        SocketClose(client);
        SocketClose(server);
    }
}

/* C 4.4 UDP_SEND_MSG_SIZE / UDP_COALESCED_INFO: one send that becomes three datagrams, and datagrams that come as one (E-86). */
static void TestSegments(void)
{
    for (int i = 0; i < 2 * WAYS * 2; i++) {
        KIND kind = i / 4 ? V6 : V4;
        BOOLEAN coalesces = (i & 1) != 0;
        WAY way = (WAY)(i / 2 % 2);
        PWSK_SOCKET server = Open(kind, NULL), client = Open(kind, NULL);
        SOCKADDR_IN6 to = Loopback(kind, kind == V4, 1, PortOf(server));
        CHAIN chain = {0};
        SIZE_T whole = 0;

        if (coalesces)
            CHECK(NT_SUCCESS(SocketOption(server, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 65535)));
        AddNumber(&chain, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 1000);
        CHECK(Send(client, way, to, 2500, chain) == STATUS_SUCCESS);
        while (whole < 2500) {
            SIZE_T length;

            if (!NT_SUCCESS(Receive(server))) {
                CHECK(!"a datagram");
                break;
            }
            length = Request.Irp->IoStatus.Information;
            CHECK(RtlCompareMemory(Room, Bytes + whole, length) == length);
            if (length > 1000)
                CHECK(coalesces && IsNumber((PCMSGHDR)Control, ControlLength, IPPROTO_UDP, UDP_COALESCED_INFO, 1000));
            else
                CHECK(length == (whole < 2000 ? 1000 : 500) && ControlLength == 0);
            whole += length;
        }
        CHECK(whole == 2500);
        SocketClose(client);
        SocketClose(server);
    }
}

/* A port of this machine that nobody has. */
static USHORT Nobody(KIND Kind)
{
    PWSK_SOCKET socket = Open(Kind, NULL);
    USHORT port = PortOf(socket);

    SocketClose(socket);
    return port;
}

/* C 4.4 IP_RECVERR / IPV6_RECVERR, E-84: an ICMP error is an element of its own, and says where the datagram had been sent. */
static void TestErrors(void)
{
    static const struct {
        KIND Kind;
        BOOLEAN Of4;
    } kinds[] = {{V4, TRUE}, {V6, FALSE}, {DUAL, TRUE}, {DUAL, FALSE}};

    for (SIZE_T i = 0; i < 2 * COUNT(kinds); i++) {
        KIND kind = kinds[i / 2].Kind;
        BOOLEAN of4 = kinds[i / 2].Of4, by_event = (BOOLEAN)(i & 1);
        PWSK_SOCKET socket = Open(kind, &Dispatch);
        SOCKADDR_IN6 to = Loopback(kind, of4, 1, Nobody(kind)), from;
        const IN_RECVERR *error;

        if (kind != V6)
            CHECK(NT_SUCCESS(SocketOption(socket, IPPROTO_IP, IP_RECVERR, 1)));
        if (kind != V4)
            CHECK(NT_SUCCESS(SocketOption(socket, IPPROTO_IPV6, IPV6_RECVERR, 1)));
        if (by_event)
            CHECK(NT_SUCCESS(SocketEvents(socket, WSK_EVENT_RECEIVE_FROM)));
        CHECK(Send(socket, SEND_TO, to, 10, None) == STATUS_SUCCESS);
        if (by_event) {
            PWSK_DATAGRAM_INDICATION node = NextKept(0);

            RtlCopyMemory(&from, node->RemoteAddress, kind == V4 ? 16 : 28);
            error = Find(
                node->ControlInfo, node->ControlInfoLength, of4 ? IPPROTO_IP : IPPROTO_IPV6, of4 ? IP_RECVERR : IPV6_RECVERR,
                sizeof *error);
        } else {
            CHECK(Receive(socket) == STATUS_SUCCESS);
            CHECK(ControlFlags == MSG_ERRQUEUE);
            from = Source;
            error = Find(
                (PCMSGHDR)Control, ControlLength, of4 ? IPPROTO_IP : IPPROTO_IPV6, of4 ? IP_RECVERR : IPV6_RECVERR,
                sizeof *error);
        }
        CHECK(RtlCompareMemory(&from, &to, kind == V4 ? 16 : 28) == (SIZE_T)(kind == V4 ? 16 : 28));
        CHECK(error != NULL);
        if (error != NULL && of4)
            CHECK(error->protocol == IPPROTO_ICMP && error->type == 3 && error->code == 3);
        else if (error != NULL)
            CHECK(error->protocol == IPPROTO_ICMPV6 && error->type == 1 && error->code == 4);
        ReleaseKept(socket);
        SocketClose(socket);
    }
}

/* Control data of kept indications stays as it is, whatever comes after them, until they are released (E-116, E-121). */
static void TestKept(void)
{
    PWSK_SOCKET server = Open(DUAL, &Dispatch), clients[] = {Open(V4, NULL), Open(V6, NULL)};

    ShowAll(server, DUAL);
    CHECK(NT_SUCCESS(SocketEvents(server, WSK_EVENT_RECEIVE_FROM)));
    for (int round = 0; round < 2; round++) {
        for (LONG i = 0; i < MOST_KEPT; i++) {
            BOOLEAN of4 = i % 2 == 0;
            CHAIN chain = {0};
            PWSK_DATAGRAM_INDICATION node;

            AddNumber(&chain, of4 ? IPPROTO_IP : IPPROTO_IPV6, of4 ? IP_TTL : IPV6_HOPLIMIT, 100 + i);
            AddNumber(&chain, of4 ? IPPROTO_IP : IPPROTO_IPV6, of4 ? IP_TOS : IPV6_TCLASS, i << 2);
            CHECK(
                Send(clients[i % 2], SEND_TO, Loopback(of4 ? V4 : V6, of4, 1, PortOf(server)), 10 + i, chain) == STATUS_SUCCESS);
            node = NextKept(i);
            CHECK(node->Buffer.Length == (SIZE_T)(10 + i));
        }
        for (LONG i = 0; i < MOST_KEPT; i++)
            IsAll(Kept[i]->ControlInfo, Kept[i]->ControlInfoLength, i % 2 == 0, 100 + i, (i << 2) & 0xff);
        ReleaseKept(server);
    }
    SocketClose(clients[0]);
    SocketClose(clients[1]);
    SocketClose(server);
}

/* Queued requests are served first, oldest first, each with the control data of its datagram; then the callback (E-112, F-198). */
static void TestOrder(void)
{
    PWSK_SOCKET server = Open(V4, &Dispatch), client = Open(V4, NULL);
    SOCKADDR_IN6 to = Loopback(V4, TRUE, 1, PortOf(server));
    static ULONGLONG control[3][64];
    static UCHAR rooms[3][64];
    REQUEST requests[3];
    ULONG lengths[3], flags[3];
    PMDL mdls[3];

    ShowAll(server, V4);
    CHECK(NT_SUCCESS(SocketEvents(server, WSK_EVENT_RECEIVE_FROM)));
    for (int i = 0; i < 3; i++) {
        mdls[i] = IoAllocateMdl(rooms[i], sizeof rooms[i], FALSE, FALSE, NULL);
        MmBuildMdlForNonPagedPool(mdls[i]);
        CHECK(RequestCreate(&requests[i]));
        lengths[i] = sizeof control[i];
        CHECK(
            DATAGRAM(server)->WskReceiveFrom(
                server, &(WSK_BUF){mdls[i], 0, sizeof rooms[i]}, 0, NULL, &lengths[i], (PCMSGHDR)control[i], &flags[i],
                RequestIrp(&requests[i])) == STATUS_PENDING);
    }
    for (ULONG i = 0; i < 4; i++) {
        CHAIN chain = {0};

        AddNumber(&chain, IPPROTO_IP, IP_TTL, 50 + i);
        CHECK(Send(client, SEND_TO, to, 30 + i, chain) == STATUS_SUCCESS);
    }
    for (ULONG i = 0; i < 3; i++) {
        CHECK(RequestWait(&requests[i], STATUS_PENDING) == STATUS_SUCCESS && requests[i].Irp->IoStatus.Information == 30 + i);
        IsAll((PCMSGHDR)control[i], lengths[i], TRUE, 50 + i, 0);
        RequestFree(&requests[i]);
        IoFreeMdl(mdls[i]);
    }
    CHECK(NextKept(0)->Buffer.Length == 33);
    IsAll(Kept[0]->ControlInfo, Kept[0]->ControlInfoLength, TRUE, 53, 0);
    ReleaseKept(server);
    SocketClose(client);
    SocketClose(server);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeSemaphore(&Arrived, 0, MAXLONG);
    for (ULONG i = 0; i < sizeof Bytes; i++)
        Bytes[i] = (UCHAR)(i * 7 + i / 256);
    BytesMdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(BytesMdl);
    RoomMdl = IoAllocateMdl(Room, sizeof Room, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(RoomMdl);
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    TestShown();
    TestChosen();
    TestLists();
    TestMalformed();
    TestRoom();
    TestSegments();
    TestErrors();
    TestKept();
    TestOrder();
    RequestFree(&Request);
    IoFreeMdl(BytesMdl);
    IoFreeMdl(RoomMdl);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
