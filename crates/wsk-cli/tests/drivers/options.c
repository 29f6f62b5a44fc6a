/*
 * options.c: the options that are numbers, set and asked for in every size (control.md 3 and 4).
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

static REQUEST Request;

/* What was written is said in both places (C-11, C-13, F-57). */
static NTSTATUS Control(
    PWSK_SOCKET Socket, WSK_CONTROL_SOCKET_TYPE Type, ULONG Level, ULONG Option, PVOID In, SIZE_T InSize, PVOID Out, SIZE_T OutSize)
{
    SIZE_T length = 12345;
    NTSTATUS status = RequestWait(
        &Request,
        ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)
            ->WskControlSocket(Socket, Type, Option, Level, InSize, In, OutSize, Out, &length, RequestIrp(&Request)));

    CHECK(!NT_SUCCESS(status) || length == Request.Irp->IoStatus.Information);
    return status;
}

static NTSTATUS Set(PWSK_SOCKET Socket, ULONG Level, ULONG Option, ULONG Value, SIZE_T Size)
{
    return Control(Socket, WskSetOption, Level, Option, &Value, Size, NULL, 0);
}

/* Set, then asked for in four bytes and in one; nothing is written behind them (C-17). */
static void Keeps(PWSK_SOCKET Socket, ULONG Level, ULONG Option, ULONG Value)
{
    UCHAR room[8] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};

    CHECK(Set(Socket, Level, Option, Value, sizeof Value) == STATUS_SUCCESS);
    CHECK(Control(Socket, WskGetOption, Level, Option, NULL, 0, room, 4) == STATUS_SUCCESS);
    CHECK(Request.Irp->IoStatus.Information == 4 && *(ULONG *)room == Value && room[4] == 0xee);
    CHECK(Control(Socket, WskGetOption, Level, Option, NULL, 0, room + 5, 1) == STATUS_SUCCESS);
    CHECK(Request.Irp->IoStatus.Information == 1 && room[6] == 0xee);
    CHECK(Control(Socket, WskGetOption, Level, Option, NULL, 0, NULL, 0) == STATUS_BUFFER_TOO_SMALL);
    CHECK(Set(Socket, Level, Option, Value, 3) == STATUS_INVALID_PARAMETER);
    CHECK(Set(Socket, Level, Option, Value, 0) == STATUS_INVALID_PARAMETER);
}

