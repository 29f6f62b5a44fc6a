/*
 * leaves_nmr.c: a client of the network module registrar that goes without a word: of nmr_provider's interface, and of WSK,
 * where it has a socket too.
 */
#include "nmr_adder.h"
#include "common.h"

static HANDLE Adder, Wsk;
static const void *AdderDispatch;
static PVOID AdderContext;
static const ADDER_CLIENT_DISPATCH Dispatch;

static NTSTATUS NTAPI AttachAdder(HANDLE Binding, PVOID Context, PNPI_REGISTRATION_INSTANCE Instance)
{
    (void)Context;
    (void)Instance;
    return NmrClientAttachProvider(Binding, NULL, &Dispatch, &AdderContext, &AdderDispatch);
}

static NTSTATUS NTAPI AttachWsk(HANDLE Binding, PVOID Context, PNPI_REGISTRATION_INSTANCE Instance)
{
    (void)Context;
    (void)Instance;
    return NmrClientAttachProvider(
        Binding, NULL, &ClientDispatch, (PVOID *)&Provider.Client, (const void **)&Provider.Dispatch);
}

static NTSTATUS NTAPI DetachProvider(PVOID Context)
{
    (void)Context;
    DbgPrint("detached\n");
    return STATUS_SUCCESS;
}

static const NPI_MODULEID ModuleId = {
    sizeof(NPI_MODULEID), MIT_GUID, {{0x1c6b21a0, 0x9a54, 0x4f0e, {0x8e, 0x21, 0x3b, 0x52, 0x44, 0x90, 0x77, 0x03}}}};

static const NPI_CLIENT_CHARACTERISTICS OfAdder = {
    0,
    sizeof(NPI_CLIENT_CHARACTERISTICS),
    AttachAdder,
    DetachProvider,
    NULL,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &AdderId, &ModuleId, 0, NULL}};

static const NPI_CLIENT_CHARACTERISTICS OfWsk = {
    0,
    sizeof(NPI_CLIENT_CHARACTERISTICS),
    AttachWsk,
    DetachProvider,
    NULL,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &NPI_WSK_INTERFACE_ID, &ModuleId, 0, NULL}};

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PWSK_SOCKET socket;
    NTSTATUS status;

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    status = NmrRegisterClient(&OfAdder, NULL, &Adder);
    if (NT_SUCCESS(status))
        status = NmrRegisterClient(&OfWsk, NULL, &Wsk);
    if (NT_SUCCESS(status))
        status = SocketCreate(AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, NULL, NULL, &socket);
    return status;
}
