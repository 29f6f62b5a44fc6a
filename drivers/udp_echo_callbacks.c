/*
 * udp_echo_callbacks.c: a UDP echo server with one event callback. Datagrams come in lists; each goes back to where it came
 * from, out of the buffer it came in.
 */
#include <ntddk.h>
#include <wsk.h>
#define LOCAL_ADDRESS(Socket, Address, Irp) \
    ((PWSK_PROVIDER_DATAGRAM_DISPATCH)(Socket)->Dispatch)->WskGetLocalAddress(Socket, Address, Irp)
#include "common.h"

static PWSK_SOCKET Socket;
static EX_RUNDOWN_REF Sends; /* counts what is under way, and refuses more when the driver goes */

static NTSTATUS NTAPI Sent(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)Socket->Dispatch;

    (void)DeviceObject;
    dispatch->WskRelease(Socket, (PWSK_DATAGRAM_INDICATION)Context);
    IoFreeIrp(Irp);
    ExReleaseRundownProtection(&Sends);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch;

    (void)SocketContext;
    (void)Flags;
    if (DataIndication == NULL)
        return STATUS_SUCCESS; /* the socket is dead; the unload closes it */
    if (!ExAcquireRundownProtection(&Sends))
        return STATUS_SUCCESS; /* the driver goes: drop them */
    dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)Socket->Dispatch;
    while (DataIndication != NULL) {
        PWSK_DATAGRAM_INDICATION datagram = DataIndication;
        PIRP irp = IoAllocateIrp(1, FALSE);

        DataIndication = datagram->Next;
        datagram->Next = NULL; /* from here on a list by itself */
        if (irp == NULL || !ExAcquireRundownProtection(&Sends)) {
            if (irp != NULL)
                IoFreeIrp(irp);
            dispatch->WskRelease(Socket, datagram);
            continue;
        }
        IoSetCompletionRoutine(irp, Sent, datagram, TRUE, TRUE, TRUE);
        dispatch->WskSendTo(Socket, &datagram->Buffer, 0, datagram->RemoteAddress, 0, NULL, irp);
    }
    ExReleaseRundownProtection(&Sends);
    return STATUS_PENDING; /* each is released when it was sent */
}

static const WSK_CLIENT_DATAGRAM_DISPATCH Dispatch = {ReceiveFromEvent};

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    ExWaitForRundownProtectionRelease(&Sends);
    SocketClose(Socket);
    Detach();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Attach();

    if (!NT_SUCCESS(status))
        return status;
    DriverObject->DriverUnload = Unload;
    ExInitializeRundownProtection(&Sends);
    status = SocketCreate(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &Dispatch, &Socket);
    if (NT_SUCCESS(status))
        status = BindEverywhere(Socket, ConfiguredPort(RegistryPath));
    if (NT_SUCCESS(status))
        status = SocketEvents(Socket, WSK_EVENT_RECEIVE_FROM);
    if (!NT_SUCCESS(status)) {
        SocketClose(Socket);
        Detach();
        return status;
    }
    SayListening(Socket);
    return STATUS_SUCCESS;
}
