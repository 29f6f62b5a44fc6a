/*
 * option_table.c: every option and every IOCTL, in every category and on both families, before the bind and after it, with
 * every size of buffer from 0 to 16 bytes; what comes back is compared with the tables of the subsystem, which the test writes
 * to the file ROWS.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

/* Kinds of values. */
enum { FLAG, BYTES, NUMBER, SIGNED, OCTETS, GROUP, DESCRIPTOR, EVENTS };

/* Categories as the table counts them; a stream socket is of two. */
enum { ON_LISTEN = 1, ON_DATAGRAM = 2, ON_CONNECTION = 4, ON_BASIC = 8 };

typedef struct _OPTION_ROW {
    const char *Name;
    ULONG Level, Code, On;
    BOOLEAN There, CanSet, CanGet, BeforeBind, HasDefault, Privileged;
    ULONG Kind, First, Last, Default;
} OPTION_ROW;

typedef struct _IOCTL_ROW {
    const char *Name;
    ULONG Code;
    BOOLEAN There;
    ULONG On;
} IOCTL_ROW;

#include ROWS

#define COUNT(Array) (sizeof(Array) / sizeof((Array)[0]))
#define MOST         16 /* the largest buffer of the walk */

/* ---- what fails is named ---- */

static const char *Doing = "";
static ULONG Category, Size;
static USHORT Family;
static BOOLEAN Bound, Connected;
static LONG Said;

static void WalkAt(BOOLEAN Good, const char *What, int Line, NTSTATUS Status)
{
    Checks++;
    if (Good)
        return;
    Failed++;
    if (Said++ < 40)
        DbgPrint(
            "line %d: %s: %s, category %u, family %u, bound %u, size %u: status %x\n", Line, What, Doing, Category, Family,
            Bound + Connected, Size, Status);
}
#define WALK(Condition, Status) WalkAt((BOOLEAN)!!(Condition), #Condition, __LINE__, Status)

/* An address of this machine. */
static SOCKADDR_IN6 Loopback(void)
{
    SOCKADDR_IN6 address = {Family};

    if (Family == AF_INET)
        ((SOCKADDR_IN *)&address)->sin_addr.S_un.S_addr = 0x0100007f;
    else
        address.sin6_addr.u.Byte[15] = 1;
    return address;
}

/* ---- one request ---- */

static REQUEST Request;
static BOOLEAN ByIrp;
static UCHAR In[8 + 512 + 8], Out[8 + 512 + 8];
static SIZE_T Written;

/*
 * WskControlSocket, with what is in `In + 8` and room in `Out + 8`.
 *
 * With an IRP: completed before the function returns, with the status that it returns, unless that is STATUS_PENDING; and
 * Information is what was written (C-11). Without one, *OutputSizeReturned is (C-12); with one that too (C-13). Nothing is
 * written before the buffer, behind it, or behind what is said to be written; the input is not written at all.
 */
static NTSTATUS Control(
    PWSK_SOCKET Socket, WSK_CONTROL_SOCKET_TYPE Type, ULONG Level, ULONG Code, SIZE_T InSize, PVOID Input, SIZE_T OutSize,
    PVOID Output)
{
    UCHAR before[sizeof In];
    SIZE_T length[3] = {0xeeeeeeee, 12345, 0xeeeeeeee};
    NTSTATUS status;

    Size = (ULONG)(InSize + OutSize);
    RtlCopyMemory(before, In, sizeof In);
    RtlFillMemory(Out, sizeof Out, 0xee);
    status = ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)
                 ->WskControlSocket(
                     Socket, Type, Code, Level, InSize, Input, OutSize, Output, &length[1], ByIrp ? RequestIrp(&Request) : NULL);
    WALK(length[0] == 0xeeeeeeee && length[2] == 0xeeeeeeee, status);
    WALK(RtlCompareMemory(before, In, sizeof In) == sizeof In, status);
    WALK(length[1] != 12345, status);
    if (status == STATUS_PENDING)
        return status;
    Written = NT_SUCCESS(status) ? length[1] : 0;
    if (ByIrp)
        WALK(Request.Irp->IoStatus.Status == status && Request.Irp->IoStatus.Information == Written, status);
    WALK(NT_SUCCESS(status) || status == STATUS_BUFFER_OVERFLOW || length[1] == 0, status);
    WALK(Written <= OutSize, status);
    for (SIZE_T at = 0; at < 8; at++)
        WALK(Out[at] == 0xee && Out[8 + Written + at] == 0xee, status);
    if (status == STATUS_BUFFER_OVERFLOW)
        Written = length[1];
    return status;
}

