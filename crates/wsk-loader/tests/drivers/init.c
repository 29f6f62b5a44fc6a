/* Calls a routine of its INIT section, in DriverEntry and (wrongly) in DriverUnload. */
#include <ntddk.h>

__attribute__((section("INIT"), noinline)) static int initialize(int n) { return n + 1; }

static void NTAPI unload(PDRIVER_OBJECT driver) { driver->Flags = initialize(driver->Flags); }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return initialize(1) == 2 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
