/* CR8 accesses beside instructions with an address of KUSER_SHARED_DATA: both are rewritten. In each routine the result is
 * the page's NtMajorVersion (10) times 100 plus the IRQL. */
#include <ntddk.h>

#define VERSION "0xfffff7800000026c"
#define CR8(to) "mov %%cr8, " to "\n\t"
/* Jumps back to what follows the one before: that cannot move out of line. */
#define LOOP "\n1:\n\tdec %2\n\tjnz 1b"

#define ROUTINE(name, code, tail)                                                                                              \
    __attribute__((noinline)) static int name(ULONG_PTR n)                                                                     \
    {                                                                                                                          \
        ULONG_PTR value, irql;                                                                                                 \
        __asm__ volatile(code LOOP tail : "=&a"(value), "=&r"(irql), "+r"(n) : : "rdx", "cc");                                 \
        return (int)((ULONG)value * 100 + irql);                                                                               \
    }

#define ADDRESS "movabs $" VERSION ", %0\n\t"
#define LOAD "movabs " VERSION ", %%eax\n\t"
#define READ "\n\tmov (%0), %k0"

/* The address goes out of line with the CR8 access that follows it. */
ROUTINE(address_before, ADDRESS CR8("%1"), READ)
ROUTINE(load_before, LOAD CR8("%1"), "")
/* And here with the one in front of it. */
ROUTINE(address_after, CR8("%1") ADDRESS, READ)
ROUTINE(load_after, CR8("%1") LOAD, "")
/* Only the second address moves. */
ROUTINE(between, ADDRESS CR8("%1") "movabs $" VERSION ", %%rdx\n\tcmp %%rdx, %0\n\tje 2f\n\tint3\n2:\n\t", READ)
/* Two windows with nothing between them. */
ROUTINE(twice, "xor %k1, %k1\n\t" ADDRESS CR8("%1") LOAD CR8("%1") "nop\n\t", "")

static void NTAPI unload(PDRIVER_OBJECT driver) { (void)driver; }

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    KIRQL old;
    NTSTATUS status = STATUS_SUCCESS;
    (void)path;
    driver->DriverUnload = unload;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    if (address_before(3) != 1002)
        status = 0xE0000001;
    else if (load_before(3) != 1002)
        status = 0xE0000002;
    else if (address_after(3) != 1002)
        status = 0xE0000003;
    else if (load_after(3) != 1002)
        status = 0xE0000004;
    else if (between(3) != 1002)
        status = 0xE0000005;
    else if (twice(3) != 1002)
        status = 0xE0000006;
    KeLowerIrql(old);
    return status;
}
