/*
 * nmr_client.c: a client of nmr_provider's interface. It adds when it is attached, and detaches in two steps, as a client
 * does that may have calls under way.
 */
#include "nmr_adder.h"

static HANDLE Client, Binding;
static const ADDER_PROVIDER_DISPATCH *Adder;
static PVOID AdderContext;

static VOID NTAPI Added(PVOID ClientBindingContext, LONG Sum)
{
    (void)ClientBindingContext;
    DbgPrint("told that the sum is %d\n", Sum);
}

static const ADDER_CLIENT_DISPATCH Dispatch = {Added};

static NTSTATUS NTAPI AttachProvider(
    HANDLE NmrBindingHandle, PVOID ClientContext, PNPI_REGISTRATION_INSTANCE ProviderRegistrationInstance)
{
    NTSTATUS status;

    (void)ClientContext;
    (void)ProviderRegistrationInstance;
    Binding = NmrBindingHandle;
    status = NmrClientAttachProvider(
        NmrBindingHandle, NULL, &Dispatch, &AdderContext, (const void **)&Adder);
    if (NT_SUCCESS(status))
        DbgPrint("2 + 3 = %d\n", Adder->Add(AdderContext, 2, 3));
    return status;
}

static void NTAPI FinishDetach(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    (void)DeviceObject;
    IoFreeWorkItem((PIO_WORKITEM)Context);
    DbgPrint("detached\n");
    NmrClientDetachProviderComplete(Binding);
}

static PDEVICE_OBJECT Device;

static NTSTATUS NTAPI DetachProvider(PVOID ClientBindingContext)
{
    PIO_WORKITEM item = IoAllocateWorkItem(Device);

    (void)ClientBindingContext;
    if (item == NULL)
        return STATUS_SUCCESS; /* at once, then */
    IoQueueWorkItem(item, FinishDetach, DelayedWorkQueue, item);
    return STATUS_PENDING;
}

static const NPI_MODULEID ModuleId = {
    sizeof(NPI_MODULEID), MIT_GUID, {{0x1c6b21a0, 0x9a54, 0x4f0e, {0x8e, 0x21, 0x3b, 0x52, 0x44, 0x90, 0x77, 0x02}}}};

static const NPI_CLIENT_CHARACTERISTICS Characteristics = {
    0,
    sizeof(NPI_CLIENT_CHARACTERISTICS),
    AttachProvider,
    DetachProvider,
    NULL,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &AdderId, &ModuleId, 0, NULL}};

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    if (NmrDeregisterClient(Client) == STATUS_PENDING)
        NmrWaitForClientDeregisterComplete(Client);
    IoDeleteDevice(Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    /* Work items need a device to hold the driver. */
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status))
        return status;
    status = NmrRegisterClient(&Characteristics, NULL, &Client);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(Device);
    return status;
}