static NTSTATUS Set(PWSK_SOCKET Socket, const OPTION_ROW *Row, SIZE_T Length)
{
    return Control(Socket, WskSetOption, Row->Level, Row->Code, Length, In + 8, 0, NULL);
}

static NTSTATUS Get(PWSK_SOCKET Socket, const OPTION_ROW *Row, SIZE_T Room)
{
    return Control(Socket, WskGetOption, Row->Level, Row->Code, 0, NULL, Room, Out + 8);
}

/* Sets a number of four bytes. */
static NTSTATUS SetTo(PWSK_SOCKET Socket, const OPTION_ROW *Row, ULONG Value)
{
    RtlCopyMemory(In + 8, &Value, sizeof Value);
    return Set(Socket, Row, sizeof Value);
}

static ULONG Answer(void)
{
    ULONG value;

    RtlCopyMemory(&value, Out + 8, sizeof value);
    return value;
}

/* ---- options ---- */

/* Whether a set takes so many bytes (C-17). */
static BOOLEAN Takes(const OPTION_ROW *Row, SIZE_T Length)
{
    switch (Row->Kind) {
    case FLAG:
        return Length == 1 || Length == 2 || Length == 4;
    case BYTES:
        return Length == 4 || Length == 8;
    case NUMBER:
    case SIGNED:
        return Length == 4;
    case DESCRIPTOR:
        return Length == sizeof(PVOID);
    default:
        return FALSE; /* of groups and events the walk's zeros are none */
    }
}

/* Whether the socket at hand has the option: its category and its family. */
static BOOLEAN Has(const OPTION_ROW *Row, ULONG On)
{
    /* An IPv4 socket has none of IPv6's; an IPv6 socket has IPv4's, for its IPv4 half (C-20). */
    return (Row->On & On) != 0 && (Row->Level != IPPROTO_IPV6 || Family == AF_INET6);
}

/* C 4.1 (every row), C 4.2 (every row), C 4.3 (every row), C-16, C-17, C-20; those of before the bind too (F-109). */
static void WalkSet(PWSK_SOCKET Socket, const OPTION_ROW *Row, ULONG On)
{
    ULONG value = Row->Kind == BYTES ? 4096 : Row->First;

    RtlZeroMemory(In, sizeof In);
    RtlCopyMemory(In + 8, &value, sizeof value);
    for (SIZE_T length = 0; length <= MOST; length++) {
        NTSTATUS status = Set(Socket, Row, length);
        NTSTATUS expected = STATUS_SUCCESS;

        if (!Row->There || !Row->CanSet)
            expected = STATUS_NOT_SUPPORTED;
        else if (!Has(Row, On) || !Takes(Row, length))
            expected = STATUS_INVALID_PARAMETER;
        else if (Row->BeforeBind && Bound)
            expected = STATUS_INVALID_DEVICE_STATE;
        if (Row->Kind == OCTETS && expected == STATUS_INVALID_PARAMETER && Has(Row, On)) {
            /* What bytes are taken is Linux's business; too many never are. */
            WALK(status == expected || length <= Row->Last, status);
            continue;
        }
        WALK(status == expected, status);
    }
    Size = 8;
    /* A length without a buffer. */
    WALK(!NT_SUCCESS(Control(Socket, WskSetOption, Row->Level, Row->Code, 8, NULL, 0, NULL)), 0);
}

static void Release(PVOID Cached)
{
    SIZE_T length = 12345;

    WALK(
        Provider.Dispatch->WskControlClient(
            Provider.Client, WSK_RELEASE_SD, sizeof Cached, &Cached, 0, NULL, &length, NULL) == STATUS_SUCCESS,
        0);
    WALK(length == 0, 0);
}

