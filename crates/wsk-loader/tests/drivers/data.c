/* Imports variables, calls a variadic function, has no DriverUnload. */
#include <ntddk.h>

__declspec(dllimport) extern int TestVariable;
int TestVariadic(const char *format, ...);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)driver, (void)path;
    if (TestVariable != 42)
        return 1;
    TestVariable++;
    return TestVariadic("%d %s %lld %d %d", 1, "two", 3LL, 4, 5) == 13 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
