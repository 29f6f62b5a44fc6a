/*
 * event_control.c: the three functions that Microsoft's introduction to WSK event callbacks shows: switching callbacks on,
 * switching one off with an IRP, and switching them on for all sockets of a client. DriverEntry tries each of them over the
 * loopback address and says what it saw.
 */
#include "common.h"

/* What an application keeps of its attachment to the provider. */
typedef struct _WSK_APP_BINDING_CONTEXT {
    PWSK_CLIENT WskClient;
    const WSK_PROVIDER_DISPATCH *WskProviderDispatch;
} WSK_APP_BINDING_CONTEXT, *PWSK_APP_BINDING_CONTEXT;

/* ---- 1: the disconnect and receive callbacks of a connected socket, on; no IRP is needed ---- */

static NTSTATUS EnableDisconnectAndReceiveCallbacks(PWSK_SOCKET Socket)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Socket->Dispatch;
    WSK_EVENT_CALLBACK_CONTROL control;

    control.NpiId = &NPI_WSK_INTERFACE_ID;
    control.EventMask = WSK_EVENT_DISCONNECT | WSK_EVENT_RECEIVE;
    return dispatch->WskControlSocket(
        Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof control, &control, 0, NULL, NULL, NULL);
}

/* ---- 2: the disconnect callback, off; the IRP completes when no call of it runs any more ---- */

static KEVENT Disabled;

