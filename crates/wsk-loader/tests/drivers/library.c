/* A driver that others import from, by name and by ordinal. */
#include <ntddk.h>

__declspec(dllexport) int LibraryAnswer(int n) { return n * 2; }
__declspec(dllexport) int LibraryOther(int n) { return n * 3; }

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
