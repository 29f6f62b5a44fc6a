/*
 * control_client.c: the control codes of a client as a whole (control.md 2): the list of transports and its changes, security
 * descriptors and who may share an address by them, TDI, static callbacks.
 *
 * Prints `N checks, M failed`.
 */
#include <ntifs.h> /* security descriptors */
#include "common.h"
#include "check.h"

#define BIND(Socket) ((PWSK_PROVIDER_LISTEN_DISPATCH)(Socket)->Dispatch) /* the same slot in all */
#define BASIC(Socket) ((PWSK_PROVIDER_BASIC_DISPATCH)(Socket)->Dispatch)
#define COUNT(Array) (sizeof(Array) / sizeof((Array)[0]))

static REQUEST Request;

#define FRESH RequestIrp(&Request)

/* ---- one request ---- */

static WSK_PROVIDER_NPI Npi; /* of the client at hand */
static BOOLEAN ByIrp;
static SIZE_T Written;

/* WskControlClient; what was written, or would have been, is said in *OutputSizeReturned, and in the IRP if there is one (C-13). */
static NTSTATUS Client(ULONG Code, SIZE_T InSize, PVOID In, SIZE_T OutSize, PVOID Out)
{
    NTSTATUS status;

    Written = 12345;
    status = Npi.Dispatch->WskControlClient(Npi.Client, Code, InSize, In, OutSize, Out, &Written, ByIrp ? FRESH : NULL);
    CHECK(status != STATUS_PENDING && Written != 12345);
    CHECK(NT_SUCCESS(status) || status == STATUS_BUFFER_OVERFLOW || Written == 0);
    if (ByIrp)
        CHECK(
            Request.Irp->IoStatus.Status == status && Request.Irp->IoStatus.Information == (NT_SUCCESS(status) ? Written : 0));
    return status;
}

/* Another client, with a registration of its own. */
static void Enter(WSK_REGISTRATION *Block)
{
    WSK_CLIENT_NPI npi = {NULL, &ClientDispatch};

    CHECK(WskRegister(&npi, Block) == STATUS_SUCCESS);
    CHECK(WskCaptureProviderNPI(Block, WSK_NO_WAIT, &Npi) == STATUS_SUCCESS);
}

static void Leave(WSK_REGISTRATION *Block)
{
    WskReleaseProviderNPI(Block);
    WskDeregister(Block);
    Npi = Provider;
}

/* ---- transports ---- */

/* C-1, C-2. */
static void TestTransports(void)
{
    WSK_TRANSPORT list[16], none;
    SIZE_T needed;
    ULONG seen = 0;

    CHECK(Client(WSK_TRANSPORT_LIST_QUERY, 0, NULL, 0, NULL) == STATUS_BUFFER_OVERFLOW);
    needed = Written;
    CHECK(needed > 0 && needed % sizeof(WSK_TRANSPORT) == 0 && needed <= sizeof list);
    for (SIZE_T room = 0; room < needed; room++) {
        RtlFillMemory(list, sizeof list, 0xee);
        CHECK(Client(WSK_TRANSPORT_LIST_QUERY, 0, NULL, room, list) == STATUS_BUFFER_OVERFLOW && Written == needed);
        CHECK(((UCHAR *)list)[0] == 0xee && ((UCHAR *)list)[room] == 0xee);
    }
    CHECK(Client(WSK_TRANSPORT_LIST_QUERY, 0, NULL, needed, NULL) == STATUS_BUFFER_OVERFLOW && Written == needed);
    for (SIZE_T more = 0; more < 2; more++) {
        RtlFillMemory(list, sizeof list, 0xee);
        /* An input is ignored. */
        CHECK(Client(WSK_TRANSPORT_LIST_QUERY, more, &none, needed + more, list) == STATUS_SUCCESS && Written == needed);
        CHECK(((UCHAR *)list)[needed] == 0xee);
    }
    for (SIZE_T i = 0; i < needed / sizeof list[0]; i++) {
        const WSK_TRANSPORT *at = &list[i];

        CHECK(at->Version == MAKE_WSK_VERSION(1, 0));
        CHECK(at->AddressFamily == AF_INET || at->AddressFamily == AF_INET6 || at->AddressFamily == AF_UNSPEC);
        if (at->SocketType == SOCK_STREAM && at->Protocol == IPPROTO_TCP)
            seen |= at->AddressFamily == AF_INET ? 1 : 2;
        if (at->SocketType == SOCK_DGRAM && at->Protocol == IPPROTO_UDP)
            seen |= at->AddressFamily == AF_INET ? 4 : 8;
    }
    CHECK(seen == 15);
}

