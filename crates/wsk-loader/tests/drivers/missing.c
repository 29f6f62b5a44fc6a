/* A driver that imports what nobody has; it calls it only if TestReport(0) says so. */
#include <ntddk.h>

int TestReport(int value);
int TestNobodyHasThis(int value);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)driver, (void)path;
    return TestReport(0) == 1 ? TestNobodyHasThis(5) + 1 : STATUS_SUCCESS;
}
