/* A driver that imports one function and can be unloaded. */
#include <ntddk.h>

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

int TestReport(int value);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return TestReport(path->Length) == path->Length + 1 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