/* C 4.1 (every row), C 4.2 (every row), C 4.3 (every row), C-16, C-17, C-19: what can be asked for can be before the bind. */
static void WalkGet(PWSK_SOCKET Socket, const OPTION_ROW *Row, ULONG On)
{
    BOOLEAN no_destination = !Connected && Row->Code == (Row->Level == IPPROTO_IP ? IP_MTU : IPV6_MTU) &&
                             (Row->Level == IPPROTO_IP || Row->Level == IPPROTO_IPV6);
    NTSTATUS whole = Get(Socket, Row, 512);
    SIZE_T needed = Written;
    ULONG value = Answer();

    if (Row->Kind == DESCRIPTOR && NT_SUCCESS(whole))
        Release(*(PVOID *)(Out + 8));
    for (SIZE_T room = 0; room <= MOST; room++) {
        NTSTATUS status = Get(Socket, Row, room);
        NTSTATUS expected = STATUS_SUCCESS;
        SIZE_T least = Row->Kind == OCTETS || Row->Kind == DESCRIPTOR ? needed : 1;

        if (!Row->There || !Row->CanGet)
            expected = STATUS_NOT_SUPPORTED;
        else if (!Has(Row, On))
            expected = STATUS_INVALID_PARAMETER;
        else if (no_destination)
            expected = STATUS_INVALID_DEVICE_STATE;
        else if (room < least)
            expected = STATUS_BUFFER_TOO_SMALL;
        WALK(status == expected, status);
        if (!NT_SUCCESS(status))
            continue;
        if (Row->Kind == DESCRIPTOR) {
            WALK(Written == sizeof(PVOID), status);
            Release(*(PVOID *)(Out + 8));
        } else if (Row->Kind == OCTETS) {
            WALK(Written == needed, status);
        } else if (room >= 4) {
            WALK(Written == 4 && Answer() == value, status);
        } else {
            WALK(Written == 1 && Out[8] == (UCHAR)value, status);
        }
    }
    Size = MOST;
    if (Row->There && Row->CanGet && Has(Row, On) && !no_destination && (Row->Kind != OCTETS || needed > 0))
        WALK(
            Control(Socket, WskGetOption, Row->Level, Row->Code, 0, NULL, MOST, NULL) == STATUS_BUFFER_TOO_SMALL, 0);
}

/* The low two bits of a TOS byte of TCP are the host's, for congestion notification. */
static BOOLEAN OfStream(const OPTION_ROW *Row)
{
    BOOLEAN tos = Row->Level == IPPROTO_IP && (Row->Code == IP_TOS || Row->Code == IP_TCLASS);

    return (tos || (Row->Level == IPPROTO_IPV6 && Row->Code == IPV6_TCLASS)) && Category != WSK_FLAG_DATAGRAM_SOCKET;
}

/* The longest segment of a connection is what both ends agreed on. */
static BOOLEAN IsAgreed(const OPTION_ROW *Row)
{
    return Connected && Row->Level == IPPROTO_TCP && Row->Code == TCP_MAXSEG;
}

/* What is set is what is asked for; on a new socket it is what the table says. Left as it was. */
static void WalkValues(PWSK_SOCKET Socket, const OPTION_ROW *Row, BOOLEAN New)
{
    ULONG before;

    if (!Row->CanGet || (Row->Kind != FLAG && Row->Kind != BYTES && Row->Kind != NUMBER && Row->Kind != SIGNED))
        return;
    if (!NT_SUCCESS(Get(Socket, Row, 4)))
        return;
    before = Answer();
    if (New && Row->HasDefault)
        WALK(before == Row->Default, before);
    if (!Row->CanSet || (Row->BeforeBind && Bound))
        return;
    for (ULONG more = 0; more < 5; more++) {
        ULONG value = Row->Kind == FLAG ? !more : Row->Kind == SIGNED ? 30 : (Row->Kind == BYTES ? 5000 : Row->First) + more;
        ULONG kept = OfStream(Row) ? value & ~3u : value;
        NTSTATUS status;

        if (value > Row->Last && Row->Kind == NUMBER)
            continue;
        status = SetTo(Socket, Row, value);
        if (Row->Kind == NUMBER && more > 0 && !NT_SUCCESS(status))
            continue; /* an index of no interface, for example */
        WALK(status == STATUS_SUCCESS, status);
        WALK(Get(Socket, Row, 4) == STATUS_SUCCESS, 0);
        WALK(Answer() == kept || IsAgreed(Row), Answer());
    }
    /* Out of range (C-16). */
    if (Row->Kind == NUMBER && Row->First > 0)
        WALK(SetTo(Socket, Row, Row->First - 1) == STATUS_INVALID_PARAMETER, 0);
    if (Row->Kind == NUMBER && Row->Last < 0xffffffff)
        WALK(SetTo(Socket, Row, Row->Last + 1) == STATUS_INVALID_PARAMETER, 0);
    if (Row->Kind == SIGNED)
        WALK(SetTo(Socket, Row, 0xfffffffe) == STATUS_INVALID_PARAMETER, 0);
    SetTo(Socket, Row, before);
}

static void WalkOption(PWSK_SOCKET Socket, const OPTION_ROW *Row, ULONG On)
{
    Doing = Row->Name;
    if (Row->Privileged)
        return;
    ByIrp = FALSE;
    if (Row->There && Has(Row, On))
        WalkValues(Socket, Row, !Bound);
    for (int by_irp = 0; by_irp < 2; by_irp++) {
        ByIrp = (BOOLEAN)by_irp;
        WalkGet(Socket, Row, On);
        WalkSet(Socket, Row, On);
    }
    ByIrp = FALSE;
    if (Row->There && Row->CanSet && Row->HasDefault && Has(Row, On) && !(Row->BeforeBind && Bound))
        WALK(SetTo(Socket, Row, Row->Default) == STATUS_SUCCESS, 0);
}

