/*
 * unknown_import.c: imports a function of the cache manager, which has no place here.
 */
#include <ntddk.h>

__declspec(dllimport) VOID NTAPI CcFlushCache(PVOID SectionObjectPointer, PLARGE_INTEGER FileOffset, ULONG Length, PVOID IoStatus);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)DriverObject;
    (void)RegistryPath;
    DbgPrint("before\n");
    CcFlushCache(NULL, NULL, 0, NULL);
    return STATUS_UNSUCCESSFUL;
}