static void Refuses(PWSK_SOCKET Socket, ULONG Level, ULONG Option, ULONG Value)
{
    CHECK(Set(Socket, Level, Option, Value, sizeof Value) == STATUS_INVALID_PARAMETER);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PWSK_SOCKET datagram, connection, basic;
    ULONG size = 0, alive[3] = {1, 30000, 1500};
    BOOLEAN one = TRUE;

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    CHECK(NT_SUCCESS(
        SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &datagram)));
    CHECK(NT_SUCCESS(
        SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_CONNECTION_SOCKET, NULL, NULL, &connection)));
    CHECK(NT_SUCCESS(SocketCreate(AF_INET, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_BASIC_SOCKET, NULL, NULL, &basic)));

    /* Before it is set: the transport's. */
    CHECK(Control(datagram, WskGetOption, SOL_SOCKET, SO_RCVBUF, NULL, 0, &size, sizeof size) == STATUS_SUCCESS);
    CHECK(size >= 1024);

    Keeps(datagram, SOL_SOCKET, SO_RCVBUF, 30000);
    Keeps(datagram, SOL_SOCKET, SO_SNDBUF, 30000);
    Keeps(datagram, SOL_SOCKET, SO_DONTROUTE, 1);
    Keeps(datagram, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
    Keeps(datagram, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);
    Keeps(datagram, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
    Keeps(datagram, IPPROTO_IP, IP_TTL, 5);
    Keeps(datagram, IPPROTO_IP, IP_MULTICAST_TTL, 6);
    Keeps(datagram, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    Keeps(connection, IPPROTO_TCP, TCP_KEEPIDLE, 100);
    Keeps(connection, IPPROTO_TCP, TCP_KEEPCNT, 4);
    Keeps(connection, IPPROTO_TCP, TCP_KEEPINTVL, 7);
    Keeps(connection, IPPROTO_IP, IP_TTL, 33);
    CHECK(Set(connection, IPPROTO_IP, IP_TTL, 34, 1) == STATUS_INVALID_PARAMETER); /* fewer bytes are for switches */
    CHECK(Set(connection, IPPROTO_IP, IP_TTL, 34, 2) == STATUS_INVALID_PARAMETER);
    CHECK(Set(connection, SOL_SOCKET, SO_KEEPALIVE, 1, 1) == STATUS_SUCCESS); /* usbip-win2 does so */
    CHECK(Set(connection, SOL_SOCKET, SO_KEEPALIVE, 1, 2) == STATUS_SUCCESS);

    Refuses(datagram, IPPROTO_TCP, TCP_KEEPIDLE, 5);       /* another category */
    Refuses(connection, IPPROTO_IP, IP_MULTICAST_TTL, 5);
    Refuses(basic, IPPROTO_IP, IP_TTL, 5);
    Refuses(connection, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5); /* another family */
    Refuses(connection, IPPROTO_TCP, TCP_KEEPIDLE, 0);     /* out of range */
    Refuses(connection, IPPROTO_TCP, TCP_KEEPIDLE, 0xffffffff);
    Refuses(datagram, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
    CHECK(Set(datagram, SOL_SOCKET, 0x7777, 1, 4) == STATUS_NOT_SUPPORTED);

    /* Keep-alive in milliseconds. */
    CHECK(Control(connection, WskIoctl, 0, SIO_KEEPALIVE_VALS, alive, sizeof alive, NULL, 0) == STATUS_SUCCESS);
    CHECK(Control(connection, WskGetOption, IPPROTO_TCP, TCP_KEEPIDLE, NULL, 0, &size, sizeof size) == STATUS_SUCCESS && size == 30);
    CHECK(Control(connection, WskGetOption, IPPROTO_TCP, TCP_KEEPINTVL, NULL, 0, &size, sizeof size) == STATUS_SUCCESS && size == 2);
    CHECK(Control(connection, WskGetOption, SOL_SOCKET, SO_KEEPALIVE, NULL, 0, &size, sizeof size) == STATUS_SUCCESS && size == 1);
    alive[0] = 0;
    CHECK(Control(connection, WskIoctl, 0, SIO_KEEPALIVE_VALS, alive, sizeof alive, NULL, 0) == STATUS_SUCCESS);
    CHECK(Control(connection, WskGetOption, SOL_SOCKET, SO_KEEPALIVE, NULL, 0, &size, sizeof size) == STATUS_SUCCESS && size == 0);
    CHECK(Control(connection, WskIoctl, 0, SIO_KEEPALIVE_VALS, alive, 8, NULL, 0) == STATUS_INVALID_PARAMETER);
    CHECK(Control(datagram, WskIoctl, 0, SIO_KEEPALIVE_VALS, alive, sizeof alive, NULL, 0) == STATUS_INVALID_PARAMETER);

    CHECK(Control(connection, WskIoctl, 0, SIO_LOOPBACK_FAST_PATH, &one, sizeof one, NULL, 0) == STATUS_SUCCESS);
    CHECK(Control(connection, WskIoctl, 0, SIO_LOOPBACK_FAST_PATH, alive, 4, NULL, 0) == STATUS_INVALID_BUFFER_SIZE);
    CHECK(Control(datagram, WskIoctl, 0, SIO_LOOPBACK_FAST_PATH, &one, sizeof one, NULL, 0) == STATUS_INVALID_PARAMETER);
    CHECK(Control(basic, WskIoctl, 0, SIO_QUERY_RSS_SCALABILITY_INFO, NULL, 0, &one, sizeof one) == STATUS_SUCCESS && one == FALSE);
    CHECK(Control(basic, WskIoctl, 0, SIO_QUERY_RSS_PROCESSOR_INFO, NULL, 0, &one, sizeof one) == STATUS_BUFFER_TOO_SMALL);
    CHECK(Control(basic, WskIoctl, 0, 0x48007777, NULL, 0, &one, sizeof one) == STATUS_NOT_SUPPORTED);

    SocketClose(datagram);
    SocketClose(connection);
    SocketClose(basic);
    RequestFree(&Request);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
