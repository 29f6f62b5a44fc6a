/*
 * echo_callbacks.c: a TCP echo server that implements event callbacks: WSK calls when a connection was made, when data has
 * come, and when the peer is done.
 *
 * No buffer of its own and no copy: a receive callback keeps the buffers it is handed (STATUS_PENDING), sends them as they
 * are, and releases each when it is sent.
 */
#include "common.h"

static PWSK_SOCKET Listener;

/* One element of an indication on its way back to the peer. */
typedef struct _ECHO {
    CONNECTION *Connection;
    PWSK_DATA_INDICATION Data;
} ECHO;

static NTSTATUS NTAPI Sent(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    ECHO *echo = (ECHO *)Context;
    CONNECTION *connection = echo->Connection;
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)connection->Socket->Dispatch;

    (void)DeviceObject;
    dispatch->WskRelease(connection->Socket, echo->Data);
    ExFreePoolWithTag(echo, SAMPLE_TAG);
    IoFreeIrp(Irp);
    ConnectionDereference(connection); /* released before the socket can close */
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Sends one element back; it is released when that is done, or here if it cannot be done. */
static void Send(CONNECTION *Connection, PWSK_DATA_INDICATION Data)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Connection->Socket->Dispatch;
    ECHO *echo = (ECHO *)ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *echo, SAMPLE_TAG);
    PIRP irp = IoAllocateIrp(1, FALSE);

    Data->Next = NULL; /* from here on a list by itself */
    if (echo == NULL || irp == NULL) {
        if (echo != NULL)
            ExFreePoolWithTag(echo, SAMPLE_TAG);
        if (irp != NULL)
            IoFreeIrp(irp);
        dispatch->WskRelease(Connection->Socket, Data);
        return;
    }
    echo->Connection = Connection;
    echo->Data = Data;
    ConnectionReference(Connection); /* the caller has one, so this is not the first */
    IoSetCompletionRoutine(irp, Sent, echo, TRUE, TRUE, TRUE);
    dispatch->WskSend(Connection->Socket, &Data->Buffer, 0, irp);
}

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    CONNECTION *connection = (CONNECTION *)SocketContext;

    (void)Flags;
    (void)BytesIndicated;
    (void)BytesAccepted;
    if (DataIndication == NULL) {
        ConnectionDrop(connection); /* the socket is dead: only a close is left */
        return STATUS_SUCCESS;
    }
    if (!ConnectionReference(connection))
        return STATUS_SUCCESS; /* closing: back with it */
    while (DataIndication != NULL) {
        PWSK_DATA_INDICATION next = DataIndication->Next;
        Send(connection, DataIndication);
        DataIndication = next;
    }
    ConnectionDereference(connection);
    return STATUS_PENDING; /* ours until released */
}

static NTSTATUS NTAPI Disconnected(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    ConnectionDrop((CONNECTION *)Context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS WSKAPI DisconnectEvent(PVOID SocketContext, ULONG Flags)
{
    CONNECTION *connection = (CONNECTION *)SocketContext;
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)connection->Socket->Dispatch;

    if (Flags & WSK_FLAG_ABORTIVE) {
        ConnectionDrop(connection);
    } else if (ConnectionReference(connection)) {
        /* What is being sent goes first, then our end of the stream. */
        IoReuseIrp(connection->Irp, STATUS_UNSUCCESSFUL);
        IoSetCompletionRoutine(connection->Irp, Disconnected, connection, TRUE, TRUE, TRUE);
        dispatch->WskDisconnect(connection->Socket, NULL, 0, connection->Irp);
        ConnectionDereference(connection);
    }
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_CONNECTION_DISPATCH ConnectionDispatch = {ReceiveEvent, DisconnectEvent, NULL};

static NTSTATUS WSKAPI AcceptEvent(
    PVOID SocketContext,
    ULONG Flags,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    PWSK_SOCKET AcceptSocket,
    PVOID *AcceptSocketContext,
    CONST WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch)
{
    CONNECTION *connection;

    (void)SocketContext;
    (void)Flags;
    (void)LocalAddress;
    (void)RemoteAddress;
    if (AcceptSocket == NULL)
        return STATUS_REQUEST_NOT_ACCEPTED; /* the listener is dead; the unload closes it */
    connection = ConnectionCreate();
    if (connection == NULL)
        return STATUS_REQUEST_NOT_ACCEPTED;
    ConnectionEnter(connection, AcceptSocket);
    *AcceptSocketContext = connection;
    *AcceptSocketDispatch = &ConnectionDispatch;
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_LISTEN_DISPATCH ListenDispatch = {AcceptEvent, NULL, NULL};

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    SocketClose(Listener);
    ConnectionsEnd(TRUE);
    Detach();
}

static NTSTATUS Listen(PUNICODE_STRING RegistryPath)
{
    NTSTATUS status =
        SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, &ListenDispatch, &Listener);

    if (NT_SUCCESS(status))
        status = BindEverywhere(Listener, ConfiguredPort(RegistryPath));
    /* The events of connections are stored on the listener, and are on for every socket that it accepts. */
    if (NT_SUCCESS(status))
        status = SocketEvents(Listener, WSK_EVENT_ACCEPT | WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT);
    if (NT_SUCCESS(status))
        SayListening(Listener);
    return status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Attach();

    if (!NT_SUCCESS(status))
        return status;
    ConnectionsInitialize();
    DriverObject->DriverUnload = Unload;
    status = Listen(RegistryPath);
    if (!NT_SUCCESS(status)) {
        SocketClose(Listener);
        Detach();
    }
    return status;
}