static NTSTATUS NTAPI DisableDisconnectComplete(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Context; /* the socket */
    if (Irp->IoStatus.Status == STATUS_SUCCESS)
        DbgPrint("disconnect callback: off\n");
    else
        DbgPrint("disconnect callback: 0x%08x\n", Irp->IoStatus.Status);
    IoFreeIrp(Irp);
    KeSetEvent(&Disabled, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED; /* the packet is gone: nothing may go on with it */
}

static NTSTATUS DisableDisconnectCallback(PWSK_SOCKET Socket)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Socket->Dispatch;
    WSK_EVENT_CALLBACK_CONTROL control;
    PIRP irp = IoAllocateIrp(1, FALSE);

    if (irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    IoSetCompletionRoutine(irp, DisableDisconnectComplete, Socket, TRUE, TRUE, TRUE);
    control.NpiId = &NPI_WSK_INTERFACE_ID;
    control.EventMask = WSK_EVENT_DISCONNECT | WSK_EVENT_DISABLE; /* one event at a time */
    return dispatch->WskControlSocket(
        Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof control, &control, 0, NULL, NULL, irp);
}

/* ---- 3: callbacks on for every socket of the client, for good; before it has one ---- */

static NTSTATUS SetStaticEventCallbacks(PWSK_APP_BINDING_CONTEXT BindingContext)
{
    WSK_EVENT_CALLBACK_CONTROL control;

    control.NpiId = &NPI_WSK_INTERFACE_ID;
    control.EventMask = WSK_EVENT_RECEIVE_FROM | WSK_EVENT_RECEIVE;
    return BindingContext->WskProviderDispatch->WskControlClient(
        BindingContext->WskClient, WSK_SET_STATIC_EVENT_CALLBACKS, sizeof control, &control, 0, NULL, NULL, NULL);
}

/* ---- callbacks that note what they saw ---- */

static KEVENT DataSeen, DisconnectSeen;
static LONG DisconnectsSeen;

static NTSTATUS WSKAPI ReceiveEvent(
    PVOID SocketContext, ULONG Flags, PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated, SIZE_T *BytesAccepted)
{
    (void)SocketContext;
    (void)Flags;
    (void)BytesAccepted;
    if (DataIndication != NULL) {
        DbgPrint("receive callback: %u bytes\n", (ULONG)BytesIndicated);
        KeSetEvent(&DataSeen, IO_NO_INCREMENT, FALSE);
    }
    return STATUS_SUCCESS; /* all accepted, nothing kept */
}

static NTSTATUS WSKAPI DisconnectEvent(PVOID SocketContext, ULONG Flags)
{
    (void)SocketContext;
    DbgPrint("disconnect callback: %s\n", Flags & WSK_FLAG_ABORTIVE ? "abortive" : "graceful");
    InterlockedIncrement(&DisconnectsSeen);
    KeSetEvent(&DisconnectSeen, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static NTSTATUS WSKAPI ReceiveFromEvent(PVOID SocketContext, ULONG Flags, PWSK_DATAGRAM_INDICATION DataIndication)
{
    (void)SocketContext;
    (void)Flags;
    if (DataIndication != NULL) {
        DbgPrint("receive-from callback: %u bytes\n", (ULONG)DataIndication->Buffer.Length);
        KeSetEvent(&DataSeen, IO_NO_INCREMENT, FALSE);
    }
    return STATUS_SUCCESS;
}

static const WSK_CLIENT_CONNECTION_DISPATCH ConnectionEvents = {ReceiveEvent, DisconnectEvent, NULL};
static const WSK_CLIENT_DATAGRAM_DISPATCH DatagramEvents = {ReceiveFromEvent};

/* ---- trying them ---- */

static REQUEST Request;
static char Text[] = "hello";
static PMDL TextMdl;

/* A connection to ourselves: its two ends; the callbacks are those of the first. */
static NTSTATUS ConnectPair(PWSK_SOCKET Ends[2])
{
    SOCKADDR_IN6 any = {AF_INET6}, there = {AF_INET6};
    PWSK_SOCKET listener = NULL;
    PWSK_PROVIDER_LISTEN_DISPATCH listen;
    NTSTATUS status;

    Ends[0] = Ends[1] = NULL;
    status = SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &listener);
    if (!NT_SUCCESS(status))
        return status;
    listen = (PWSK_PROVIDER_LISTEN_DISPATCH)listener->Dispatch;
    there.sin6_addr.u.Byte[15] = 1;
    status = RequestWait(&Request, listen->WskBind(listener, (PSOCKADDR)&there, 0, RequestIrp(&Request)));
    if (NT_SUCCESS(status))
        status = RequestWait(&Request, listen->WskGetLocalAddress(listener, (PSOCKADDR)&there, RequestIrp(&Request)));
    if (NT_SUCCESS(status))
        status = RequestWait(
            &Request,
            Provider.Dispatch->WskSocketConnect(
                Provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&any, (PSOCKADDR)&there, 0, NULL, NULL, NULL, NULL,
                NULL, RequestIrp(&Request)));
    if (NT_SUCCESS(status)) {
        Ends[1] = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
        status = RequestWait(
            &Request, listen->WskAccept(listener, 0, NULL, &ConnectionEvents, NULL, NULL, RequestIrp(&Request)));
    }
    if (NT_SUCCESS(status))
        Ends[0] = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
    SocketClose(listener);
    return status;
}

static void ClosePair(PWSK_SOCKET Ends[2])
{
    SocketClose(Ends[0]);
    SocketClose(Ends[1]);
}

static NTSTATUS Send(PWSK_SOCKET Socket)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Socket->Dispatch;
    WSK_BUF text = {TextMdl, 0, sizeof Text - 1};

    return RequestWait(&Request, dispatch->WskSend(Socket, &text, 0, RequestIrp(&Request)));
}

static NTSTATUS Disconnect(PWSK_SOCKET Socket)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Socket->Dispatch;

    return RequestWait(&Request, dispatch->WskDisconnect(Socket, NULL, 0, RequestIrp(&Request)));
}

static void Await(KEVENT *Event)
{
    KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
}

/* On: data and disconnect are both seen. */
static NTSTATUS TryEnable(void)
{
    PWSK_SOCKET ends[2];
    NTSTATUS status = ConnectPair(ends);

    if (NT_SUCCESS(status))
        status = EnableDisconnectAndReceiveCallbacks(ends[0]);
    if (NT_SUCCESS(status))
        status = Send(ends[1]);
    if (NT_SUCCESS(status)) {
        Await(&DataSeen);
        status = Disconnect(ends[1]);
    }
    if (NT_SUCCESS(status))
        Await(&DisconnectSeen);
    ClosePair(ends);
    return status;
}