/* Level and number that no row has (C-16). */
static void WalkUnknown(PWSK_SOCKET Socket)
{
    static const OPTION_ROW unknown[] = {
        {"unknown option", SOL_SOCKET, 0x7777}, {"unknown level", 0x77, IP_TTL}, {"unknown option", IPPROTO_TCP, 0x7777}};

    for (SIZE_T i = 0; i < COUNT(unknown); i++) {
        Doing = unknown[i].Name;
        for (SIZE_T size = 0; size <= MOST; size++) {
            WALK(Set(Socket, &unknown[i], size) == STATUS_NOT_SUPPORTED, 0);
            WALK(Get(Socket, &unknown[i], size) == STATUS_NOT_SUPPORTED, 0);
        }
    }
    Doing = "unknown kind of request";
    WALK(Control(Socket, (WSK_CONTROL_SOCKET_TYPE)3, SOL_SOCKET, SO_TYPE, 0, NULL, 4, Out + 8) == STATUS_INVALID_PARAMETER, 0);
}

/* ---- IOCTLs ---- */

static NTSTATUS Ioctl(PWSK_SOCKET Socket, ULONG Code, SIZE_T InSize, SIZE_T OutSize)
{
    return Control(Socket, WskIoctl, Code * 7, Code, InSize, InSize ? In + 8 : NULL, OutSize, OutSize ? Out + 8 : NULL); /* C-10 */
}

/* What a socket says to `InSize` zeros and `Room` bytes of room. */
static NTSTATUS Expected(const IOCTL_ROW *Row, ULONG On, SIZE_T InSize, SIZE_T Room)
{
    if (!Row->There)
        return STATUS_NOT_SUPPORTED;
    if ((Row->On & On) == 0)
        return STATUS_INVALID_PARAMETER;
    if (Connected && Row->Code == SIO_WSK_SET_TCP_SILENT_MODE)
        return STATUS_NOT_SUPPORTED; /* to this machine itself */
    if (Connected && (Row->Code == SIO_WSK_QUERY_IDEAL_SEND_BACKLOG || Row->Code == SIO_WSK_QUERY_RECEIVE_BACKLOG))
        return Room < sizeof(SIZE_T) ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;
    switch (Row->Code) {
    case SIO_WSK_SET_REMOTE_ADDRESS:
    case SIO_WSK_SET_SENDTO_ADDRESS:
        if (InSize != 0)
            return STATUS_INVALID_PARAMETER;
        return Bound ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_STATE;
    case SIO_WSK_REGISTER_EXTENSION:
    case SIO_ROUTING_INTERFACE_QUERY:
    case SIO_ROUTING_INTERFACE_CHANGE:
        return STATUS_INVALID_PARAMETER; /* no address, no NPI id */
    case SIO_WSK_QUERY_IDEAL_SEND_BACKLOG:
    case SIO_WSK_QUERY_RECEIVE_BACKLOG:
    case SIO_WSK_SET_TCP_SILENT_MODE:
        return STATUS_INVALID_DEVICE_STATE;
    case SIO_WSK_QUERY_INSPECT_ID:
        return STATUS_INVALID_DEVICE_REQUEST;
    case SIO_WSK_SET_RECEIVE_EX_CALLBACK:
        return InSize == sizeof(PVOID) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER; /* none is removed */
    case SIO_ADDRESS_LIST_QUERY:
        return STATUS_BUFFER_OVERFLOW; /* of 16 bytes an address and what points to it find no room */
    case SIO_ADDRESS_LIST_CHANGE:
        return ByIrp ? STATUS_PENDING : STATUS_REQUEST_NOT_ACCEPTED;
    case SIO_ADDRESS_LIST_SORT:
        if (InSize < sizeof(INT))
            return STATUS_INVALID_PARAMETER;
        return Room < 8 ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS; /* no address */
    case SIO_LOOPBACK_FAST_PATH:
        return InSize == 1 ? STATUS_SUCCESS : STATUS_INVALID_BUFFER_SIZE;
    case SIO_KEEPALIVE_VALS:
        return InSize == 12 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    case SIO_UDP_CONNRESET:
    case SIO_UDP_NETRESET:
        return InSize == 1 || InSize == 2 || InSize == 4 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    case SIO_QUERY_RSS_PROCESSOR_INFO:
        return Room < sizeof(SOCKET_PROCESSOR_AFFINITY) ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;
    case SIO_QUERY_RSS_SCALABILITY_INFO:
        return Room < sizeof(BOOLEAN) ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;
    case SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS:
    case SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT:
    case SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS:
        return STATUS_NOT_FOUND;
    default:
        WALK(!"an IOCTL that the walk does not know", STATUS_NOT_SUPPORTED);
        return STATUS_NOT_SUPPORTED;
    }
}

