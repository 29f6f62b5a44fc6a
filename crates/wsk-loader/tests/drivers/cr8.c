/* CR8 accesses in all surroundings: each routine reads or writes it beside another kind of neighbour. */
#include <ntddk.h>

int TestReport(int value);

#define READ "mov %%cr8, %0"
#define WRITE "mov %0, %%cr8"

__attribute__((noinline)) static ULONG64 before_ret(void)
{
    ULONG64 value;
    __asm__ volatile(READ : "=r"(value));
    return value;
}

__attribute__((noinline)) static int before_call(int n)
{
    ULONG64 value = 1;
    __asm__ volatile(WRITE : : "r"(value));
    n = TestReport(n);
    return n + 1;
}

__attribute__((noinline)) static int before_branch(int n)
{
    ULONG64 value;
    __asm__ volatile("test %1, %1\n\t" READ "\n\tjz 1f\n\tinc %0\n1:" : "=&r"(value) : "r"(n) : "cc");
    return (int)value;
}

/* Loops back to the instruction right after the read: it cannot move. */
__attribute__((noinline)) static int target_behind(int n)
{
    ULONG64 value;
    __asm__ volatile("xor %k1, %k1\n\t" READ "\n1:\n\tinc %1\n\tdec %2\n\tjnz 1b" : "=r"(value), "=&r"(n), "+r"(n) : : "cc");
    return n + (int)value;
}

__attribute__((noinline)) static int two_in_a_row(void)
{
    ULONG64 old, value = 2, now;
    __asm__ volatile("mov %%cr8, %0\n\tmov %2, %%cr8\n\tmov %%cr8, %1\n\tmov %0, %%cr8" : "=&r"(old), "=&r"(now) : "r"(value));
    return (int)(old * 100 + now);
}

__attribute__((noinline)) static int high_registers(void)
{
    ULONG64 r = 0;
    __asm__ volatile("mov $2, %%r13d\n\tmov %%r13, %%cr8\n\tmov $0, %%r15d\n\tmov %%cr8, %%r15\n\tmov %%r15, %0\n\t"
                     "xor %%r13d, %%r13d\n\tmov %%r13, %%cr8"
                     : "=r"(r) : : "r13", "r15", "cc");
    return (int)r;
}

/* The neighbour faults: its address and its registers must be those of the original. */
__attribute__((noinline)) static int fault_beside(volatile int *p)
{
    ULONG64 value;
    int read;
    __asm__ volatile(READ "\n\tmovl (%2), %1" : "=&r"(value), "=r"(read) : "r"(p));
    return read;
}

/* Of the hot kind: raise and lower many times. */
__attribute__((noinline)) static void hot(int n)
{
    KIRQL old;
    for (int i = 0; i < n; i++) {
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        KeLowerIrql(old);
    }
}

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    int which = TestReport(0);
    (void)path;
    driver->DriverUnload = unload;
    if (which == 1)
        return fault_beside((volatile int *)0) + 5;
    if (which > 1000) {
        hot(which);
        return STATUS_SUCCESS;
    }
    if (before_ret() != 0)
        return 1;
    if (before_call(7) != 1 || before_ret() != 1)
        return 2;
    KeLowerIrql(0);
    if (before_branch(0) != 0 || before_branch(1) != 1)
        return 3;
    target_behind(4);
    if (two_in_a_row() != 2 || before_ret() != 0)
        return 4;
    if (high_registers() != 2 || before_ret() != 0)
        return 5;
    return STATUS_SUCCESS;
}
