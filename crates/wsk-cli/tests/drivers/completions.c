/*
 * completions.c: when completion routines run, and in which order: requests started inside a routine, requests that outlive
 * their client, and what name lookups and accepted sockets bring along.
 *
 * Prints `N checks, M failed`.
 */
#include "common.h"
#include "check.h"

#define CONNECTION(Socket) ((const WSK_PROVIDER_CONNECTION_DISPATCH *)(Socket)->Dispatch)

static REQUEST Request;
static PWSK_SOCKET Listener;
static SOCKADDR_IN6 Address;

static PWSK_SOCKET Connect(void)
{
    SOCKADDR_IN6 any = {AF_INET6};
    NTSTATUS status = RequestWait(
        &Request,
        Provider.Dispatch->WskSocketConnect(
            Provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&any, (PSOCKADDR)&Address, 0, NULL, NULL, NULL, NULL, NULL,
            RequestIrp(&Request)));

    CHECK(NT_SUCCESS(status));
    return NT_SUCCESS(status) ? (PWSK_SOCKET)Request.Irp->IoStatus.Information : NULL;
}

/* ---- requests started inside a completion routine ---- */

static PWSK_SOCKET First, Second;
static WSK_BUF Data;
static PIRP FirstSend, SecondSend, SecondClose;
static LONG Order, SendAt, CloseAt, Left;
static KEVENT AllRan;

static NTSTATUS Ran(void)
{
    if (InterlockedDecrement(&Left) == 0)
        KeSetEvent(&AllRan, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS NTAPI SecondSent(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Context;
    CHECK(NT_SUCCESS(Irp->IoStatus.Status));
    SendAt = InterlockedIncrement(&Order);
    return Ran();
}

static NTSTATUS NTAPI SecondClosed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Context;
    CHECK(NT_SUCCESS(Irp->IoStatus.Status));
    CloseAt = InterlockedIncrement(&Order);
    return Ran();
}

/* On a thread that is inside a completion routine (F-69): the send could finish at once, the close on another thread. */
static NTSTATUS NTAPI FirstSent(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Irp;
    (void)Context;
    IoSetCompletionRoutine(SecondSend, SecondSent, NULL, TRUE, TRUE, TRUE);
    CONNECTION(Second)->WskSend(Second, &Data, 0, SecondSend);
    IoSetCompletionRoutine(SecondClose, SecondClosed, NULL, TRUE, TRUE, TRUE);
    CONNECTION(Second)->Basic.WskCloseSocket(Second, SecondClose);
    KeStallExecutionProcessor(500); /* room for a wrong order to happen in */
    return Ran();
}

/* Nothing of a socket completes after its close (F-115). */
static void TestOrder(void)
{
    static UCHAR bytes[64];

    Data.Mdl = IoAllocateMdl(bytes, sizeof bytes, FALSE, FALSE, NULL);
    Data.Length = sizeof bytes;
    MmBuildMdlForNonPagedPool(Data.Mdl);
    FirstSend = IoAllocateIrp(1, FALSE);
    SecondSend = IoAllocateIrp(1, FALSE);
    SecondClose = IoAllocateIrp(1, FALSE);
    First = Connect();
    for (int round = 0; round < 40; round++) {
        Second = Connect();
        Order = SendAt = CloseAt = 0;
        Left = 3;
        KeClearEvent(&AllRan);
        IoReuseIrp(FirstSend, STATUS_UNSUCCESSFUL);
        IoReuseIrp(SecondSend, STATUS_UNSUCCESSFUL);
        IoReuseIrp(SecondClose, STATUS_UNSUCCESSFUL);
        IoSetCompletionRoutine(FirstSend, FirstSent, NULL, TRUE, TRUE, TRUE);
        CONNECTION(First)->WskSend(First, &Data, 0, FirstSend);
        KeWaitForSingleObject(&AllRan, Executive, KernelMode, FALSE, NULL);
        CHECK(SendAt == 1 && CloseAt == 2);
    }
    SocketClose(First);
    IoFreeIrp(FirstSend);
    IoFreeIrp(SecondSend);
    IoFreeIrp(SecondClose);
    IoFreeMdl(Data.Mdl);
}

/* ---- options of accepted sockets ---- */

static void TestInherited(void)
{
    PWSK_SOCKET peer, accepted = NULL;
    ULONG value = 0;
    SIZE_T length = 0;

    CHECK(NT_SUCCESS(SocketOption(Listener, SOL_SOCKET, SO_KEEPALIVE, 1)));
    CHECK(NT_SUCCESS(SocketOption(Listener, SOL_SOCKET, SO_RCVBUF, 40000)));
    peer = Connect();
    for (;;) { /* those of the test before come first */
        SOCKADDR_IN6 local, remote;
        NTSTATUS status = RequestWait(
            &Request,
            ((const WSK_PROVIDER_LISTEN_DISPATCH *)Listener->Dispatch)
                ->WskAccept(Listener, 0, NULL, NULL, NULL, (PSOCKADDR)&remote, RequestIrp(&Request)));

        CHECK(NT_SUCCESS(status));
        if (!NT_SUCCESS(status))
            return;
        accepted = (PWSK_SOCKET)Request.Irp->IoStatus.Information;
        RequestWait(&Request, CONNECTION(peer)->WskGetLocalAddress(peer, (PSOCKADDR)&local, RequestIrp(&Request)));
        if (remote.sin6_port == local.sin6_port)
            break;
        SocketClose(accepted);
    }
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        CONNECTION(accepted)
            ->Basic.WskControlSocket(
                accepted, WskGetOption, SO_KEEPALIVE, SOL_SOCKET, 0, NULL, sizeof value, &value, &length, RequestIrp(&Request)))));
    CHECK(value == 1 && length == sizeof value);
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        CONNECTION(accepted)
            ->Basic.WskControlSocket(
                accepted, WskGetOption, SO_RCVBUF, SOL_SOCKET, 0, NULL, sizeof value, &value, &length, RequestIrp(&Request)))));
    CHECK(value == 40000);
    SocketClose(accepted);
    SocketClose(peer);
}

