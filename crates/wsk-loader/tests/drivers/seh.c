/* Structured exceptions. TestReport(0) says which case to run; TestReport(n) with n > 0 notes that n was reached. A case that
 * went as it should returns STATUS_SUCCESS. */
#include <ntddk.h>

int TestReport(int value);
NTSYSAPI VOID NTAPI ExRaiseStatus(NTSTATUS status);

unsigned long _exception_code(void);
void *_exception_info(void);

static volatile int *volatile nothing = 0;
static int backing = 7;
static LONG zero = 0;

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

__attribute__((noinline)) static int read_nothing(int depth)
{
    volatile int local = depth;
    if (depth > 0)
        return read_nothing(depth - 1) + local;
    return *nothing;
}

/* clang's scope tables cover calls only, so every fault under a __try is in a function of its own. */
__attribute__((noinline)) static int read_leaf(void) { return *nothing; }

/* Callee-saved registers must come back as they were. */
__attribute__((noinline)) static int registers(int a, int b, int c, int d)
{
    int e = TestReport(100), f = TestReport(101), g = TestReport(102);
    int sum = 0;
    __try {
        sum = a + b;
        read_nothing(5);
    } __except (1) {
        sum = 1000;
    }
    return sum + a + b + c + d + e + f + g;
}

__attribute__((noinline)) static int with_finally(void)
{
    int result = 0;
    __try {
        result = read_nothing(2);
    } __finally {
        TestReport(2);
    }
    return result;
}

static int repair(EXCEPTION_POINTERS *pointers)
{
    CONTEXT *context = pointers->ContextRecord;
    if (pointers->ExceptionRecord->ExceptionCode != STATUS_ACCESS_VIOLATION)
        return 0;
    /* Whatever register held the null pointer gets a good one. */
    for (ULONG64 *r = &context->Rax; r <= &context->R15; r++)
        if (*r == 0)
            *r = (ULONG64)&backing;
    TestReport(1);
    return -1;
}

__attribute__((noinline)) static int throwing_filter(void)
{
    TestReport(1);
    return *nothing;
}

__attribute__((noinline)) static void leave_by_return(void)
{
    __try {
        if (zero == 0)
            return;
        TestReport(90);
    } __finally {
        TestReport(_abnormal_termination() ? 2 : 1);
    }
}

/* In a function of its own: clang puts nothing between a call that does not return and the __try that follows it, so that the
 * return address would lie in that one, for Windows as for us. */
__attribute__((noinline)) static void raise(void)
{
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    TestReport(90);
}

__attribute__((noinline)) static NTSTATUS run(int which)
{
    volatile NTSTATUS status = STATUS_UNSUCCESSFUL;
    switch (which) {
    case 1: /* a null read, in a leaf without unwind data */
        __try {
            status = read_leaf();
        } __except (1) {
            status = _exception_code() == STATUS_ACCESS_VIOLATION ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
        }
        return status;
    case 2: /* raised on purpose */
        __try {
            ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
        } __except (_exception_code() == STATUS_INSUFFICIENT_RESOURCES) {
            status = _exception_code() == STATUS_INSUFFICIENT_RESOURCES ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
        }
        return status;
    case 3: /* nested: the inner filter refuses */
        __try {
            __try {
                read_nothing(3);
            } __except (TestReport(1), 0) {
                TestReport(90);
            }
        } __except (TestReport(2), 1) {
            TestReport(3);
            status = STATUS_SUCCESS;
        }
        return status;
    case 4: /* __finally in a callee, run between filter and handler */
        __try {
            with_finally();
        } __except (TestReport(1), 1) {
            TestReport(3);
            status = STATUS_SUCCESS;
        }
        return status;
    case 5: /* the filter repairs and goes on */
        __try {
            status = read_leaf() == 7 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
        } __except (repair(_exception_info())) {
            TestReport(90);
        }
        return status;
    case 6: /* registers */
        return registers(1, 20, 300, 4000) == 1000 + 4321 + 3 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    case 7: /* the exception of a filter goes to the next __try */
        __try {
            __try {
                read_nothing(0);
            } __except (throwing_filter()) {
                TestReport(90);
            }
        } __except (1) {
            TestReport(2);
            status = STATUS_SUCCESS;
        }
        return status;
    case 8: /* the exception of a __finally, while unwinding (collided unwind) */
        __try {
            __try {
                __try {
                    read_nothing(1);
                } __finally {
                    TestReport(1);
                    read_nothing(1);
                    TestReport(90);
                }
            } __finally {
                TestReport(2);
            }
        } __except (1) {
            TestReport(3);
            status = STATUS_SUCCESS;
        }
        return status;
    case 9: /* __finally on the normal way */
        __try {
            TestReport(1);
        } __finally {
            TestReport(2);
            status = STATUS_SUCCESS;
        }
        return status;
    case 10: /* leaving by return runs the __finally */
        leave_by_return();
        return STATUS_SUCCESS;
    case 11: /* many times over: nothing may be left */
        for (int i = 0; i < 1000; i++) {
            __try {
                with_finally();
            } __except (1) {
                zero = 0;
            }
        }
        return STATUS_SUCCESS;
    case 12: /* an exception inside an __except */
        __try {
            __try {
                read_nothing(0);
            } __except (1) {
                TestReport(1);
                read_nothing(0);
                TestReport(90);
            }
        } __except (1) {
            TestReport(2);
            status = STATUS_SUCCESS;
        }
        return status;
    case 20: /* nobody takes it */
        raise();
        break;
    case 21: /* a noncontinuable exception is continued */
        __try {
            ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
        } __except (-1) {
        }
        break;
    }
    return status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    return run(TestReport(0));
}