/* C-3, F-22: it waits for a change, however many do; it is cancelled one by one, and all of them with the client. */
static void TestChange(void)
{
    WSK_REGISTRATION block;
    REQUEST requests[4];
    SIZE_T length = 12345;

    CHECK(
        Npi.Dispatch->WskControlClient(Npi.Client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, &length, NULL) ==
        STATUS_INVALID_PARAMETER);
    CHECK(length == 0);
    Enter(&block);
    for (SIZE_T i = 0; i < COUNT(requests); i++) {
        CHECK(RequestCreate(&requests[i]));
        CHECK(
            Npi.Dispatch->WskControlClient(
                Npi.Client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, NULL, RequestIrp(&requests[i])) == STATUS_PENDING);
    }
    CHECK(IoCancelIrp(requests[1].Irp));
    CHECK(RequestWait(&requests[1], STATUS_PENDING) == STATUS_CANCELLED && requests[1].Irp->IoStatus.Information == 0);
    CHECK(!IoCancelIrp(requests[1].Irp)); /* it has ended */
    /* The others wait on. */
    CHECK(KeReadStateEvent(&requests[0].Done) == 0 && KeReadStateEvent(&requests[3].Done) == 0);
    /* One that was cancelled before it came. */
    FRESH;
    IoCancelIrp(Request.Irp);
    CHECK(
        RequestWait(
            &Request, Npi.Dispatch->WskControlClient(
                          Npi.Client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, NULL, Request.Irp)) == STATUS_CANCELLED);
    Leave(&block);
    for (SIZE_T i = 0; i < COUNT(requests); i++) {
        if (i != 1) {
            CHECK(KeReadStateEvent(&requests[i].Done) != 0); /* completed before WskDeregister returned */
            CHECK(RequestWait(&requests[i], STATUS_PENDING) == STATUS_CANCELLED);
        }
        RequestFree(&requests[i]);
    }
}

/* Other codes, and every size of input but the right one. */
static void TestCodes(void)
{
    static const ULONG others[] = {0, 1, 9, 10, 0x7fffffff, 0xffffffff};
    static const struct {
        ULONG Code;
        SIZE_T Size;
    } sizes[] = {
        {WSK_CACHE_SD, sizeof(PVOID)},
        {WSK_RELEASE_SD, sizeof(PVOID)},
        {WSK_TDI_DEVICENAME_MAPPING, sizeof(WSK_TDI_MAP_INFO)},
        {WSK_SET_STATIC_EVENT_CALLBACKS, sizeof(WSK_EVENT_CALLBACK_CONTROL)},
        {WSK_TDI_BEHAVIOR, sizeof(ULONG)},
    };
    UCHAR in[32] = {0}, out[32];

    for (SIZE_T size = 0; size <= sizeof in; size++) {
        for (SIZE_T i = 0; i < COUNT(others); i++)
            CHECK(Client(others[i], size, in, size, out) == STATUS_NOT_SUPPORTED);
        for (SIZE_T i = 0; i < COUNT(sizes); i++)
            if (size != sizes[i].Size)
                CHECK(Client(sizes[i].Code, size, in, sizeof out, out) == STATUS_INVALID_PARAMETER);
    }
    for (SIZE_T i = 0; i < COUNT(sizes); i++)
        CHECK(Client(sizes[i].Code, sizes[i].Size, NULL, sizeof out, out) == STATUS_INVALID_PARAMETER);
}

/* ---- security descriptors ---- */

