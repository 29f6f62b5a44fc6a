/* Built with control-flow guard and with security cookies: calls through pointers, and a frame with a buffer. */
#include <ntddk.h>

int TestReport(int value);

/* What the C library of a driver brings (bufferoverflowfastfailk.lib, loadcfg.lib). */
UINT_PTR __security_cookie = 0x00002B992DDFA232;
void __security_check_cookie(UINT_PTR cookie)
{
    if (cookie != __security_cookie)
        __asm__ volatile("int $0x29" : : "c"(2));
}

extern void (*__guard_check_icall_fptr)(void);
static void check(void) {}
__attribute__((section(".00cfg"))) void (*__guard_check_icall_fptr)(void) = check;
__attribute__((naked)) static void dispatch(void) { __asm__("int3"); }
__attribute__((section(".00cfg"))) void (*__guard_dispatch_icall_fptr)(void) = dispatch;

__attribute__((used)) const struct {
    ULONG Size;
    ULONG Pad[21];
    UINT_PTR *SecurityCookie; /* 0x58 */
    UINT_PTR Tables[2];
    void *Check; /* 0x70 */
    void *Dispatch;
    UINT_PTR Rest[4];
} _load_config_used = { 0xA0, {0}, &__security_cookie, {0}, &__guard_check_icall_fptr, &__guard_dispatch_icall_fptr, {0} };

static int twice(int n) { return n * 2; }
static int thrice(int n) { return n * 3; }
static int (*volatile pointers[2])(int) = { twice, thrice };

__attribute__((noinline)) static int buffer(int n)
{
    volatile char text[64];
    for (int i = 0; i < n; i++)
        text[i] = (char)i;
    return text[5];
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)driver, (void)path;
    if (__security_cookie == 0x00002B992DDFA232 || __security_cookie >> 48 || !__security_cookie)
        return 1;
    if (pointers[0](4) != 8 || pointers[1](4) != 12)
        return 2;
    if (__guard_dispatch_icall_fptr == dispatch || __guard_check_icall_fptr == check)
        return 3;
    return buffer(TestReport(0) == 1 ? 200 : 32) == 5 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
