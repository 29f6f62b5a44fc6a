/*
 * common.h: what the sample drivers share: attaching to WSK, requests that a thread waits for, and connections that are
 * counted, so that an unload can end and await them.
 *
 * Everything here may be used at PASSIVE_LEVEL; what is also called from event callbacks and completion routines, at
 * DISPATCH_LEVEL, says so.
 */
#include <ntddk.h>
#include <wsk.h>

#define SAMPLE_TAG 'pmaS' /* "Samp" in memory */

/* No sample uses all of this. */
#define SHARED static __attribute__((unused))

/* ---- attaching to the provider ---- */

static const WSK_CLIENT_DISPATCH ClientDispatch = {MAKE_WSK_VERSION(1, 0), 0, NULL};
static WSK_REGISTRATION Registration;
static WSK_PROVIDER_NPI Provider;

/* Registers, and captures the provider. Undone by Detach. */
SHARED NTSTATUS Attach(void)
{
    WSK_CLIENT_NPI npi = {NULL, &ClientDispatch};
    NTSTATUS status = WskRegister(&npi, &Registration);
    if (!NT_SUCCESS(status))
        return status;
    status = WskCaptureProviderNPI(&Registration, WSK_INFINITE_WAIT, &Provider);
    if (!NT_SUCCESS(status))
        WskDeregister(&Registration);
    return status;
}

/* Waits until every socket is closed. */
SHARED void Detach(void)
{
    WskReleaseProviderNPI(&Registration);
    WskDeregister(&Registration);
}

/* ---- requests that a thread waits for ---- */

typedef struct _REQUEST {
    PIRP Irp;
    KEVENT Done;
} REQUEST;

SHARED NTSTATUS NTAPI RequestDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    /* Only who was told STATUS_PENDING waits. */
    if (Irp->PendingReturned)
        KeSetEvent(&((REQUEST *)Context)->Done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED; /* the IRP stays ours */
}

SHARED BOOLEAN RequestCreate(REQUEST *Request)
{
    KeInitializeEvent(&Request->Done, SynchronizationEvent, FALSE);
    Request->Irp = IoAllocateIrp(1, FALSE);
    return Request->Irp != NULL;
}

SHARED void RequestFree(REQUEST *Request)
{
    if (Request->Irp != NULL)
        IoFreeIrp(Request->Irp);
    Request->Irp = NULL;
}

/* The IRP, ready to be given to a function of WSK. */
SHARED PIRP RequestIrp(REQUEST *Request)
{
    IoReuseIrp(Request->Irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Request->Irp, RequestDone, Request, TRUE, TRUE, TRUE);
    return Request->Irp;
}

/* Waits if need be; the request's final status. Its result is in Request->Irp->IoStatus.Information. */
SHARED NTSTATUS RequestWait(REQUEST *Request, NTSTATUS Returned)
{
    if (Returned == STATUS_PENDING)
        KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, NULL);
    return Request->Irp->IoStatus.Status;
}

/* ---- sockets ---- */

/* Creates a socket, and waits for it. */
SHARED NTSTATUS SocketCreate(
    ADDRESS_FAMILY Family, USHORT Type, ULONG Protocol, ULONG Category, PVOID Context, const void *Dispatch, PWSK_SOCKET *Socket)
{
    REQUEST request;
    NTSTATUS status;

    if (!RequestCreate(&request))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = RequestWait(
        &request,
        Provider.Dispatch->WskSocket(
            Provider.Client, Family, Type, Protocol, Category, Context, Dispatch, NULL, NULL, NULL, RequestIrp(&request)));
    *Socket = NT_SUCCESS(status) ? (PWSK_SOCKET)request.Irp->IoStatus.Information : NULL;
    RequestFree(&request);
    return status;
}

/* Closes a socket, and waits until nothing of it is left. */
SHARED void SocketClose(PWSK_SOCKET Socket)
{
    REQUEST request;

    if (Socket == NULL || !RequestCreate(&request))
        return;
    RequestWait(&request, ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)->WskCloseSocket(Socket, RequestIrp(&request)));
    RequestFree(&request);
}

/* Sets an option of 32 bits. */
SHARED NTSTATUS SocketOption(PWSK_SOCKET Socket, ULONG Level, ULONG Option, ULONG Value)
{
    REQUEST request;
    NTSTATUS status;

    if (!RequestCreate(&request))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = RequestWait(
        &request,
        ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)
            ->WskControlSocket(
                Socket, WskSetOption, Option, Level, sizeof Value, &Value, 0, NULL, NULL, RequestIrp(&request)));
    RequestFree(&request);
    return status;
}