static const UCHAR Everyone[] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};   /* S-1-1-0 */
static const UCHAR System_[] = {1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};   /* S-1-5-18: the subsystem's own context */
static const UCHAR Stranger[] = {1, 1, 0, 0, 0, 0, 0, 5, 99, 0, 0, 0};  /* S-1-5-99 */

#define OWNER_AT 20
#define LIST_AT  32

/* A list of one entry: header of 8 bytes, entry of 20. */
static void BuildList(UCHAR *List, UCHAR Type, ULONG Rights, const UCHAR *Sid)
{
    static const UCHAR header[] = {2, 0, 28, 0, 1, 0, 0, 0};

    RtlCopyMemory(List, header, sizeof header);
    List[8] = Type; /* 0 allows, 1 denies */
    List[9] = 0;
    List[10] = 20;
    List[11] = 0;
    RtlCopyMemory(List + 12, &Rights, 4);
    RtlCopyMemory(List + 16, Sid, 12);
}

/* A self-relative descriptor, with an owner and that list. */
static void Build(UCHAR *Descriptor, UCHAR Type, ULONG Rights, const UCHAR *Sid)
{
    ULONG offsets[4] = {OWNER_AT, 0, 0, LIST_AT};

    RtlZeroMemory(Descriptor, LIST_AT);
    Descriptor[0] = SECURITY_DESCRIPTOR_REVISION;
    Descriptor[2] = SE_DACL_PRESENT;
    Descriptor[3] = SE_SELF_RELATIVE >> 8;
    RtlCopyMemory(Descriptor + 4, offsets, sizeof offsets);
    RtlCopyMemory(Descriptor + OWNER_AT, System_, sizeof System_);
    BuildList(Descriptor + LIST_AT, Type, Rights, Sid);
}

static NTSTATUS Cache(const void *Descriptor, PVOID *Cached)
{
    *Cached = NULL;
    return Client(WSK_CACHE_SD, sizeof Descriptor, &Descriptor, sizeof *Cached, Cached);
}

static NTSTATUS Release(PVOID Cached)
{
    return Client(WSK_RELEASE_SD, sizeof Cached, &Cached, 0, NULL);
}

/* C-6: equal ones may be one, with a count; each is released as often as it was cached, and is its own self-relative form. */
static void TestDescriptors(void)
{
    UCHAR one[64], two[64], list[32], before[60];
    SECURITY_DESCRIPTOR absolute;
    PVOID cached[4], out[3] = {(PVOID)0xee, (PVOID)0xee, (PVOID)0xee};
    const void *in = one;

    Build(one, 0, 1, Everyone);
    Build(two, 1, 1, Everyone);
    CHECK(Cache(one, &cached[0]) == STATUS_SUCCESS && Written == sizeof(PVOID) && cached[0] != NULL);
    CHECK(cached[0] != (PVOID)one && ((UCHAR *)cached[0])[0] == 1 && (((UCHAR *)cached[0])[3] & 0x80) != 0);
    RtlCopyMemory(before, cached[0], sizeof before);
    RtlFillMemory(one, sizeof one, 0xee); /* it is a copy */
    CHECK(RtlCompareMemory(before, cached[0], sizeof before) == sizeof before);
    CHECK(RtlCompareMemory((UCHAR *)cached[0] + OWNER_AT, System_, 12) == 12);
    Build(one, 0, 1, Everyone);
    CHECK(Cache(one, &cached[1]) == STATUS_SUCCESS);
    CHECK(Cache(two, &cached[2]) == STATUS_SUCCESS && cached[2] != cached[0]);
    CHECK(Cache(cached[0], &cached[3]) == STATUS_SUCCESS); /* of a cached one */
    CHECK(Release(cached[1]) == STATUS_SUCCESS && Release(cached[3]) == STATUS_SUCCESS);
    CHECK(RtlCompareMemory(before, cached[0], sizeof before) == sizeof before);
    CHECK(Release(cached[2]) == STATUS_SUCCESS && Release(cached[2]) == STATUS_INVALID_PARAMETER);
    CHECK(Release(cached[0]) == STATUS_SUCCESS && Release(cached[0]) == STATUS_INVALID_PARAMETER);
    CHECK(Release(NULL) == STATUS_INVALID_PARAMETER && Release(one) == STATUS_INVALID_PARAMETER);

    /* Absolute ones, whose parts lie elsewhere. */
    BuildList(list, 0, 1, Everyone);
    CHECK(NT_SUCCESS(RtlCreateSecurityDescriptor(&absolute, SECURITY_DESCRIPTOR_REVISION)));
    absolute.Owner = (PSID)System_;
    CHECK(NT_SUCCESS(RtlSetDaclSecurityDescriptor(&absolute, TRUE, (PACL)list, FALSE)));
    CHECK(Cache(&absolute, &cached[0]) == STATUS_SUCCESS && Cache(one, &cached[1]) == STATUS_SUCCESS);
    CHECK(RtlCompareMemory(cached[0], cached[1], sizeof before) == sizeof before);
    CHECK(Release(cached[0]) == STATUS_SUCCESS && Release(cached[1]) == STATUS_SUCCESS);

    /* Room for the pointer, and no more than that is written. */
    for (SIZE_T room = 0; room < sizeof(PVOID); room++)
        CHECK(Client(WSK_CACHE_SD, sizeof in, &in, room, &out[1]) == STATUS_BUFFER_TOO_SMALL);
    CHECK(Client(WSK_CACHE_SD, sizeof in, &in, sizeof(PVOID), NULL) == STATUS_BUFFER_TOO_SMALL);
    CHECK(out[1] == (PVOID)0xee);
    CHECK(Client(WSK_CACHE_SD, sizeof in, &in, 2 * sizeof(PVOID), &out[1]) == STATUS_SUCCESS);
    CHECK(out[0] == (PVOID)0xee && out[2] == (PVOID)0xee && Release(out[1]) == STATUS_SUCCESS);
    CHECK(Release(out[1]) == STATUS_INVALID_PARAMETER); /* those that failed left nothing behind */
}

