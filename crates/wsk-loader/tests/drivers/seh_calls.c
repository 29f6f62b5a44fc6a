/* Structured exceptions and calls of OpenWSK: what raises, what faults in memory routines, what calls back. */
#include <ntddk.h>

int TestReport(int value);
/* Calls the routine with the argument, from OpenWSK. */
int TestCall(int (*routine)(int), int argument);

unsigned long _exception_code(void);
void *_exception_info(void);

static char *volatile nothing = 0;
static char buffer[64] = "buffer";
static volatile LONG zero = 0;

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

__attribute__((noinline)) static int read_nothing(int n) { return nothing[n]; }

static int handled_inside(int n)
{
    __try {
        return read_nothing(n);
    } __except (1) {
        return 5;
    }
}

static int not_handled(int n) { return read_nothing(n) + 1; }

static int skip_instruction(EXCEPTION_POINTERS *pointers)
{
    TestReport(1);
    return pointers->ExceptionRecord->ExceptionCode == STATUS_BREAKPOINT ? -1 : 1;
}

__attribute__((noinline)) static NTSTATUS run(int which)
{
    volatile NTSTATUS status = STATUS_UNSUCCESSFUL;
    switch (which) {
    case 1: /* memcpy from nothing, in the executive's leaf routine */
        __try {
            memcpy(buffer, nothing + zero, 32);
        } __except (1) {
            status = _exception_code() == STATUS_ACCESS_VIOLATION ? STATUS_SUCCESS : 1;
        }
        return status;
    case 2: /* memset to nothing */
        __try {
            memset(nothing + zero, 1, 4096);
        } __except (1) {
            status = STATUS_SUCCESS;
        }
        return status;
    case 3: /* ProbeForRead of what is not aligned */
        __try {
            ProbeForRead(buffer + 1, 8, 8);
        } __except (1) {
            status = _exception_code() == STATUS_DATATYPE_MISALIGNMENT ? STATUS_SUCCESS : (NTSTATUS)_exception_code();
        }
        return status;
    case 4: { /* MmProbeAndLockPages of nothing */
        PMDL mdl = IoAllocateMdl(nothing + 0x1000, 64, FALSE, FALSE, NULL);
        __try {
            MmProbeAndLockPages(mdl, KernelMode, IoWriteAccess);
            status = 2;
        } __except (1) {
            status = _exception_code() == STATUS_ACCESS_VIOLATION ? STATUS_SUCCESS : (NTSTATUS)_exception_code();
        }
        IoFreeMdl(mdl);
        return status;
    }
    case 5: /* handled within the callback */
        return TestCall(handled_inside, 3) == 5 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    case 6: { /* a continuable exception of the driver's own goes on behind the call */
        EXCEPTION_RECORD record = {0};
        record.ExceptionCode = STATUS_BREAKPOINT;
        __try {
            RtlRaiseException(&record);
            status = STATUS_SUCCESS;
        } __except (skip_instruction(_exception_info())) {
            status = 3;
        }
        return status;
    }
    case 20: /* not handled in the callback: would have to cross OpenWSK */
        __try {
            TestCall(not_handled, 3);
        } __except (1) {
            status = STATUS_SUCCESS;
        }
        return status;
    }
    return status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return run(TestReport(0));
}