/* Switches event callbacks on (or, with WSK_EVENT_DISABLE, one off). */
SHARED NTSTATUS SocketEvents(PWSK_SOCKET Socket, ULONG Events)
{
    WSK_EVENT_CALLBACK_CONTROL control = {&NPI_WSK_INTERFACE_ID, Events};

    return ((PWSK_PROVIDER_BASIC_DISPATCH)Socket->Dispatch)
        ->WskControlSocket(
            Socket, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, sizeof control, &control, 0, NULL, NULL, NULL);
}

/* The REG_DWORD "Port" below the driver's registry path; 0, any free port, if there is none. */
SHARED USHORT ConfiguredPort(PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"Port");
    OBJECT_ATTRIBUTES attributes;
    struct {
        KEY_VALUE_PARTIAL_INFORMATION Value;
        UCHAR Room[8];
    } data;
    ULONG length, port = 0;
    HANDLE key;

    InitializeObjectAttributes(&attributes, RegistryPath, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes)))
        return 0;
    if (NT_SUCCESS(ZwQueryValueKey(key, &name, KeyValuePartialInformation, &data, sizeof data, &length)) &&
        data.Value.Type == REG_DWORD)
        port = *(ULONG *)data.Value.Data;
    ZwClose(key);
    return (USHORT)port;
}

#define SWAP16(Value) ((USHORT)((((Value) & 0xff) << 8) | (((Value) >> 8) & 0xff)))

/*
 * Binds to a port of every local address: an IPv6 socket that is not IPv6 only serves IPv4 as well. A listening socket
 * listens from here on. Says where, as clients want to know it.
 */
SHARED NTSTATUS BindEverywhere(PWSK_SOCKET Socket, USHORT Port)
{
    PWSK_PROVIDER_LISTEN_DISPATCH dispatch = (PWSK_PROVIDER_LISTEN_DISPATCH)Socket->Dispatch; /* WskBind: the same slot in all */
    SOCKADDR_IN6 address = {AF_INET6, 0};
    REQUEST request;
    NTSTATUS status;

    status = SocketOption(Socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (!NT_SUCCESS(status) || !RequestCreate(&request))
        return status;
    address.sin6_port = SWAP16(Port);
    status = RequestWait(&request, dispatch->WskBind(Socket, (PSOCKADDR)&address, 0, RequestIrp(&request)));
    RequestFree(&request);
    return status;
}

/* WskGetLocalAddress, which has another slot in the table of each category; datagram samples define their own. */
#ifndef LOCAL_ADDRESS
#define LOCAL_ADDRESS(Socket, Address, Irp) \
    ((PWSK_PROVIDER_LISTEN_DISPATCH)(Socket)->Dispatch)->WskGetLocalAddress(Socket, Address, Irp)
#endif

/* Says which port it became, for those who want to connect. */
SHARED void SayListening(PWSK_SOCKET Socket)
{
    SOCKADDR_IN6 address = {0};
    REQUEST request;

    if (!RequestCreate(&request))
        return;
    RequestWait(&request, LOCAL_ADDRESS(Socket, (PSOCKADDR)&address, RequestIrp(&request)));
    RequestFree(&request);
    DbgPrint("listening on [::]:%u\n", SWAP16(address.sin6_port));
}

/* ---- connections, counted ---- */

/*
 * A connection is closed when its last reference goes: only then can no other function of its socket be running. Each thing
 * under way holds a reference. Unload aborts every connection, whose requests then fail and drop theirs.
 */
typedef struct _CONNECTION {
    LIST_ENTRY Link;
    LONG References;
    LONG Ended; /* the connection's own reference is dropped */
    PWSK_SOCKET Socket;
    PIRP Irp;      /* for the data of the function form */
    PIRP CloseIrp; /* always there, so that closing cannot fail */
    PMDL Mdl;
    UCHAR Buffer[4096];
} CONNECTION;

static LIST_ENTRY Connections;
static KSPIN_LOCK ConnectionsLock;
static LONG ConnectionCount;       /* plus one for the driver itself */
static KEVENT ConnectionsGone;

SHARED void ConnectionsInitialize(void)
{
    InitializeListHead(&Connections);
    KeInitializeSpinLock(&ConnectionsLock);
    KeInitializeEvent(&ConnectionsGone, NotificationEvent, FALSE);
    ConnectionCount = 1;
}

SHARED void ConnectionGone(void)
{
    if (InterlockedDecrement(&ConnectionCount) == 0)
        KeSetEvent(&ConnectionsGone, IO_NO_INCREMENT, FALSE);
}

/* DISPATCH_LEVEL at most. NULL without memory. */
SHARED CONNECTION *ConnectionCreate(void)
{
    CONNECTION *connection = (CONNECTION *)ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *connection, SAMPLE_TAG);

    if (connection == NULL)
        return NULL;
    RtlZeroMemory(connection, sizeof *connection);
    connection->References = 1;
    connection->Irp = IoAllocateIrp(1, FALSE);
    connection->CloseIrp = IoAllocateIrp(1, FALSE);
    connection->Mdl = IoAllocateMdl(connection->Buffer, sizeof connection->Buffer, FALSE, FALSE, NULL);
    if (connection->Irp == NULL || connection->CloseIrp == NULL || connection->Mdl == NULL) {
        if (connection->Irp != NULL)
            IoFreeIrp(connection->Irp);
        if (connection->CloseIrp != NULL)
            IoFreeIrp(connection->CloseIrp);
        if (connection->Mdl != NULL)
            IoFreeMdl(connection->Mdl);
        ExFreePoolWithTag(connection, SAMPLE_TAG);
        return NULL;
    }
    MmBuildMdlForNonPagedPool(connection->Mdl);
    InterlockedIncrement(&ConnectionCount);
    return connection;
}

