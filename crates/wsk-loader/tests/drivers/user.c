/* A driver that imports from another driver. */
#include <ntddk.h>

__declspec(dllimport) int LibraryAnswer(int n);
__declspec(dllimport) int LibraryOther(int n);

#ifdef DELAYED
/* What lld's thunks call until an import is bound. OpenWSK binds them at load, so it is not called. */
void *__delayLoadHelper2(void *descriptor, void *slot) { (void)descriptor, (void)slot; __builtin_trap(); }
#endif

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return LibraryAnswer(21) + LibraryOther(1) == 45 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