/* ---- names ---- */

static void TestNames(void)
{
    UNICODE_STRING node = RTL_CONSTANT_STRING(L"127.0.0.1"), service = RTL_CONSTANT_STRING(L"7");
    ADDRINFOEXW hints = {0};
    PADDRINFOEXW found = NULL;

    hints.ai_flags = AI_CANONNAME | AI_NUMERICHOST;
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        Provider.Dispatch->WskGetAddressInfo(
            Provider.Client, &node, &service, NS_ALL, NULL, &hints, &found, NULL, NULL, RequestIrp(&Request)))));
    CHECK(found != NULL && found->ai_canonname != NULL && found->ai_canonname[0] == L'1' && found->ai_next == NULL);
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, found);

    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_protocol = IPPROTO_UDP; /* of any type */
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        Provider.Dispatch->WskGetAddressInfo(
            Provider.Client, &node, &service, NS_ALL, NULL, &hints, &found, NULL, NULL, RequestIrp(&Request)))));
    CHECK(found != NULL && found->ai_canonname == NULL && found->ai_protocol == IPPROTO_UDP);
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, found);

    node = (UNICODE_STRING)RTL_CONSTANT_STRING(L"::ffff:127.0.0.1");
    hints = (ADDRINFOEXW){.ai_family = AF_INET6, .ai_flags = AI_V4MAPPED};
    CHECK(NT_SUCCESS(RequestWait(
        &Request,
        Provider.Dispatch->WskGetAddressInfo(
            Provider.Client, &node, &service, NS_ALL, NULL, &hints, &found, NULL, NULL, RequestIrp(&Request)))));
    CHECK(found != NULL && found->ai_family == AF_INET6 && found->ai_addrlen == sizeof(SOCKADDR_IN6));
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, found);
}

/* ---- a list change that outlives its client ---- */

static PIRP Change;
static LONG ChangeDone;

static NTSTATUS NTAPI Changed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    (void)Context;
    CHECK(Irp->IoStatus.Status == STATUS_CANCELLED);
    KeStallExecutionProcessor(500);
    InterlockedIncrement(&ChangeDone);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void AskForChange(void)
{
    IoReuseIrp(Change, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Change, Changed, NULL, TRUE, TRUE, TRUE);
    CHECK(
        Provider.Dispatch->WskControlClient(
            Provider.Client, WSK_TRANSPORT_LIST_CHANGE, 0, NULL, 0, NULL, NULL, Change) == STATUS_PENDING);
}

/* Asks while the client is being deregistered, or just before. */
static void NTAPI AskLate(PVOID Context)
{
    (void)Context;
    AskForChange();
    WskReleaseProviderNPI(&Registration);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* WskDeregister returns when the routines of the client's requests have returned (F-22, F-23). */
static void TestDeregister(void)
{
    Change = IoAllocateIrp(1, FALSE);
    for (int round = 0; round < 20; round++) {
        HANDLE handle;
        PVOID thread;

        ChangeDone = 0;
        CHECK(NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, AskLate, NULL)));
        ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
        ZwClose(handle);
        WskDeregister(&Registration);
        CHECK(ChangeDone == 1);
        KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread);
        CHECK(NT_SUCCESS(Attach()));
    }
    IoFreeIrp(Change);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&AllRan, NotificationEvent, FALSE);
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    CHECK(NT_SUCCESS(
        SocketCreate(AF_INET6, SOCK_STREAM, IPPROTO_TCP, WSK_FLAG_LISTEN_SOCKET, NULL, NULL, &Listener)));
    CHECK(NT_SUCCESS(BindEverywhere(Listener, 0)));
    RequestWait(&Request, LOCAL_ADDRESS(Listener, (PSOCKADDR)&Address, RequestIrp(&Request)));
    Address.sin6_addr.u.Byte[15] = 1;
    TestOrder();
    TestInherited();
    TestNames();
    SocketClose(Listener);
    TestDeregister();
    RequestFree(&Request);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
