/*
 * nmr_provider.c: registers as a provider of an interface of its own (nmr_adder.h). Load it together with nmr_client, in any
 * order: the NMR attaches whoever comes.
 */
#include "nmr_adder.h"

typedef struct _BINDING {
    PVOID ClientContext;
    const ADDER_CLIENT_DISPATCH *Client;
} BINDING;

static HANDLE Provider;

static LONG NTAPI Add(PVOID ProviderBindingContext, LONG A, LONG B)
{
    BINDING *binding = (BINDING *)ProviderBindingContext;

    binding->Client->Added(binding->ClientContext, A + B);
    return A + B;
}

static const ADDER_PROVIDER_DISPATCH Dispatch = {Add};

static NTSTATUS NTAPI AttachClient(
    HANDLE NmrBindingHandle,
    PVOID ProviderContext,
    PNPI_REGISTRATION_INSTANCE ClientRegistrationInstance,
    PVOID ClientBindingContext,
    CONST VOID *ClientDispatch,
    PVOID *ProviderBindingContext,
    CONST VOID **ProviderDispatch)
{
    BINDING *binding;

    (void)NmrBindingHandle;
    (void)ProviderContext;
    (void)ClientRegistrationInstance;
    binding = (BINDING *)ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *binding, 'dniB');
    if (binding == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    binding->ClientContext = ClientBindingContext;
    binding->Client = (const ADDER_CLIENT_DISPATCH *)ClientDispatch;
    *ProviderBindingContext = binding;
    *ProviderDispatch = &Dispatch;
    DbgPrint("a client attached\n");
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI DetachClient(PVOID ProviderBindingContext)
{
    (void)ProviderBindingContext;
    DbgPrint("a client detaches\n");
    return STATUS_SUCCESS; /* no call of ours is under way */
}

static VOID NTAPI CleanupBinding(PVOID ProviderBindingContext)
{
    ExFreePoolWithTag(ProviderBindingContext, 'dniB');
}

static const NPI_MODULEID ModuleId = {
    sizeof(NPI_MODULEID), MIT_GUID, {{0x1c6b21a0, 0x9a54, 0x4f0e, {0x8e, 0x21, 0x3b, 0x52, 0x44, 0x90, 0x77, 0x01}}}};

static const NPI_PROVIDER_CHARACTERISTICS Characteristics = {
    0,
    sizeof(NPI_PROVIDER_CHARACTERISTICS),
    AttachClient,
    DetachClient,
    CleanupBinding,
    {0, sizeof(NPI_REGISTRATION_INSTANCE), &AdderId, &ModuleId, 0, NULL}};

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    if (NmrDeregisterProvider(Provider) == STATUS_PENDING)
        NmrWaitForProviderDeregisterComplete(Provider);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    return NmrRegisterProvider(&Characteristics, NULL, &Provider);
}
