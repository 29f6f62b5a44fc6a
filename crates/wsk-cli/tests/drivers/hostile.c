/*
 * hostile.c: arguments that no client should give. Each must come back as a status, with the IRP completed if there is one, and
 * nothing else must happen.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"

static LONG Checks, Failed;

static void CheckAt(NTSTATUS Got, NTSTATUS Wanted, const char *What, int Line)
{
    InterlockedIncrement(&Checks);
    if (Got != Wanted) {
        InterlockedIncrement(&Failed);
        DbgPrint("line %d: %s gave 0x%08x\n", Line, What, Got);
    }
}
/* The function's status, and the same in the completed IRP. */
#define GIVES(Wanted, Call)                                              \
    do {                                                                 \
        NTSTATUS returned_ = (Call);                                     \
        CheckAt(RequestWait(&Request, returned_), Wanted, #Call, __LINE__); \
        CheckAt((NTSTATUS)Request.Irp->IoStatus.Information, 0, "Information of " #Call, __LINE__); \
    } while (0)
/* Without an IRP. */
#define RETURNS(Wanted, Call) CheckAt(Call, Wanted, #Call, __LINE__)
#define IRP                   RequestIrp(&Request)

static REQUEST Request;
static UCHAR Bytes[100];
static PMDL Mdl;

static PWSK_SOCKET Create(ADDRESS_FAMILY Family, USHORT Type, ULONG Protocol, ULONG Category)
{
    PWSK_SOCKET socket = NULL;

    CheckAt(SocketCreate(Family, Type, Protocol, Category, NULL, NULL, &socket), STATUS_SUCCESS, "SocketCreate", __LINE__);
    return socket;
}

static void TestCreation(void)
{
    const WSK_PROVIDER_DISPATCH *d = Provider.Dispatch;
    PWSK_CLIENT client = Provider.Client;
    SOCKADDR_IN v4 = {AF_INET};
    SOCKADDR_IN6 v6 = {AF_INET6};
    SOCKADDR_IN linux6 = {10};
    UNICODE_STRING empty = {0, 0, NULL}, name = RTL_CONSTANT_STRING(L"localhost");
    WCHAR room[4];
    UNICODE_STRING small = {0, sizeof room, room};
    ADDRINFOEXW hints = {0}, *found = (ADDRINFOEXW *)1;
    ULONG mask = 0;

    /* F-88, F-90 */
    GIVES(STATUS_NOT_SUPPORTED, d->WskSocket(client, 99, SOCK_STREAM, IPPROTO_TCP, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskSocket(client, 10, SOCK_STREAM, IPPROTO_TCP, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskSocket(client, AF_INET, SOCK_STREAM, 0, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskSocket(client, AF_INET, 77, IPPROTO_TCP, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    for (ULONG flags = 3; flags < 40; flags += 7) /* never one bit alone */
        GIVES(STATUS_INVALID_PARAMETER,
            d->WskSocket(client, AF_INET, SOCK_STREAM, IPPROTO_TCP, flags, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_HANDLE,
        d->WskSocket((PWSK_CLIENT)Bytes, AF_INET, SOCK_STREAM, IPPROTO_TCP, 0, NULL, NULL, NULL, NULL, NULL, IRP));

    RETURNS(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&v4, (PSOCKADDR)&v4, 0, NULL, NULL, NULL, NULL, NULL,
            NULL));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, NULL, (PSOCKADDR)&v4, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&v4, NULL, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&v4, (PSOCKADDR)&v6, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&linux6, (PSOCKADDR)&v4, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskSocketConnect(client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&v4, (PSOCKADDR)&v4, 1, NULL, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_NOT_SUPPORTED,
        d->WskSocketConnect(client, SOCK_DGRAM, IPPROTO_UDP, (PSOCKADDR)&v4, (PSOCKADDR)&v4, 0, NULL, NULL, NULL, NULL, NULL, IRP));

    RETURNS(STATUS_NOT_SUPPORTED, d->WskControlClient(client, 999, 0, NULL, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, d->WskControlClient(client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_PARAMETER,
        d->WskControlClient(client, WSK_SET_STATIC_EVENT_CALLBACKS, sizeof mask, &mask, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, d->WskControlClient(client, WSK_TDI_BEHAVIOR, 100, NULL, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_HANDLE, d->WskControlClient(NULL, WSK_TRANSPORT_LIST_QUERY, 0, NULL, 0, NULL, NULL, NULL));

    /* F-221, F-226; a failure has no Information either (F-59) */
    RETURNS(STATUS_INVALID_PARAMETER, d->WskGetAddressInfo(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL));
    GIVES(STATUS_INVALID_PARAMETER, d->WskGetAddressInfo(client, NULL, NULL, 0, NULL, NULL, &found, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskGetAddressInfo(client, &empty, &empty, 0, NULL, NULL, &found, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskGetAddressInfo(client, &name, NULL, 0, NULL, NULL, NULL, NULL, NULL, IRP));
    hints.ai_addrlen = 1;
    GIVES(STATUS_INVALID_PARAMETER, d->WskGetAddressInfo(client, &name, NULL, 0, NULL, &hints, &found, NULL, NULL, IRP));
    GIVES(STATUS_NOT_FOUND, d->WskGetAddressInfo(client, &name, NULL, 9999, NULL, NULL, &found, NULL, NULL, IRP));
    CheckAt(found == NULL ? 0 : -1, 0, "no result", __LINE__);
    d->WskFreeAddressInfo(client, NULL);

    GIVES(STATUS_INVALID_PARAMETER,
        d->WskGetNameInfo(client, (PSOCKADDR)&v4, sizeof v4, NULL, NULL, 0, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskGetNameInfo(client, (PSOCKADDR)&v4, 4, &small, NULL, NI_NUMERICHOST, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskGetNameInfo(client, (PSOCKADDR)&v6, sizeof v4, &small, NULL, NI_NUMERICHOST, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER,
        d->WskGetNameInfo(client, (PSOCKADDR)&v4, sizeof v4, &small, NULL, 0x8000, NULL, NULL, IRP));
    GIVES(STATUS_BUFFER_TOO_SMALL,
        d->WskGetNameInfo(client, (PSOCKADDR)&v4, sizeof v4, &small, NULL, NI_NUMERICHOST, NULL, NULL, IRP));
}

static void TestDatagram(void)
{
    PWSK_SOCKET s = Create(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET);
    const WSK_PROVIDER_DATAGRAM_DISPATCH *d = (const WSK_PROVIDER_DATAGRAM_DISPATCH *)s->Dispatch;
    SOCKADDR_IN v4 = {AF_INET};
    SOCKADDR_IN6 v6 = {AF_INET6};
    WSK_BUF data = {Mdl, 0, 10}, beyond = {Mdl, 95, 10}, outside = {Mdl, 101, 1}, none = {NULL, 0, 1};
    WSK_BUF_LIST list = {NULL, {NULL, 0, 5}};
    CMSGHDR control = {sizeof control, 0, 0};

    v4.sin_addr.S_un.S_addr = 0x0100007f;
    RETURNS(STATUS_INVALID_PARAMETER, d->WskBind(s, (PSOCKADDR)&v4, 0, NULL));
    GIVES(STATUS_INVALID_PARAMETER, d->WskBind(s, NULL, 0, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskBind(s, (PSOCKADDR)&v4, 1, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskBind(s, (PSOCKADDR)&v6, 0, IRP));
    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskSendTo(s, &data, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskReceiveFrom(s, &data, 0, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_SUCCESS, d->WskBind(s, (PSOCKADDR)&v4, 0, IRP));
    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskBind(s, (PSOCKADDR)&v4, 0, IRP));
    GIVES(STATUS_SUCCESS, d->WskGetLocalAddress(s, (PSOCKADDR)&v4, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskGetLocalAddress(s, NULL, IRP));
    RETURNS(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 0, (PSOCKADDR)&v4, 0, NULL, NULL));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, NULL, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 1, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 0, NULL, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 0, (PSOCKADDR)&v6, 0, NULL, IRP));
    /* F-80 */
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &beyond, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &outside, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &none, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 0, (PSOCKADDR)&v4, 20, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendTo(s, &data, 0, (PSOCKADDR)&v4, sizeof control, &control, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendMessages(s, NULL, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskSendMessages(s, &list, 0, (PSOCKADDR)&v4, 0, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskReceiveFrom(s, NULL, 0, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskReceiveFrom(s, &data, 2, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskReceiveFrom(s, &beyond, 0, NULL, NULL, NULL, NULL, IRP));
    /* F-215 */
    RETURNS(STATUS_INVALID_PARAMETER, d->WskRelease(s, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, d->WskRelease(s, (PWSK_DATAGRAM_INDICATION)Bytes));
    RETURNS(STATUS_INVALID_HANDLE, d->WskControlSocket(NULL, WskSetOption, SO_BROADCAST, SOL_SOCKET, 0, NULL, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_HANDLE,
        d->WskControlSocket((PWSK_SOCKET)Bytes, WskSetOption, SO_BROADCAST, SOL_SOCKET, 0, NULL, 0, NULL, NULL, NULL));
    GIVES(STATUS_INVALID_HANDLE, d->WskCloseSocket((PWSK_SOCKET)Bytes, IRP));
    RETURNS(STATUS_INVALID_PARAMETER, d->WskCloseSocket(s, NULL));
    SocketClose(s);
}

static void TestControl(void)
{
    PWSK_SOCKET s = Create(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET);
    const WSK_PROVIDER_DATAGRAM_DISPATCH *d = (const WSK_PROVIDER_DATAGRAM_DISPATCH *)s->Dispatch;
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM}, nobody = {NULL, 1};
    NPIID strange = {1, 2, 3, {4}};
    WSK_EVENT_CALLBACK_CONTROL other = {&strange, WSK_EVENT_RECEIVE_FROM};
    ULONG one = 1;
    SIZE_T length = 7;
    UCHAR small[3] = {9, 9, 9};

    /* C-14: all without an IRP. */
#define SET(Level, Code, Size, Buffer) \
    d->WskControlSocket(s, WskSetOption, Code, Level, Size, Buffer, 0, NULL, NULL, NULL)
    RETURNS(STATUS_NOT_SUPPORTED, SET(SOL_SOCKET, 0x7777, sizeof one, &one));
    RETURNS(STATUS_NOT_SUPPORTED, SET(12345, SO_BROADCAST, sizeof one, &one));
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_BROADCAST, 0, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_BROADCAST, 4, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_BROADCAST, 3, &one));
    RETURNS(STATUS_SUCCESS, SET(SOL_SOCKET, SO_BROADCAST, 1, &one));
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_CONDITIONAL_ACCEPT, sizeof one, &one)); /* another category */
    RETURNS(STATUS_INVALID_PARAMETER, SET(IPPROTO_IPV6, IPV6_V6ONLY, sizeof one, &one));         /* another family */
    /* E-15 */
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_WSK_EVENT_CALLBACK, 8, &control));
    RETURNS(STATUS_INVALID_PARAMETER, SET(SOL_SOCKET, SO_WSK_EVENT_CALLBACK, sizeof nobody, &nobody));
    RETURNS(STATUS_NOT_SUPPORTED, SET(SOL_SOCKET, SO_WSK_EVENT_CALLBACK, sizeof other, &other));
    RETURNS(STATUS_INVALID_DEVICE_STATE, SET(SOL_SOCKET, SO_WSK_EVENT_CALLBACK, sizeof control, &control)); /* not bound */
    RETURNS(STATUS_INVALID_PARAMETER, d->WskControlSocket(s, (WSK_CONTROL_SOCKET_TYPE)9, 0, 0, 0, NULL, 0, NULL, NULL, NULL));
    RETURNS(STATUS_BUFFER_TOO_SMALL,
        d->WskControlSocket(s, WskGetOption, SO_BROADCAST, SOL_SOCKET, 0, NULL, 0, NULL, &length, NULL));
    RETURNS(STATUS_SUCCESS,
        d->WskControlSocket(s, WskGetOption, SO_BROADCAST, SOL_SOCKET, 0, NULL, 2, small, &length, NULL));
    /* C-12, C-17 */
    CheckAt(length == 1 && small[0] == 1 && small[1] == 9 ? 0 : -1, 0, "one byte comes back", __LINE__);
    RETURNS(STATUS_INVALID_PARAMETER,
        d->WskControlSocket(s, WskIoctl, SIO_WSK_SET_REMOTE_ADDRESS, 0, 5, &control, 0, NULL, NULL, NULL));
    RETURNS(STATUS_INVALID_DEVICE_REQUEST,
        d->WskControlSocket(s, WskIoctl, SIO_WSK_QUERY_INSPECT_ID, 0, 0, NULL, sizeof control, &control, NULL, NULL));
    RETURNS(STATUS_NOT_SUPPORTED, d->WskControlSocket(s, WskIoctl, 0x12345678, 0, 0, NULL, 0, NULL, NULL, NULL));
    SocketClose(s);
}

static void TestStream(void)
{
    PWSK_SOCKET l = Create(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET);
    PWSK_SOCKET c = Create(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET);
    const WSK_PROVIDER_LISTEN_DISPATCH *listen = (const WSK_PROVIDER_LISTEN_DISPATCH *)l->Dispatch;
    const WSK_PROVIDER_CONNECTION_DISPATCH *d = (const WSK_PROVIDER_CONNECTION_DISPATCH *)c->Dispatch;
    SOCKADDR_IN v4 = {AF_INET}, any = {AF_INET};
    WSK_BUF data = {Mdl, 0, 10}, nothing = {NULL, 77, 0}, beyond = {Mdl, 0, 101};
    WSK_INSPECT_ID id = {1, 2};
    PWSK_SOCKET accepted;

    v4.sin_addr.S_un.S_addr = 0x0100007f;
    GIVES(STATUS_INVALID_DEVICE_STATE, listen->WskAccept(l, 0, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_SUCCESS, listen->WskBind(l, (PSOCKADDR)&v4, 0, IRP));
    GIVES(STATUS_SUCCESS, listen->WskGetLocalAddress(l, (PSOCKADDR)&v4, IRP));
    GIVES(STATUS_INVALID_PARAMETER, listen->WskAccept(l, 1, NULL, NULL, NULL, NULL, IRP));
    RETURNS(STATUS_INVALID_PARAMETER, listen->WskAccept(l, 0, NULL, NULL, NULL, NULL, NULL));
    GIVES(STATUS_INVALID_DEVICE_STATE, listen->WskInspectComplete(l, &id, WskInspectAccept, IRP)); /* not conditional */
    GIVES(STATUS_INVALID_PARAMETER, listen->WskInspectComplete(l, NULL, WskInspectAccept, IRP));
    GIVES(STATUS_INVALID_PARAMETER, listen->WskInspectComplete(l, &id, WskInspectPend, IRP));

    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskSend(c, &data, 0, IRP));
    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskReceive(c, &data, 0, IRP));
    GIVES(STATUS_INVALID_DEVICE_STATE, d->WskDisconnect(c, NULL, 0, IRP));
    GIVES(STATUS_SUCCESS, d->WskBind(c, (PSOCKADDR)&any, 0, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskConnect(c, NULL, 0, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskConnect(c, (PSOCKADDR)&v4, 4, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskConnectEx(c, (PSOCKADDR)&v4, &beyond, 0, IRP));
    GIVES(STATUS_INVALID_ADDRESS_COMPONENT, d->WskConnect(c, (PSOCKADDR)&any, 0, IRP));
    GIVES(STATUS_SUCCESS, d->WskConnect(c, (PSOCKADDR)&v4, 0, IRP));
    CheckAt(RequestWait(&Request, listen->WskAccept(l, 0, NULL, NULL, NULL, NULL, IRP)), STATUS_SUCCESS, "accept", __LINE__);
    accepted = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    GIVES(STATUS_CONNECTION_ACTIVE, d->WskConnect(c, (PSOCKADDR)&v4, 0, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskSend(c, &data, WSK_FLAG_OOB, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskReceive(c, &data, 0x100, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskReceive(c, &data, WSK_FLAG_DRAIN, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskReceive(c, &data, WSK_FLAG_DRAIN | WSK_FLAG_WAITALL, IRP));
    GIVES(STATUS_NOT_SUPPORTED, d->WskSendEx(c, &data, 0, 16, (PCMSGHDR)Bytes, IRP));
    GIVES(STATUS_SUCCESS, d->WskReceive(c, &nothing, 0, IRP));
    GIVES(STATUS_SUCCESS, d->WskSend(c, &nothing, 0, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskDisconnect(c, NULL, 0x40, IRP));
    GIVES(STATUS_INVALID_PARAMETER, d->WskDisconnect(c, &data, WSK_FLAG_ABORTIVE, IRP));
    /* A function of another category, taken from a table by mistake. */
    GIVES(STATUS_INVALID_DEVICE_REQUEST, d->WskSend(l, &data, 0, IRP));
    GIVES(STATUS_INVALID_DEVICE_REQUEST, listen->WskAccept(c, 0, NULL, NULL, NULL, NULL, IRP));
    GIVES(STATUS_INVALID_DEVICE_REQUEST, listen->WskInspectComplete(c, &id, WskInspectAccept, IRP));
    SocketClose(accepted);
    SocketClose(c);
    SocketClose(l);
}

static void TestRegistration(void)
{
    WSK_REGISTRATION never = {0};
    WSK_PROVIDER_CHARACTERISTICS versions;
    WSK_CLIENT_NPI npi = {NULL, NULL};
    WSK_PROVIDER_NPI provider;

    RETURNS(STATUS_INVALID_PARAMETER, WskRegister(NULL, &never));
    RETURNS(STATUS_INVALID_PARAMETER, WskRegister(&npi, &never));
    RETURNS(STATUS_DEVICE_NOT_READY, WskCaptureProviderNPI(&never, WSK_NO_WAIT, &provider));
    RETURNS(STATUS_INVALID_PARAMETER, WskCaptureProviderNPI(&Registration, WSK_NO_WAIT, NULL));
    RETURNS(STATUS_INVALID_PARAMETER, WskQueryProviderCharacteristics(&Registration, NULL));
    RETURNS(STATUS_DEVICE_NOT_READY, WskQueryProviderCharacteristics(&never, &versions));
    WskReleaseProviderNPI(&never);
    WskDeregister(&never);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    Mdl = IoAllocateMdl(Bytes, sizeof Bytes, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(Mdl);
    CheckAt(Attach(), STATUS_SUCCESS, "attach", __LINE__);
    RequestCreate(&Request);
    TestCreation();
    TestDatagram();
    TestControl();
    TestStream();
    TestRegistration();
    RequestFree(&Request);
    Detach();
    IoFreeMdl(Mdl);
    DbgPrint("%d checks, %d failed\n", Checks, Failed);
    return STATUS_SUCCESS;
}