/* Broken ones, by every function that takes one. */
static void TestBroken(void)
{
    static const struct {
        ULONG At;
        UCHAR Value;
    } broken[] = {
        {0, 0},            {0, 2},                 /* revision */
        {OWNER_AT, 0},     {OWNER_AT, 2},          /* of the owner */
        {OWNER_AT + 1, 16},                        /* more parts than a SID has */
        {LIST_AT, 0},      {LIST_AT, 9},           /* revision of the list */
        {LIST_AT + 2, 7},  {LIST_AT + 2, 27},      /* its size: less than the header, less than the entry */
        {LIST_AT + 4, 2},                          /* its count */
        {LIST_AT + 10, 0}, {LIST_AT + 10, 3},      /* size of the entry */
        {LIST_AT + 10, 19},                        /* less than its SID */
        {LIST_AT + 16, 3}, {LIST_AT + 17, 2},      /* its SID */
    };
    PWSK_SOCKET socket;

    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket)));
    for (SIZE_T i = 0; i <= COUNT(broken); i++) {
        UCHAR descriptor[1024] = {0}, *pointer = descriptor;
        NTSTATUS status;
        PVOID cached;

        Build(descriptor, 0, 1, Everyone);
        if (i < COUNT(broken))
            descriptor[broken[i].At] = broken[i].Value;
        else
            pointer = NULL;
        CHECK(Cache(pointer, &cached) == STATUS_INVALID_SECURITY_DESCR && cached == NULL);
        if (pointer == NULL)
            continue; /* elsewhere it is the default one */
        status = BASIC(socket)->WskControlSocket(
            socket, WskSetOption, SO_WSK_SECURITY, SOL_SOCKET, sizeof pointer, &pointer, 0, NULL, NULL, NULL);
        CHECK(status == STATUS_INVALID_SECURITY_DESCR);
        status = RequestWait(
            &Request, Provider.Dispatch->WskSocket(
                          Provider.Client, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, NULL, NULL,
                          (PSECURITY_DESCRIPTOR)pointer, FRESH));
        CHECK(status == STATUS_INVALID_SECURITY_DESCR && Request.Irp->IoStatus.Information == 0);
    }
    SocketClose(socket);
}

