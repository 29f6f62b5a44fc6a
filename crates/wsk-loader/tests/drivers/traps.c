/* What has to be trapped, one thing per routine. The registry path's length is the smallest trouble; TestReport(0) says which one
 * to run. */
#include <ntddk.h>

int TestReport(int value);

static volatile int *nothing = 0;
static LARGE_INTEGER now;

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

__attribute__((noinline)) static int fault(void) { return *nothing; }

__attribute__((noinline)) static int recurse(volatile char *above)
{
    volatile char frame[8192];
    frame[0] = above[0];
    return recurse(frame) + frame[0];
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    KIRQL old;
    (void)path;
    driver->DriverUnload = unload;
    switch (TestReport(0)) {
    case 0: /* CR8 */
        if (KeGetCurrentIrql() != PASSIVE_LEVEL)
            return STATUS_UNSUCCESSFUL;
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        TestReport(1);
        KeLowerIrql(old);
        TestReport(2);
        return KeGetCurrentIrql() == PASSIVE_LEVEL ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    case 1: /* GS */
        return KeGetCurrentThread() && __readgsqword(0x18) ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    case 2: /* the shared page, loads through an immediate */
        KeQuerySystemTime(&now);
        return now.QuadPart > 130000000000000000 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    case 3: { /* the shared page, an address that no patch can see */
        volatile unsigned long long high = 0xFFFFF780;
        volatile unsigned long long *page = (void *)(high << 32);
        return page[1] != 0 && page[0x320 / 8] != 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    }
    case 4: { /* a frame that wants a stack probe */
        volatile char big[40000];
        big[0] = 1;
        big[39999] = 2;
        TestReport((int)(long long)&big[20000]);
        return big[0] + big[39999] == 3 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
    }
    case 5: /* a breakpoint */
        __asm__ volatile("int3");
        return STATUS_SUCCESS;
    case 6: /* fast fail: a corrupt list */
        __asm__ volatile("int $0x29" : : "c"(3));
        break;
    case 7: /* an assertion */
        __asm__ volatile("int $0x2c");
        break;
    case 8: /* a fault */
        return fault();
    case 9: /* a fault at DISPATCH_LEVEL */
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        return fault();
    case 10: /* a call of nothing */
        return ((int (*)(void))nothing)() + 1;
    case 11: { /* a stack overflow */
        volatile char top[1] = {0};
        return recurse(top);
    }
    case 12: /* a privileged instruction */
        __asm__ volatile("hlt");
        break;
    case 13: /* write to a system address */
        *(volatile int *)0xFFFF800000001000 = 1;
        break;
    case 14: /* division by zero */
        return 12345 / TestReport(14);
    }
    return STATUS_UNSUCCESSFUL;
}
