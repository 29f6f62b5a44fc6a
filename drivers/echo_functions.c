/*
 * echo_functions.c: a TCP echo server that calls socket functions: WskAccept, WskReceive and WskSend with IRPs and its own
 * buffers.
 *
 * Every step is started by the completion routine of the one before; no thread waits for anything but the unload.
 */
#include "common.h"

static PWSK_SOCKET Listener;
static CONNECTION *Next;   /* the connection that the pending WskAccept will fill */
static PIRP AcceptIrp;
static BOOLEAN Stopping;   /* no WskAccept any more: the listener is about to be closed */
static KSPIN_LOCK AcceptLock;
static KEVENT AcceptEnded; /* no WskAccept is pending, and none will be */

static IO_COMPLETION_ROUTINE Accepted, Received, Sent, Disconnected;

static void Start(CONNECTION *Connection, PIO_COMPLETION_ROUTINE Routine)
{
    IoReuseIrp(Connection->Irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Connection->Irp, Routine, Connection, TRUE, TRUE, TRUE);
}

static void Receive(CONNECTION *Connection)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Connection->Socket->Dispatch;
    WSK_BUF room = {Connection->Mdl, 0, sizeof Connection->Buffer}; /* WSK copies the description, not the data */

    Start(Connection, Received);
    dispatch->WskReceive(Connection->Socket, &room, 0, Connection->Irp);
}

static NTSTATUS NTAPI Received(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    CONNECTION *connection = (CONNECTION *)Context;
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)connection->Socket->Dispatch;
    SIZE_T length = Irp->IoStatus.Information;
    WSK_BUF data = {connection->Mdl, 0, length};

    (void)DeviceObject;
    if (!NT_SUCCESS(Irp->IoStatus.Status)) {
        ConnectionDrop(connection); /* reset by the peer, or aborted by the unload */
    } else if (length == 0) {
        Start(connection, Disconnected); /* the peer has sent everything: our end of the stream, then the close */
        dispatch->WskDisconnect(connection->Socket, NULL, 0, connection->Irp);
    } else {
        Start(connection, Sent);
        dispatch->WskSend(connection->Socket, &data, 0, connection->Irp);
    }
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS NTAPI Sent(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    if (NT_SUCCESS(Irp->IoStatus.Status))
        Receive((CONNECTION *)Context);
    else
        ConnectionDrop((CONNECTION *)Context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS NTAPI Disconnected(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    ConnectionDrop((CONNECTION *)Context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Ends the chain of WskAccepts if the driver is stopping. */
static void Accept(void)
{
    PWSK_PROVIDER_LISTEN_DISPATCH dispatch = (PWSK_PROVIDER_LISTEN_DISPATCH)Listener->Dispatch;
    BOOLEAN stopping;
    KIRQL irql;

    Next = ConnectionCreate();
    KeAcquireSpinLock(&AcceptLock, &irql);
    stopping = Stopping || Next == NULL;
    if (!stopping) {
        IoReuseIrp(AcceptIrp, STATUS_UNSUCCESSFUL); /* not after Unload's IoCancelIrp, which this would undo */
        IoSetCompletionRoutine(AcceptIrp, Accepted, NULL, TRUE, TRUE, TRUE);
    }
    KeReleaseSpinLock(&AcceptLock, irql);
    if (!stopping) {
        dispatch->WskAccept(Listener, 0, NULL, NULL, NULL, NULL, AcceptIrp);
        return;
    }
    if (Next != NULL)
        ConnectionFree(Next);
    KeSetEvent(&AcceptEnded, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS NTAPI Accepted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    CONNECTION *connection = Next;

    (void)DeviceObject;
    (void)Context;
    if (!NT_SUCCESS(Irp->IoStatus.Status)) {
        ConnectionFree(connection); /* cancelled by the unload */
        KeSetEvent(&AcceptEnded, IO_NO_INCREMENT, FALSE);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    ConnectionEnter(connection, (PWSK_SOCKET)Irp->IoStatus.Information);
    Receive(connection);
    Accept();
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    KIRQL irql;

    (void)DriverObject;
    /* No function of the listener may be called once its close has begun, so the WskAccepts end first. */
    KeAcquireSpinLock(&AcceptLock, &irql);
    Stopping = TRUE;
    KeReleaseSpinLock(&AcceptLock, irql);
    IoCancelIrp(AcceptIrp); /* nobody reuses it from here on */
    KeWaitForSingleObject(&AcceptEnded, Executive, KernelMode, FALSE, NULL);
    SocketClose(Listener);
    ConnectionsEnd(FALSE); /* a receive or send of each is pending, and fails */
    IoFreeIrp(AcceptIrp);
    Detach();
}

static NTSTATUS Listen(PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &Listener);

    if (NT_SUCCESS(status))
        status = BindEverywhere(Listener, ConfiguredPort(RegistryPath));
    if (!NT_SUCCESS(status))
        return status;
    Accept();
    SayListening(Listener);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Attach();

    if (!NT_SUCCESS(status))
        return status;
    ConnectionsInitialize();
    KeInitializeSpinLock(&AcceptLock);
    KeInitializeEvent(&AcceptEnded, NotificationEvent, FALSE);
    DriverObject->DriverUnload = Unload;
    AcceptIrp = IoAllocateIrp(1, FALSE);
    status = AcceptIrp == NULL ? STATUS_INSUFFICIENT_RESOURCES : Listen(RegistryPath);
    if (!NT_SUCCESS(status)) {
        SocketClose(Listener);
        if (AcceptIrp != NULL)
            IoFreeIrp(AcceptIrp);
        Detach();
    }
    return status;
}