static NTSTATUS GetSecurity(PWSK_SOCKET Socket, PVOID *Cached)
{
    SIZE_T length = 12345;
    NTSTATUS status = BASIC(Socket)->WskControlSocket(
        Socket, WskGetOption, SO_WSK_SECURITY, SOL_SOCKET, 0, NULL, sizeof *Cached, Cached, &length, NULL);

    CHECK(length == (NT_SUCCESS(status) ? sizeof *Cached : 0));
    return status;
}

static NTSTATUS SetSecurity(PWSK_SOCKET Socket, const void *Descriptor)
{
    return BASIC(Socket)->WskControlSocket(
        Socket, WskSetOption, SO_WSK_SECURITY, SOL_SOCKET, sizeof Descriptor, &Descriptor, 0, NULL, NULL, NULL);
}

/* C 4.1 SO_WSK_SECURITY: what is asked for is a cached copy, which the client releases; neither needs the other (C-6). */
static void TestSecurityOption(void)
{
    UCHAR one[64], two[64];
    PVOID cached, copy, again;
    PWSK_SOCKET socket;

    Build(one, 0, 1, Everyone);
    Build(two, 1, 1, Everyone);
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &socket)));
    CHECK(GetSecurity(socket, &copy) == STATUS_SUCCESS && copy != NULL); /* the default one */
    CHECK(Release(copy) == STATUS_SUCCESS && Release(copy) == STATUS_INVALID_PARAMETER);
    CHECK(Cache(one, &cached) == STATUS_SUCCESS);
    CHECK(SetSecurity(socket, cached) == STATUS_SUCCESS);
    CHECK(Release(cached) == STATUS_SUCCESS); /* the socket has its own */
    CHECK(GetSecurity(socket, &copy) == STATUS_SUCCESS && RtlCompareMemory(copy, one, 60) == 60);
    CHECK(SetSecurity(socket, two) == STATUS_SUCCESS); /* replaces it */
    CHECK(RtlCompareMemory(copy, one, 60) == 60);
    CHECK(GetSecurity(socket, &again) == STATUS_SUCCESS && RtlCompareMemory(again, two, 60) == 60);
    CHECK(SetSecurity(socket, NULL) == STATUS_SUCCESS);
    SocketClose(socket);
    CHECK(RtlCompareMemory(copy, one, 60) == 60 && RtlCompareMemory(again, two, 60) == 60); /* beyond the close */
    CHECK(Release(copy) == STATUS_SUCCESS && Release(again) == STATUS_SUCCESS);
}

/* ---- sharing ---- */

/* How a socket gets its descriptor. */
typedef enum { BY_SOCKET, BY_SOCKET_CACHED, BY_SOCKET_ABSOLUTE, BY_OPTION, BY_OPTION_CACHED, WAYS } WAY;

static PWSK_SOCKET With(BOOLEAN Udp, WAY Way, const UCHAR *Descriptor)
{
    UCHAR copy[64], list[32];
    SECURITY_DESCRIPTOR absolute;
    PVOID cached = NULL, given = Descriptor ? copy : NULL;
    PWSK_SOCKET socket;

    if (Descriptor != NULL)
        RtlCopyMemory(copy, Descriptor, sizeof copy);
    if (Descriptor != NULL && (Way == BY_SOCKET_CACHED || Way == BY_OPTION_CACHED)) {
        CHECK(Cache(Descriptor, &cached) == STATUS_SUCCESS);
        given = cached;
    }
    if (Descriptor != NULL && Way == BY_SOCKET_ABSOLUTE) {
        RtlCopyMemory(list, Descriptor + LIST_AT, 28);
        CHECK(NT_SUCCESS(RtlCreateSecurityDescriptor(&absolute, SECURITY_DESCRIPTOR_REVISION)));
        CHECK(NT_SUCCESS(RtlSetDaclSecurityDescriptor(&absolute, TRUE, (PACL)list, FALSE)));
        given = &absolute;
    }
    CHECK(NT_SUCCESS(RequestWait(
        &Request, Provider.Dispatch->WskSocket(
                      Provider.Client, AF_INET, Udp ? SOCK_DGRAM : SOCK_STREAM, Udp ? IPPROTO_UDP : IPPROTO_TCP,
                      Udp ? WSK_FLAG_DATAGRAM_SOCKET : WSK_FLAG_LISTEN_SOCKET, NULL, NULL, NULL, NULL,
                      Way < BY_OPTION ? (PSECURITY_DESCRIPTOR)given : NULL, FRESH))));
    socket = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    if (Way >= BY_OPTION)
        CHECK(SetSecurity(socket, given) == STATUS_SUCCESS);
    if (cached != NULL)
        CHECK(Release(cached) == STATUS_SUCCESS); /* after the completion (F-77) */
    RtlFillMemory(copy, sizeof copy, 0xee);
    RtlFillMemory(list, sizeof list, 0xee);
    RtlFillMemory(&absolute, sizeof absolute, 0xee);
    return socket;
}

