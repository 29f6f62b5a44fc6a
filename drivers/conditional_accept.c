/*
 * conditional_accept.c: a listener that looks at a connection request before there is a connection: it refuses some peers,
 * accepts some, and thinks about the rest.
 *
 * The rule, by the peer's port: divisible by 4 is refused, odd is accepted, the others are decided later by a thread. Who is
 * accepted gets a greeting and the end of the stream.
 */
#include "common.h"

static PWSK_SOCKET Listener;

/* ---- requests that are thought about ---- */

typedef struct _PENDED {
    LIST_ENTRY Link;
    WSK_INSPECT_ID Id; /* a copy: the original lives as long as the callback */
} PENDED;

static LIST_ENTRY Pended;
static KSPIN_LOCK PendedLock;
static KEVENT Wake;
static BOOLEAN Stop;
static PVOID Thread;

static void NTAPI Decide(PVOID Context)
{
    PWSK_PROVIDER_LISTEN_DISPATCH dispatch = (PWSK_PROVIDER_LISTEN_DISPATCH)Listener->Dispatch;

    (void)Context;
    while (!Stop) {
        PLIST_ENTRY entry;

        KeWaitForSingleObject(&Wake, Executive, KernelMode, FALSE, NULL);
        while ((entry = ExInterlockedRemoveHeadList(&Pended, &PendedLock)) != NULL) {
            PENDED *pended = CONTAINING_RECORD(entry, PENDED, Link);
            REQUEST request;

            if (RequestCreate(&request)) {
                NTSTATUS status = RequestWait(
                    &request,
                    dispatch->WskInspectComplete(Listener, &pended->Id, WskInspectAccept, RequestIrp(&request)));
                /* STATUS_NOT_FOUND: the peer went away meanwhile (WskAbortEvent). */
                DbgPrint("decided: %s\n", NT_SUCCESS(status) ? "accepted" : "gone");
                RequestFree(&request);
            }
            ExFreePoolWithTag(pended, SAMPLE_TAG);
        }
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static WSK_INSPECT_ACTION WSKAPI InspectEvent(
    PVOID SocketContext, PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, PWSK_INSPECT_ID InspectID)
{
    USHORT port;
    PENDED *pended;

    (void)SocketContext;
    (void)LocalAddress;
    if (InspectID == NULL)
        return WskInspectReject; /* the listener is dead */
    port = SWAP16(((PSOCKADDR_IN6)RemoteAddress)->sin6_port);
    if (port % 4 == 0) {
        DbgPrint("refused a peer at port %u\n", port);
        return WskInspectReject;
    }
    if (port % 2 == 1) {
        DbgPrint("accepted a peer at port %u\n", port);
        return WskInspectAccept;
    }
    pended = (PENDED *)ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *pended, SAMPLE_TAG);
    if (pended == NULL)
        return WskInspectReject;
    pended->Id = *InspectID;
    ExInterlockedInsertTailList(&Pended, &pended->Link, &PendedLock);
    DbgPrint("thinking about a peer at port %u\n", port);
    KeSetEvent(&Wake, IO_NO_INCREMENT, FALSE);
    return WskInspectPend;
}

static NTSTATUS WSKAPI AbortEvent(PVOID SocketContext, PWSK_INSPECT_ID InspectID)
{
    (void)SocketContext;
    (void)InspectID; /* the thread finds out by the status of WskInspectComplete */
    DbgPrint("a peer went away while it was thought about\n");
    return STATUS_SUCCESS;
}

/* ---- who was accepted ---- */

static NTSTATUS NTAPI PeerEnded(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    ConnectionDrop((CONNECTION *)Context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS NTAPI Greeted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    CONNECTION *connection = (CONNECTION *)Context;
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)connection->Socket->Dispatch;
    WSK_BUF nothing = {NULL, 0, 0};

    (void)DeviceObject;
    if (!NT_SUCCESS(Irp->IoStatus.Status)) {
        ConnectionDrop(connection);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    /* A close before the peer's own end would reset the connection: discard what it still sends. */
    IoReuseIrp(Irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Irp, PeerEnded, connection, TRUE, TRUE, TRUE);
    dispatch->WskReceive(connection->Socket, &nothing, WSK_FLAG_DRAIN, Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS WSKAPI AcceptEvent(
    PVOID SocketContext,
    ULONG Flags,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    PWSK_SOCKET AcceptSocket,
    PVOID *AcceptSocketContext,
    CONST WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch)
{
    static const char greeting[] = "welcome\n";
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch;
    CONNECTION *connection;
    WSK_BUF last;

    (void)SocketContext;
    (void)Flags;
    (void)LocalAddress;
    (void)RemoteAddress;
    (void)AcceptSocketContext;
    (void)AcceptSocketDispatch;
    if (AcceptSocket == NULL || (connection = ConnectionCreate()) == NULL)
        return STATUS_REQUEST_NOT_ACCEPTED;
    ConnectionEnter(connection, AcceptSocket);
    /* The greeting and the end of the stream in one request. */
    RtlCopyMemory(connection->Buffer, greeting, sizeof greeting - 1);
    last.Mdl = connection->Mdl;
    last.Offset = 0;
    last.Length = sizeof greeting - 1;
    dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)AcceptSocket->Dispatch;
    IoReuseIrp(connection->Irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(connection->Irp, Greeted, connection, TRUE, TRUE, TRUE);
    dispatch->WskDisconnect(AcceptSocket, &last, 0, connection->Irp);
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_LISTEN_DISPATCH ListenDispatch = {AcceptEvent, InspectEvent, AbortEvent};

static void End(void)
{
    PLIST_ENTRY entry;

    if (Thread != NULL) {
        Stop = TRUE;
        KeSetEvent(&Wake, IO_NO_INCREMENT, FALSE);
        KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Thread);
    }
    SocketClose(Listener); /* what is still pended is refused, and no callback runs any more */
    while ((entry = ExInterlockedRemoveHeadList(&Pended, &PendedLock)) != NULL)
        ExFreePoolWithTag(CONTAINING_RECORD(entry, PENDED, Link), SAMPLE_TAG);
    ConnectionsEnd(FALSE);
    Detach();
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    End();
}

static NTSTATUS Listen(PUNICODE_STRING RegistryPath)
{
    HANDLE handle;
    NTSTATUS status =
        SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, &ListenDispatch, &Listener);

    if (NT_SUCCESS(status))
        status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Decide, NULL);
    if (NT_SUCCESS(status)) {
        ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
        ZwClose(handle);
        /* Before the bind, and for good. */
        status = SocketOption(Listener, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1);
    }
    if (NT_SUCCESS(status))
        status = BindEverywhere(Listener, ConfiguredPort(RegistryPath));
    if (NT_SUCCESS(status))
        status = SocketEvents(Listener, WSK_EVENT_ACCEPT);
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
    InitializeListHead(&Pended);
    KeInitializeSpinLock(&PendedLock);
    KeInitializeEvent(&Wake, SynchronizationEvent, FALSE);
    DriverObject->DriverUnload = Unload;
    status = Listen(RegistryPath);
    if (!NT_SUCCESS(status))
        End();
    return status;
}
