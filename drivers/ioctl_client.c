/*
 * ioctl_client.c: a TCP client that a program controls through a device, \DosDevices\WskClient:
 *
 *     0x222000 CONNECT   in: "1.2.3.4:80" or "[::1]:80"
 *     0x222004 SEND      in: the bytes
 *     0x222008 RECEIVE   out: what has come, up to 4096 bytes; none is the peer's end
 *     0x22200c CLOSE
 *
 *     wsk run ioctl_client.c --for 1 --ioctl '\DosDevices\WskClient' 0x222000=3132372e302e302e313a3830 ...
 *
 * Requests of one program are served one after the other, on its thread.
 */
#include "common.h"

#define IOCTL_CONNECT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_SEND    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_RECEIVE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_CLOSE   CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS)

static PDEVICE_OBJECT Device;
static PWSK_SOCKET Socket;
static KMUTEX Lock; /* one request at a time */

static NTSTATUS Connect(const char *Text, ULONG Length)
{
    char text[64];
    union {
        SOCKADDR Any;
        SOCKADDR_IN V4;
        SOCKADDR_IN6 V6;
    } remote, local;
    ULONG scope = 0;
    REQUEST request;
    NTSTATUS status;

    if (Socket != NULL)
        return STATUS_CONNECTION_ACTIVE;
    if (Length == 0 || Length >= sizeof text)
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(text, Text, Length);
    text[Length] = 0;
    RtlZeroMemory(&remote, sizeof remote);
    RtlZeroMemory(&local, sizeof local);
    if (NT_SUCCESS(RtlIpv4StringToAddressExA(text, TRUE, &remote.V4.sin_addr, &remote.V4.sin_port))) {
        remote.Any.sa_family = local.Any.sa_family = AF_INET;
    } else if (NT_SUCCESS(
                   RtlIpv6StringToAddressExA(text, &remote.V6.sin6_addr, &scope, &remote.V6.sin6_port))) {
        remote.Any.sa_family = local.Any.sa_family = AF_INET6;
        remote.V6.sin6_scope_id = scope;
    } else {
        return STATUS_INVALID_PARAMETER;
    }
    if (!RequestCreate(&request))
        return STATUS_INSUFFICIENT_RESOURCES;
    /* Creates, binds and connects in one request. */
    status = RequestWait(
        &request,
        Provider.Dispatch->WskSocketConnect(
            Provider.Client, SOCK_STREAM, IPPROTO_TCP, &local.Any, &remote.Any, 0, NULL, NULL, NULL, NULL, NULL,
            RequestIrp(&request)));
    if (NT_SUCCESS(status))
        Socket = (PWSK_SOCKET)request.Irp->IoStatus.Information;
    RequestFree(&request);
    return status;
}

/* Sends or receives, in the buffer of the I/O request itself. */
static NTSTATUS Transfer(PVOID Buffer, ULONG Length, BOOLEAN Send, ULONG_PTR *Transferred)
{
    PWSK_PROVIDER_CONNECTION_DISPATCH dispatch;
    WSK_BUF data = {NULL, 0, Length};
    REQUEST request;
    NTSTATUS status;

    if (Socket == NULL)
        return STATUS_INVALID_DEVICE_STATE;
    if (Length == 0)
        return STATUS_INVALID_PARAMETER;
    data.Mdl = IoAllocateMdl(Buffer, Length, FALSE, FALSE, NULL);
    if (data.Mdl == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmBuildMdlForNonPagedPool(data.Mdl); /* the system buffer of buffered I/O is nonpaged pool */
    if (!RequestCreate(&request)) {
        IoFreeMdl(data.Mdl);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    dispatch = (PWSK_PROVIDER_CONNECTION_DISPATCH)Socket->Dispatch;
    status = RequestWait(
        &request,
        Send ? dispatch->WskSend(Socket, &data, 0, RequestIrp(&request))
             : dispatch->WskReceive(Socket, &data, 0, RequestIrp(&request)));
    *Transferred = request.Irp->IoStatus.Information;
    RequestFree(&request);
    IoFreeMdl(data.Mdl);
    return status;
}

static NTSTATUS NTAPI DeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    ULONG input = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG output = location->Parameters.DeviceIoControl.OutputBufferLength;
    PVOID buffer = Irp->AssociatedIrp.SystemBuffer;
    ULONG_PTR transferred = 0;
    NTSTATUS status;

    (void)DeviceObject;
    KeWaitForSingleObject(&Lock, Executive, KernelMode, FALSE, NULL);
    switch (location->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_CONNECT:
        status = Connect((const char *)buffer, input);
        break;
    case IOCTL_SEND:
        status = Transfer(buffer, input, TRUE, &transferred);
        transferred = 0; /* nothing for the output buffer */
        break;
    case IOCTL_RECEIVE:
        status = Transfer(buffer, output, FALSE, &transferred);
        break;
    case IOCTL_CLOSE:
        SocketClose(Socket);
        Socket = NULL;
        status = STATUS_SUCCESS;
        break;
    default:
        status = STATUS_INVALID_DEVICE_REQUEST;
    }
    KeReleaseMutex(&Lock, FALSE);
    Irp->IoStatus.Status = status;
    Irp->IoStatus.Information = transferred;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI CreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    (void)DeviceObject;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\WskClient");

    (void)DriverObject;
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(Device);
    SocketClose(Socket);
    Detach();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\WskClient");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\WskClient");
    NTSTATUS status = Attach();

    (void)RegistryPath;
    if (!NT_SUCCESS(status))
        return status;
    KeInitializeMutex(&Lock, 0);
    DriverObject->DriverUnload = Unload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = CreateClose;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = DeviceControl;
    status = IoCreateDevice(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (NT_SUCCESS(status)) {
        status = IoCreateSymbolicLink(&link, &name);
        if (!NT_SUCCESS(status))
            IoDeleteDevice(Device);
    }
    if (!NT_SUCCESS(status)) {
        Detach();
        return status;
    }
    DbgPrint("\\DosDevices\\WskClient is there\n");
    return STATUS_SUCCESS;
}