/* CHECK of control.md 7, D-S against D-W: the first socket's descriptor decides (C-50, F-87). */
static void TestSharing(void)
{
    static const struct {
        UCHAR Type;
        ULONG Rights;
        const UCHAR *Sid;
        NTSTATUS Second;
    } cases[] = {
        {0, 1, Everyone, STATUS_SUCCESS},          {0, GENERIC_ALL, Everyone, STATUS_SUCCESS},
        {0, 1, System_, STATUS_SUCCESS},           {0, 1, Stranger, STATUS_ACCESS_DENIED},
        {1, 1, Everyone, STATUS_ACCESS_DENIED},    {0, 2, Everyone, STATUS_ACCESS_DENIED},
        {0, 0, NULL, STATUS_ACCESS_DENIED}, /* without a descriptor */
    };

    for (SIZE_T i = 0; i < COUNT(cases) * WAYS * 2; i++) {
        SIZE_T row = i / (2 * WAYS);
        BOOLEAN udp = (BOOLEAN)(i & 1);
        SOCKADDR_IN any = {AF_INET}, here = {AF_INET};
        PWSK_SOCKET first, second;
        UCHAR descriptor[64];
        NTSTATUS status;

        here.sin_addr.S_un.S_addr = 0x0100007f;
        if (cases[row].Sid != NULL)
            Build(descriptor, cases[row].Type, cases[row].Rights, cases[row].Sid);
        first = With(udp, (WAY)(i / 2 % WAYS), cases[row].Sid != NULL ? descriptor : NULL);
        CHECK(NT_SUCCESS(RequestWait(&Request, BIND(first)->WskBind(first, (PSOCKADDR)&any, 0, FRESH))));
        if (udp)
            status = ((PWSK_PROVIDER_DATAGRAM_DISPATCH)first->Dispatch)->WskGetLocalAddress(first, (PSOCKADDR)&any, FRESH);
        else
            status = BIND(first)->WskGetLocalAddress(first, (PSOCKADDR)&any, FRESH);
        CHECK(NT_SUCCESS(RequestWait(&Request, status)));
        here.sin_port = any.sin_port;
        second = With(udp, BY_SOCKET, NULL);
        status = RequestWait(&Request, BIND(second)->WskBind(second, (PSOCKADDR)&here, 0, FRESH));
        CHECK(status == cases[row].Second);
        if (status != cases[row].Second)
            DbgPrint("case %u, way %u, UDP %u: %x\n", (ULONG)row, (ULONG)(i / 2 % WAYS), udp, status);
        SocketClose(second);
        SocketClose(first);
    }
}

/* ---- before the first socket ---- */