SHARED void ConnectionFree(CONNECTION *Connection)
{
    IoFreeMdl(Connection->Mdl);
    IoFreeIrp(Connection->Irp);
    IoFreeIrp(Connection->CloseIrp);
    ExFreePoolWithTag(Connection, SAMPLE_TAG);
    ConnectionGone();
}

/* Makes it known to an unload. DISPATCH_LEVEL at most. */
SHARED void ConnectionEnter(CONNECTION *Connection, PWSK_SOCKET Socket)
{
    KIRQL irql;

    Connection->Socket = Socket;
    KeAcquireSpinLock(&ConnectionsLock, &irql);
    InsertTailList(&Connections, &Connection->Link);
    KeReleaseSpinLock(&ConnectionsLock, irql);
}

SHARED NTSTATUS NTAPI ConnectionClosed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    ConnectionFree((CONNECTION *)Context); /* the IRP too: we may, since we stop its completion here */
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* DISPATCH_LEVEL at most. */
SHARED void ConnectionDereference(CONNECTION *Connection)
{
    KIRQL irql;

    /* Counted under the lock, so that an unload never takes up a connection that is on its way out. */
    KeAcquireSpinLock(&ConnectionsLock, &irql);
    if (--Connection->References > 0) {
        KeReleaseSpinLock(&ConnectionsLock, irql);
        return;
    }
    RemoveEntryList(&Connection->Link);
    KeReleaseSpinLock(&ConnectionsLock, irql);
    IoReuseIrp(Connection->CloseIrp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Connection->CloseIrp, ConnectionClosed, Connection, TRUE, TRUE, TRUE);
    ((PWSK_PROVIDER_BASIC_DISPATCH)Connection->Socket->Dispatch)->WskCloseSocket(Connection->Socket, Connection->CloseIrp);
}

/* DISPATCH_LEVEL at most. FALSE: the connection is being closed, and its socket must not be used any more. */
SHARED BOOLEAN ConnectionReference(CONNECTION *Connection)
{
    BOOLEAN alive;
    KIRQL irql;

    KeAcquireSpinLock(&ConnectionsLock, &irql);
    alive = Connection->References > 0;
    if (alive)
        Connection->References++;
    KeReleaseSpinLock(&ConnectionsLock, irql);
    return alive;
}

/* Drops the reference that the connection was created with; once, whoever comes first. DISPATCH_LEVEL at most. */
SHARED void ConnectionDrop(CONNECTION *Connection)
{
    if (InterlockedExchange(&Connection->Ended, 1) == 0)
        ConnectionDereference(Connection);
}

/*
 * Aborts all connections and waits until the last is closed. The listener is closed by now. With Drop, for connections
 * that have no request pending whose failure would end them: nobody is told of an abort of one's own.
 */
SHARED void ConnectionsEnd(BOOLEAN Drop)
{
    for (;;) {
        CONNECTION *connection = NULL;
        PWSK_PROVIDER_CONNECTION_DISPATCH dispatch;
        REQUEST request;
        KIRQL irql;

        KeAcquireSpinLock(&ConnectionsLock, &irql);
        if (!IsListEmpty(&Connections)) {
            /* Into a list of its own, where RemoveEntryList works as well. */
            connection = CONTAINING_RECORD(Connections.Flink, CONNECTION, Link);
            connection->References++;
            RemoveEntryList(&connection->Link);
            InitializeListHead(&connection->Link);
        }
        KeReleaseSpinLock(&ConnectionsLock, irql);
        if (connection == NULL)
            break;
        if (RequestCreate(&request)) {
            dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)connection->Socket->Dispatch;
            RequestWait(
                &request,
                dispatch->WskDisconnect(connection->Socket, NULL, WSK_FLAG_ABORTIVE, RequestIrp(&request)));
            RequestFree(&request);
        }
        if (Drop)
            ConnectionDrop(connection);
        ConnectionDereference(connection);
    }
    ConnectionGone();
    KeWaitForSingleObject(&ConnectionsGone, Executive, KernelMode, FALSE, NULL);
}
