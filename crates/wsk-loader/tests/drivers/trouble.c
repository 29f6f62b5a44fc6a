/* Misuse that ends in a report: TestReport(0) says which. */
#include <ntddk.h>

int TestReport(int value);
int TestCall(int (*routine)(int), int argument);
int TestPanic(int value);

static volatile int *volatile nothing = 0;

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

static int after_unload(int n)
{
    if (n == 41)
        DbgPrint("half a line");
    return n + 1;
}

static void NTAPI thread(PVOID context)
{
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    KeLowerIrql(old);
    TestReport(*nothing);
}

__attribute__((noinline)) static int use(volatile int *p)
{
    ExFreePoolWithTag((void *)p, 'tseT');
    return *p + 1;
}

__attribute__((section("WILD"))) int wild = 1;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    HANDLE handle;
    (void)path;
    driver->DriverUnload = unload;
    switch (TestReport(0)) {
    case 1: /* the driver stops the system itself, and has pool open */
        if (!ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL'))
            return 1;
        KeBugCheckEx(0x12345678, 1, 2, 3, 4);
    case 2: /* use after free, with the verifier */
        return use(ExAllocatePoolWithTag(NonPagedPool, 100, 'tseT'));
    case 3: /* its code is called after it is gone */
        TestCall(after_unload, -1);
        return STATUS_SUCCESS;
    case 4: /* a system thread faults, on the stack that the executive gave it */
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread, NULL);
        TestReport(2);
        return STATUS_SUCCESS;
    case 5: /* OpenWSK panics */
        return TestPanic(5) + 1;
    case 6: /* returns at DISPATCH_LEVEL */
        KeRaiseIrqlToDpcLevel();
        return STATUS_SUCCESS;
    case 7: /* OpenWSK faults on a pointer of the driver's */
        KeInitializeEvent((PKEVENT)(ULONG_PTR)(0x1000 + TestReport(1)), NotificationEvent, FALSE);
        return STATUS_SUCCESS;
    case 8: /* leaves a routine and a block behind */
    case 9: /* and this one does not even start */
        TestCall(after_unload, -1);
        if (!ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL'))
            return 1;
        return TestReport(0) == 8 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    }
    return wild == 1 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
