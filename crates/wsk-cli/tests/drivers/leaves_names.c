/*
 * leaves_names.c: goes while a great many name lookups are pending, without deregistering. Their completion routine and results
 * are in its image. A lookup that succeeds keeps its thread until one is cancelled, so there are some that are; each of those is
 * tried once more.
 */
#pragma GCC diagnostic ignored "-Warray-bounds" /* PsGetCurrentThread is a read of gs:0x188 */
#include "common.h"

#define LOOKUPS 2000

static PADDRINFOEXW Found[2 * LOOKUPS];
static KEVENT Cancelled;
static PKTHREAD Unloader;

static void LookUp(ULONG Index);

static NTSTATUS NTAPI Done(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    ULONG index = (ULONG)((PADDRINFOEXW *)Context - Found);

    (void)DeviceObject;
    if (Irp->IoStatus.Status == STATUS_CANCELLED) {
        KeSetEvent(&Cancelled, IO_NO_INCREMENT, FALSE);
        if (index < LOOKUPS)
            LookUp(LOOKUPS + index);
    } else if (KeGetCurrentThread() != Unloader) { /* it may also end at once */
        KeWaitForSingleObject(&Cancelled, Executive, KernelMode, FALSE, NULL);
    }
    Found[index] = NULL;
    IoFreeIrp(Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void LookUp(ULONG Index)
{
    UNICODE_STRING node = RTL_CONSTANT_STRING(L"localhost");
    PIRP irp = IoAllocateIrp(1, FALSE);

    if (irp == NULL)
        return;
    IoSetCompletionRoutine(irp, Done, &Found[Index], TRUE, TRUE, TRUE);
    Provider.Dispatch->WskGetAddressInfo(
        Provider.Client, &node, NULL, NS_ALL, NULL, NULL, &Found[Index], NULL, NULL, irp);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
    Unloader = KeGetCurrentThread();
    for (ULONG i = 0; i < LOOKUPS; i++)
        LookUp(i);
    DbgPrint("%s\n", KeReadStateEvent(&Cancelled) ? "cancelled too early" : "leaves");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    KeInitializeEvent(&Cancelled, NotificationEvent, FALSE);
    return Attach();
}