/* Off: a receive finds the end of the stream, of which no callback told. */
static NTSTATUS TryDisable(void)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch;
    WSK_BUF room = {TextMdl, 0, sizeof Text - 1};
    LONG seen = DisconnectsSeen;
    PWSK_SOCKET ends[2];
    NTSTATUS status = ConnectPair(ends);

    if (NT_SUCCESS(status))
        status = EnableDisconnectAndReceiveCallbacks(ends[0]);
    if (NT_SUCCESS(status))
        status = DisableDisconnectCallback(ends[0]);
    if (NT_SUCCESS(status)) {
        Await(&Disabled);
        status = Disconnect(ends[1]);
    }
    if (NT_SUCCESS(status)) {
        dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)ends[0]->Dispatch;
        status = RequestWait(&Request, dispatch->WskReceive(ends[0], &room, 0, RequestIrp(&Request)));
        if (NT_SUCCESS(status) && (Request.Irp->IoStatus.Information != 0 || DisconnectsSeen != seen))
            status = STATUS_UNSUCCESSFUL;
    }
    ClosePair(ends);
    return status;
}

/* Static: a datagram is seen by a socket that was never told to watch for one. */
static NTSTATUS TryStatic(void)
{
    PWSK_PROVIDER_DATAGRAM_DISPATCH dispatch;
    SOCKADDR_IN6 address = {AF_INET6};
    WSK_BUF text = {TextMdl, 0, sizeof Text - 1};
    PWSK_SOCKET socket = NULL;
    NTSTATUS status = SocketCreate(
        AF_INET6, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, &DatagramEvents, &socket);

    if (!NT_SUCCESS(status))
        return status;
    dispatch = (PWSK_PROVIDER_DATAGRAM_DISPATCH)socket->Dispatch;
    address.sin6_addr.u.Byte[15] = 1;
    status = RequestWait(&Request, dispatch->WskBind(socket, (PSOCKADDR)&address, 0, RequestIrp(&Request)));
    if (NT_SUCCESS(status))
        status = RequestWait(&Request, dispatch->WskGetLocalAddress(socket, (PSOCKADDR)&address, RequestIrp(&Request)));
    if (NT_SUCCESS(status))
        status = RequestWait(
            &Request, dispatch->WskSendTo(socket, &text, 0, (PSOCKADDR)&address, 0, NULL, RequestIrp(&Request)));
    if (NT_SUCCESS(status))
        Await(&DataSeen);
    SocketClose(socket);
    return status;
}

static NTSTATUS TryAll(void)
{
    WSK_APP_BINDING_CONTEXT binding;
    NTSTATUS status = Attach();

    if (!NT_SUCCESS(status))
        return status;
    status = TryEnable();
    DbgPrint("enable disconnect and receive: 0x%08x\n", status);
    if (NT_SUCCESS(status)) {
        status = TryDisable();
        DbgPrint("disable disconnect: 0x%08x\n", status);
    }
    Detach();
    if (!NT_SUCCESS(status))
        return status;
    /* A client that has had no socket yet. */
    status = Attach();
    if (!NT_SUCCESS(status))
        return status;
    binding.WskClient = Provider.Client;
    binding.WskProviderDispatch = Provider.Dispatch;
    status = SetStaticEventCallbacks(&binding);
    if (NT_SUCCESS(status))
        status = TryStatic();
    DbgPrint("static callbacks: 0x%08x\n", status);
    Detach();
    return status;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject; /* nothing is left */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&Disabled, SynchronizationEvent, FALSE);
    KeInitializeEvent(&DataSeen, SynchronizationEvent, FALSE);
    KeInitializeEvent(&DisconnectSeen, SynchronizationEvent, FALSE);
    TextMdl = IoAllocateMdl(Text, sizeof Text - 1, FALSE, FALSE, NULL);
    if (TextMdl != NULL && RequestCreate(&Request)) {
        MmBuildMdlForNonPagedPool(TextMdl); /* a driver's data is nonpaged */
        status = TryAll();
        RequestFree(&Request);
    }
    if (TextMdl != NULL)
        IoFreeMdl(TextMdl);
    return status;
}
