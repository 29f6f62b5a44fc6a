/* The smallest driver that does something: reads, raises and lowers the IRQL, and can be unloaded. */
#include <ntddk.h>

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    KIRQL old;
    (void)path;
    driver->DriverUnload = unload;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeLowerIrql(old);
    return old;
}
