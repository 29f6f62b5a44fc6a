/*
 * leaves_names.c: goes while a great many name lookups are pending, without deregistering. Their completion routine and results
 * are in its image.
 */
#pragma GCC diagnostic ignored "-Warray-bounds" /* PsGetCurrentThread is a read of gs:0x188 */
#include "common.h"

#define LOOKUPS 2000

static PADDRINFOEXW Found[LOOKUPS];
static LONG Completed;

static NTSTATUS NTAPI Done(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    (void)DeviceObject;
    *(PADDRINFOEXW *)Context = NULL;
    InterlockedIncrement(&Completed);
    IoFreeIrp(Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING node = RTL_CONSTANT_STRING(L"localhost");
    ULONG asked = 0;

    (void)DriverObject;
    for (; asked < LOOKUPS; asked++) {
        PIRP irp = IoAllocateIrp(1, FALSE);
        if (irp == NULL)
            break;
        IoSetCompletionRoutine(irp, Done, &Found[asked], TRUE, TRUE, TRUE);
        Provider.Dispatch->WskGetAddressInfo(
            Provider.Client, &node, NULL, NS_ALL, NULL, NULL, &Found[asked], NULL, NULL, irp);
    }
    DbgPrint("%s of %lu lookups pending\n", (ULONG)Completed < asked ? "some" : "none", asked);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    return Attach();
}