/* C 4.5 (every row), C-10, C-11, C-12, C-13, C-16. */
static void WalkIoctl(PWSK_SOCKET Socket, const IOCTL_ROW *Row, ULONG On)
{
    Doing = Row->Name;
    RtlZeroMemory(In, sizeof In);
    for (SIZE_T in = 0; in <= MOST; in++) {
        for (SIZE_T room = 0; room <= MOST; room += in % 4 == 0 ? 1 : 5) {
            NTSTATUS expected, status;

            ByIrp = (BOOLEAN)((in + room) & 1);
            expected = Expected(Row, On, in, room);
            status = Ioctl(Socket, Row->Code, in, room);
            WALK(status == expected, status);
            if (status == STATUS_PENDING) {
                IoCancelIrp(Request.Irp);
                WALK(RequestWait(&Request, status) == STATUS_CANCELLED && Request.Irp->IoStatus.Information == 0, status);
            }
        }
    }
    for (int by_irp = 0; by_irp < 2; by_irp++) {
        ByIrp = (BOOLEAN)by_irp;
        /* Lengths without buffers. */
        WALK(!NT_SUCCESS(Control(Socket, WskIoctl, 0, Row->Code, 8, NULL, 0, NULL)), 0);
        if (Row->There && Expected(Row, On, 0, MOST) == STATUS_SUCCESS && Expected(Row, On, 0, 0) == STATUS_BUFFER_TOO_SMALL)
            WALK(Control(Socket, WskIoctl, 0, Row->Code, 0, NULL, MOST, NULL) == STATUS_BUFFER_TOO_SMALL, 0);
    }
}

/* ---- structures and the privileged ---- */

static const OPTION_ROW *Named(ULONG Level, ULONG Code)
{
    for (SIZE_T i = 0; i < COUNT(Options); i++)
        if (Options[i].Level == Level && Options[i].Code == Code)
            return &Options[i];
    CHECK(!"an option of that number");
    return &Options[0];
}

static NTSTATUS Give(PWSK_SOCKET Socket, ULONG Level, ULONG Code, const void *Value, SIZE_T Length)
{
    const OPTION_ROW *row = Named(Level, Code);

    Doing = row->Name;
    RtlCopyMemory(In + 8, Value, Length);
    return Set(Socket, row, Length);
}

/* C 4.2 ADD/DROP MEMBERSHIP, C 4.2 MCAST_JOIN/LEAVE, BLOCK/UNBLOCK, JOIN/LEAVE_SOURCE. */
static void TestGroups(void)
{
    static const IN6_ADDR group6 = {{{0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x42}}};
    IP_MREQ mreqs[2] = {{{{{0}}}}}, *mreq = &mreqs[0];
    IPV6_MREQ mreq6 = {{{{0}}}};
    IP_MREQ_SOURCE source = {{{{0}}}};
    GROUP_REQ req;
    PWSK_SOCKET socket;

    Bound = FALSE;
    Category = WSK_FLAG_DATAGRAM_SOCKET;
    Family = AF_INET;
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    mreq->imr_multiaddr.S_un.S_addr = 0x4203feef; /* 239.254.3.66 */
    mreq->imr_interface.S_un.S_addr = 0x0100007f;
    CHECK(Give(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, sizeof *mreq - 1) == STATUS_INVALID_PARAMETER);
    CHECK(Give(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, sizeof *mreq + 1) == STATUS_INVALID_PARAMETER);
    CHECK(Give(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, sizeof *mreq) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IP, IP_DROP_MEMBERSHIP, mreq, sizeof *mreq) == STATUS_SUCCESS);
    CHECK(!NT_SUCCESS(Give(socket, IPPROTO_IP, IP_DROP_MEMBERSHIP, mreq, sizeof *mreq))); /* of no group any more */
    source.imr_multiaddr = mreq->imr_multiaddr;
    source.imr_interface = mreq->imr_interface;
    source.imr_sourceaddr.S_un.S_addr = 0x0200007f;
    CHECK(Give(socket, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &source, sizeof source) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &source, sizeof source) == STATUS_SUCCESS);
    mreq->imr_multiaddr.S_un.S_addr = 0x0100000a; /* no group at all */
    CHECK(Give(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, mreq, sizeof *mreq) == STATUS_INVALID_PARAMETER);
    RtlZeroMemory(&req, sizeof req);
    req.gr_interface = 1;
    ((SOCKADDR_IN *)&req.gr_group)->sin_family = AF_INET;
    ((SOCKADDR_IN *)&req.gr_group)->sin_addr.S_un.S_addr = 0x4203feef;
    CHECK(Give(socket, IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof req) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IP, MCAST_LEAVE_GROUP, &req, sizeof req) == STATUS_SUCCESS);
    SocketClose(socket);

    Family = AF_INET6;
    CHECK(NT_SUCCESS(SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    mreq6.ipv6mr_multiaddr = group6;
    mreq6.ipv6mr_interface = 1;
    CHECK(Give(socket, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &mreq6, sizeof mreq6 - 1) == STATUS_INVALID_PARAMETER);
    CHECK(Give(socket, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &mreq6, sizeof mreq6) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &mreq6, sizeof mreq6) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IPV6, MCAST_JOIN_GROUP, &req, sizeof req) == STATUS_INVALID_PARAMETER); /* of IPv4 */
    SocketClose(socket);
}

