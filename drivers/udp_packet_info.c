/*
 * udp_packet_info.c: a UDP server for both address families that says of each datagram where it was received, and how far it
 * came: its local address, the interface, and what is left of its hop limit.
 *
 * An IPv6 socket that is not IPv6 only hears IPv4 too. It asks for control data of both: that of a packet of IPv4 comes at the
 * level IPPROTO_IP, although its sender has an address of IPv6 (::ffff:a.b.c.d) like all the others.
 *
 * The callback is enabled for all sockets of the client, before the first is created: there is no switch to set on the socket.
 */
#include <ntddk.h>
#include <wsk.h>
#define LOCAL_ADDRESS(Socket, Address, Irp) \
    ((PWSK_PROVIDER_DATAGRAM_DISPATCH)(Socket)->Dispatch)->WskGetLocalAddress(Socket, Address, Irp)
#include "common.h"

static PWSK_SOCKET Socket;

/* What the control data of a datagram says. */
typedef struct _PACKET {
    CHAR Local[64];
    ULONG Interface;
    INT HopLimit;
} PACKET;

/* Control data is a chain of messages; what it has depends on the packet's family and on what was asked for. */
static BOOLEAN ReadControl(PCMSGHDR ControlInfo, ULONG ControlInfoLength, PACKET *Packet)
{
    WSAMSG message = {NULL, 0, NULL, 0, {ControlInfoLength, (CHAR *)ControlInfo}, 0}; /* as the macros want it */
    PCMSGHDR at;

    Packet->Local[0] = 0;
    Packet->HopLimit = -1;
    for (at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
            const IN_PKTINFO *info = (const IN_PKTINFO *)WSA_CMSG_DATA(at);

            RtlIpv4AddressToStringA(&info->ipi_addr, Packet->Local);
            Packet->Interface = info->ipi_ifindex;
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            const IN6_PKTINFO *info = (const IN6_PKTINFO *)WSA_CMSG_DATA(at);

            RtlIpv6AddressToStringA(&info->ipi6_addr, Packet->Local);
            Packet->Interface = info->ipi6_ifindex;
        } else if (
            (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TTL) ||
            (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_HOPLIMIT)) {
            Packet->HopLimit = *(const INT *)WSA_CMSG_DATA(at);
        }
    }
    return Packet->Local[0] != 0 && Packet->HopLimit >= 0;
}

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)SocketContext;
    (void)Flags;
    /* NULL: the socket is dead; the unload closes it. */
    for (; DataIndication != NULL; DataIndication = DataIndication->Next) {
        PSOCKADDR_IN6 from = (PSOCKADDR_IN6)DataIndication->RemoteAddress;
        ULONG bytes = (ULONG)DataIndication->Buffer.Length, length;
        CHAR source[80];
        PACKET packet;

        length = sizeof source;
        if (!NT_SUCCESS(
                RtlIpv6AddressToStringExA(&from->sin6_addr, from->sin6_scope_id, from->sin6_port, source, &length)))
            source[0] = 0;
        /* Control data is not guaranteed: a system that is short of memory may leave it out. */
        if (ReadControl(DataIndication->ControlInfo, DataIndication->ControlInfoLength, &packet))
            DbgPrint(
                "%u bytes from %s to %s, interface %u, hop limit %d\n", bytes, source, packet.Local, packet.Interface,
                packet.HopLimit);
        else
            DbgPrint("%u bytes from %s\n", bytes, source);
    }
    return STATUS_SUCCESS; /* nothing is kept */
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Dispatch = {ReceiveFromEvent};

/* Before the first socket is created. */
static NTSTATUS EnableForAll(void)
{
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM};

    return Provider.Dispatch->WskControlClient(
        Provider.Client, WSK_SET_STATIC_EVENT_CALLBACKS, sizeof control, &control, 0, NULL, NULL, NULL);
}

/* What is to come with each datagram, of either family. */
static NTSTATUS AskForControlData(void)
{
    static const struct {
        ULONG Level, Option;
    } options[] = {
        {IPPROTO_IP, IP_PKTINFO}, {IPPROTO_IP, IP_HOPLIMIT}, {IPPROTO_IPV6, IPV6_PKTINFO}, {IPPROTO_IPV6, IPV6_HOPLIMIT}};
    NTSTATUS status = STATUS_SUCCESS;
    ULONG i;

    for (i = 0; NT_SUCCESS(status) && i < sizeof options / sizeof options[0]; i++)
        status = SocketOption(Socket, options[i].Level, options[i].Option, TRUE);
    return status;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    SocketClose(Socket);
    Detach();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Attach();

    if (!NT_SUCCESS(status))
        return status;
    DriverObject->DriverUnload = Unload;
    status = EnableForAll();
    if (NT_SUCCESS(status))
        status = SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &Dispatch, &Socket);
    if (NT_SUCCESS(status))
        status = AskForControlData(); /* before the bind: no datagram comes without */
    if (NT_SUCCESS(status))
        status = BindEverywhere(Socket, ConfiguredPort(RegistryPath));
    if (!NT_SUCCESS(status)) {
        SocketClose(Socket);
        Detach();
        return status;
    }
    SayListening(Socket);
    return STATUS_SUCCESS;
}