/* C-4, C-5, C-60: the mapping is copied and checked; both are for clients that have no socket yet. */
static void TestTdi(void)
{
    WSK_REGISTRATION block;
    WCHAR name[] = L"\\Device\\Foreign", empty[] = L"", odd[] = {0xd800, 'a', 0};
    WSK_TDI_MAP map[2] = {{SOCK_STREAM, 77, 6, name}, {SOCK_DGRAM, AF_INET, IPPROTO_UDP, name}};
    WSK_TDI_MAP_INFO info = {2, map}, none = {0, NULL}, nowhere = {1, NULL}, many = {0x10001, map};
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM}, no_id = {NULL, WSK_EVENT_RECEIVE_FROM};
    static const NPIID unknown = {0x77};
    WSK_EVENT_CALLBACK_CONTROL other = {&unknown, WSK_EVENT_RECEIVE_FROM}, bad = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_DISABLE};
    ULONG bypass = WSK_TDI_BEHAVIOR_BYPASS_TDI, zero = 0;
    PWSK_SOCKET socket;

    Enter(&block);
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof info, &info, 0, NULL) == STATUS_SUCCESS && Written == 0);
    RtlFillMemory(name, sizeof name, 0xee); /* it was copied */
    name[COUNT(name) - 1] = 0;
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof none, &none, 0, NULL) == STATUS_SUCCESS);
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof nowhere, &nowhere, 0, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof many, &many, 0, NULL) == STATUS_INVALID_PARAMETER);
    map[1].TdiDeviceName = NULL;
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof info, &info, 0, NULL) == STATUS_INVALID_PARAMETER);
    map[1].TdiDeviceName = empty;
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof info, &info, 0, NULL) == STATUS_INVALID_PARAMETER);
    map[1].TdiDeviceName = odd;
    CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof info, &info, 0, NULL) == STATUS_INVALID_PARAMETER);
    map[1].TdiDeviceName = L"x";
    map[0].TdiDeviceName = L"y";

    CHECK(Client(WSK_TDI_BEHAVIOR, sizeof bypass, &bypass, 0, NULL) == STATUS_SUCCESS && Written == 0);
    CHECK(Client(WSK_TDI_BEHAVIOR, sizeof zero, &zero, 0, NULL) == STATUS_SUCCESS);
    for (ULONG flags = 2; flags != 0; flags <<= 1)
        CHECK(Client(WSK_TDI_BEHAVIOR, sizeof flags, &flags, 0, NULL) == STATUS_INVALID_PARAMETER);

    /* Static callbacks (E-25, E-15). */
    CHECK(Client(WSK_SET_STATIC_EVENT_CALLBACKS, sizeof no_id, &no_id, 0, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(Client(WSK_SET_STATIC_EVENT_CALLBACKS, sizeof other, &other, 0, NULL) == STATUS_NOT_SUPPORTED);
    CHECK(Client(WSK_SET_STATIC_EVENT_CALLBACKS, sizeof bad, &bad, 0, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(Client(WSK_SET_STATIC_EVENT_CALLBACKS, sizeof control, &control, 0, NULL) == STATUS_SUCCESS && Written == 0);

    CHECK(NT_SUCCESS(RequestWait(
        &Request, Npi.Dispatch->WskSocket(
                      Npi.Client, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, NULL, NULL, NULL, FRESH))));
    socket = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    for (int closed = 0; closed < 2; closed++) {
        CHECK(Client(WSK_TDI_DEVICENAME_MAPPING, sizeof info, &info, 0, NULL) == STATUS_INVALID_DEVICE_STATE);
        CHECK(Client(WSK_TDI_BEHAVIOR, sizeof bypass, &bypass, 0, NULL) == STATUS_INVALID_DEVICE_STATE);
        CHECK(Client(WSK_SET_STATIC_EVENT_CALLBACKS, sizeof control, &control, 0, NULL) == STATUS_INVALID_DEVICE_STATE);
        if (!closed)
            SocketClose(socket); /* it has had one */
    }
    Leave(&block);
}

/* A client pointer that is none: with and without an IRP. */
static void TestNoClient(void)
{
    WSK_PROVIDER_NPI before = Npi;

    Npi.Client = (PWSK_CLIENT)&Request;
    CHECK(Client(WSK_TRANSPORT_LIST_QUERY, 0, NULL, 0, NULL) == STATUS_INVALID_HANDLE);
    Npi = before;
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
    Npi = Provider;
    for (int by_irp = 0; by_irp < 2; by_irp++) {
        ByIrp = (BOOLEAN)by_irp;
        TestTransports();
        TestChange();
        TestCodes();
        TestDescriptors();
        TestBroken();
        TestSecurityOption();
        TestTdi();
        TestNoClient();
    }
    TestSharing();
    RequestFree(&Request);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