/* C 4.1 SO_WSK_EVENT_CALLBACK: set only, one size, bound sockets. */
static void TestEvents(void)
{
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM};
    PWSK_SOCKET socket;

    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    for (SIZE_T length = 0; length < sizeof control; length++)
        CHECK(Give(socket, SOL_SOCKET, SO_WSK_EVENT_CALLBACK, &control, length) == STATUS_INVALID_PARAMETER);
    CHECK(!NT_SUCCESS(Give(socket, SOL_SOCKET, SO_WSK_EVENT_CALLBACK, &control, sizeof control)));
    CHECK(Get(socket, Named(SOL_SOCKET, SO_WSK_EVENT_CALLBACK), sizeof control) == STATUS_NOT_SUPPORTED);
    SocketClose(socket);
}

/* What Linux has for the privileged, or for raw sockets, alone: taken, or refused with a status that says so. */
static void TestPrivileged(void)
{
    static const UCHAR padding[8] = {59, 0, 1, 4, 0, 0, 0, 0}; /* a hop-by-hop header that pads */
    PWSK_SOCKET socket;
    ULONG on = 1;
    NTSTATUS status;

    CHECK(NT_SUCCESS(SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    status = Give(socket, SOL_SOCKET, SO_DEBUG, &on, sizeof on);
    CHECK(status == STATUS_SUCCESS || status == STATUS_ACCESS_DENIED);
    on = 0;
    CHECK(Give(socket, SOL_SOCKET, SO_DEBUG, &on, sizeof on) == STATUS_SUCCESS);
    CHECK(Give(socket, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) == STATUS_INVALID_PARAMETER); /* not a raw socket */
    CHECK(Give(socket, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof on) == STATUS_INVALID_PARAMETER);
    status = Give(socket, IPPROTO_IPV6, IPV6_HOPOPTS, padding, sizeof padding);
    CHECK(status == STATUS_SUCCESS || status == STATUS_ACCESS_DENIED);
    CHECK(!NT_SUCCESS(Give(socket, IPPROTO_IPV6, IPV6_HOPOPTS, padding, 3)));
    CHECK(!NT_SUCCESS(Give(socket, IPPROTO_IPV6, IPV6_RTHDR, padding, 5)));
    SocketClose(socket);
}

/* ---- what accepted sockets have of their listener ---- */

static BOOLEAN IsInherited(const OPTION_ROW *Row)
{
    ULONG both = ON_LISTEN | ON_CONNECTION;
    BOOLEAN number = Row->Kind == FLAG || Row->Kind == BYTES || Row->Kind == NUMBER || Row->Kind == SIGNED;

    return Row->There && Row->CanSet && Row->CanGet && !Row->BeforeBind && !Row->Privileged && number && (Row->On & both) == both &&
           Has(Row, both);
}

/* Every option of both that can be set at any time is inherited, and may be set anew on either (C-18). */
static void TestInheritance(void)
{
    static const USHORT families[] = {AF_INET, AF_INET6};
    static ULONG values[COUNT(Options)];

    for (SIZE_T i = 0; i < COUNT(families); i++) {
        PWSK_PROVIDER_LISTEN_DISPATCH dispatch;
        PWSK_SOCKET listener, peer, accepted;
        SOCKADDR_IN6 any = {families[i]}, there;
        REQUEST accept;

        Family = families[i];
        Category = WSK_FLAG_LISTEN_SOCKET;
        CHECK(NT_SUCCESS(SocketCreate(Family, SOCK_STREAM, IPPROTO_TCP, Category, NULL, NULL, &listener)));
        dispatch = (PWSK_PROVIDER_LISTEN_DISPATCH)listener->Dispatch;
        there = Loopback();
        ByIrp = FALSE;
        CHECK(NT_SUCCESS(RequestWait(&Request, dispatch->WskBind(listener, (PSOCKADDR)&there, 0, RequestIrp(&Request)))));
        CHECK(NT_SUCCESS(
            RequestWait(&Request, dispatch->WskGetLocalAddress(listener, (PSOCKADDR)&there, RequestIrp(&Request)))));
        for (SIZE_T row = 0; row < COUNT(Options); row++) {
            const OPTION_ROW *option = &Options[row];
            ULONG value = option->Kind == FLAG ? !option->Default : option->Kind == BYTES ? 30000 : option->First + 4;

            Doing = option->Name;
            if (!IsInherited(option))
                continue;
            if (value > option->Last || option->Kind == SIGNED)
                value = option->Kind == SIGNED ? 20 : option->First + 1;
            SetTo(listener, option, value); /* an index may be of no interface */
        }
        for (SIZE_T row = 0; row < COUNT(Options); row++) {
            /* Some are two names of one thing. */
            if (IsInherited(&Options[row]) && NT_SUCCESS(Get(listener, &Options[row], 4)))
                values[row] = Answer();
        }
        CHECK(RequestCreate(&accept));
        dispatch->WskAccept(listener, 0, NULL, NULL, NULL, NULL, RequestIrp(&accept));
        CHECK(NT_SUCCESS(RequestWait(
            &Request, Provider.Dispatch->WskSocketConnect(
                          Provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&any, (PSOCKADDR)&there, 0, NULL, NULL, NULL, NULL,
                          NULL, RequestIrp(&Request)))));
        peer = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
        CHECK(NT_SUCCESS(RequestWait(&accept, STATUS_PENDING)));
        accepted = (PWSK_SOCKET)accept.Irp->IoStatus.Information;
        Connected = TRUE;
        for (SIZE_T row = 0; row < COUNT(Options); row++) {
            const OPTION_ROW *option = &Options[row];

            Doing = option->Name;
            if (!IsInherited(option))
                continue;
            WALK(Get(accepted, option, 4) == STATUS_SUCCESS, 0);
            WALK(Answer() == values[row] || IsAgreed(option), Answer());
        }
        for (SIZE_T row = 0; row < COUNT(Options); row++) {
            const OPTION_ROW *option = &Options[row];

            Doing = option->Name;
            if (!IsInherited(option) || !option->HasDefault)
                continue;
            WALK(SetTo(accepted, option, option->Default) == STATUS_SUCCESS, 0);
            WALK(Get(accepted, option, 4) == STATUS_SUCCESS && Answer() == option->Default, Answer());
            WALK(Get(listener, option, 4) == STATUS_SUCCESS && Answer() == values[row], Answer());
        }
        Connected = FALSE;
        SocketClose(peer);
        SocketClose(accepted);
        SocketClose(listener);
        RequestFree(&accept);
    }
}

/* The other names of two levels (C 1). */
static void TestLevels(void)
{
    OPTION_ROW v4 = *Named(IPPROTO_IP, IP_TTL), v6 = *Named(IPPROTO_IPV6, IPV6_UNICAST_HOPS);
    PWSK_SOCKET socket;

    Doing = "SOL_IP, SOL_IPV6";
    CHECK(NT_SUCCESS(SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    v4.Level = SOL_IP;
    v6.Level = SOL_IPV6;
    CHECK(SetTo(socket, &v4, 7) == STATUS_SUCCESS && SetTo(socket, &v6, 8) == STATUS_SUCCESS);
    CHECK(Get(socket, Named(IPPROTO_IP, IP_TTL), 4) == STATUS_SUCCESS && Answer() == 7);
    CHECK(Get(socket, Named(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 4) == STATUS_SUCCESS && Answer() == 8);
    CHECK(Get(socket, &v4, 4) == STATUS_SUCCESS && Answer() == 7);
    SocketClose(socket);
}

/* ---- the walk ---- */

static const struct {
    ULONG Category, On;
    USHORT Type;
    ULONG Protocol;
} Kinds[] = {
    {WSK_FLAG_BASIC_SOCKET, ON_BASIC, SOCK_DGRAM, IPPROTO_UDP},
    {WSK_FLAG_LISTEN_SOCKET, ON_LISTEN, SOCK_STREAM, IPPROTO_TCP},
    {WSK_FLAG_DATAGRAM_SOCKET, ON_DATAGRAM, SOCK_DGRAM, IPPROTO_UDP},
    {WSK_FLAG_CONNECTION_SOCKET, ON_CONNECTION, SOCK_STREAM, IPPROTO_TCP},
    {WSK_FLAG_STREAM_SOCKET, ON_LISTEN | ON_CONNECTION, SOCK_STREAM, IPPROTO_TCP},
};

/* Binds to a free port of the wildcard address; the slot is the same in every table. */
static NTSTATUS Bind(PWSK_SOCKET Socket)
{
    SOCKADDR_IN6 any = {Family};

    ByIrp = FALSE;
    return RequestWait(
        &Request,
        ((PWSK_PROVIDER_LISTEN_DISPATCH)Socket->Dispatch)->WskBind(Socket, (PSOCKADDR)&any, 0, RequestIrp(&Request)));
}

static void WalkAll(PWSK_SOCKET Socket, ULONG On)
{
    for (SIZE_T row = 0; row < COUNT(Options); row++)
        WalkOption(Socket, &Options[row], On);
    for (SIZE_T row = 0; row < COUNT(Ioctls); row++)
        WalkIoctl(Socket, &Ioctls[row], On);
    WalkUnknown(Socket);
}

static const USHORT Families[] = {AF_INET, AF_INET6};

/*
 * Connected sockets, on both sides; a stream socket is of both categories until it listens or is connected, then of that one
 * (control.md 4).
 */
static void WalkRoles(void)
{
    for (SIZE_T i = 0; i < 2 * COUNT(Families); i++) {
        BOOLEAN stream = (BOOLEAN)(i & 1);
        PWSK_PROVIDER_STREAM_DISPATCH listens;
        PWSK_SOCKET listener, socket, accepted;
        SOCKADDR_IN6 there;
        NTSTATUS status;

        Family = Families[i / 2];
        Bound = TRUE;
        there = Loopback();
        Category = WSK_FLAG_STREAM_SOCKET;
        CHECK(NT_SUCCESS(SocketCreate(Family, SOCK_STREAM, IPPROTO_TCP, Category, NULL, NULL, &listener)));
        listens = (PWSK_PROVIDER_STREAM_DISPATCH)listener->Dispatch;
        CHECK(NT_SUCCESS(RequestWait(&Request, listens->WskBind(listener, (PSOCKADDR)&there, 0, RequestIrp(&Request)))));
        CHECK(NT_SUCCESS(RequestWait(&Request, listens->WskListen(listener, RequestIrp(&Request)))));
        CHECK(NT_SUCCESS(
            RequestWait(&Request, listens->WskGetLocalAddress(listener, (PSOCKADDR)&there, RequestIrp(&Request)))));
        Category = stream ? WSK_FLAG_STREAM_SOCKET : WSK_FLAG_CONNECTION_SOCKET;
        CHECK(NT_SUCCESS(SocketCreate(Family, SOCK_STREAM, IPPROTO_TCP, Category, NULL, NULL, &socket)));
        CHECK(NT_SUCCESS(Bind(socket)));
        if (stream)
            status = ((PWSK_PROVIDER_STREAM_DISPATCH)socket->Dispatch)
                         ->WskConnect(socket, (PSOCKADDR)&there, 0, RequestIrp(&Request));
        else
            status = ((PWSK_PROVIDER_CONNECTION_DISPATCH)socket->Dispatch)
                         ->WskConnect(socket, (PSOCKADDR)&there, 0, RequestIrp(&Request));
        CHECK(NT_SUCCESS(RequestWait(&Request, status)));
        CHECK(NT_SUCCESS(
            RequestWait(&Request, listens->WskAccept(listener, 0, NULL, NULL, NULL, NULL, RequestIrp(&Request)))));
        accepted = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
        Connected = TRUE;
        WalkAll(socket, ON_CONNECTION);
        Category = WSK_FLAG_CONNECTION_SOCKET;
        WalkAll(accepted, ON_CONNECTION);
        Connected = FALSE;
        Category = WSK_FLAG_STREAM_SOCKET;
        WalkAll(listener, ON_LISTEN);
        ByIrp = FALSE;
        SocketClose(socket);
        SocketClose(accepted);
        SocketClose(listener);
    }
}

static void Walk(void)
{

    for (SIZE_T i = 0; i < COUNT(Kinds) * COUNT(Families); i++) {
        ULONG on = Kinds[i / 2].On;
        PWSK_SOCKET socket;

        Family = Families[i % 2];
        Category = Kinds[i / 2].Category;
        CHECK(NT_SUCCESS(SocketCreate(Family, Kinds[i / 2].Type, Kinds[i / 2].Protocol, Category, NULL, NULL, &socket)));
        for (int bound = 0; bound < (Category == WSK_FLAG_BASIC_SOCKET ? 1 : 2); bound++) {
            Bound = (BOOLEAN)bound;
            if (bound)
                CHECK(NT_SUCCESS(Bind(socket)));
            WalkAll(socket, on);
        }
        SocketClose(socket);
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
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    Walk();
    WalkRoles();
    ByIrp = TRUE;
    TestGroups();
    TestEvents();
    TestPrivileged();
    TestLevels();
    TestInheritance();
    RequestFree(&Request);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
