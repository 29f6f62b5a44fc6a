/*
 * nmr_adder.h: an interface of our own between two drivers, found through the NMR: the provider adds, and the client is told
 * each sum as well.
 */
#include <ntddk.h>
#include <netioddk.h>

/* {5D0A7F2E-6B9C-4C33-9B3D-0A1E6C5F7A11} */
static const NPIID AdderId = {0x5d0a7f2e, 0x6b9c, 0x4c33, {0x9b, 0x3d, 0x0a, 0x1e, 0x6c, 0x5f, 0x7a, 0x11}};

typedef struct _ADDER_PROVIDER_DISPATCH {
    LONG(NTAPI *Add)(PVOID ProviderBindingContext, LONG A, LONG B);
} ADDER_PROVIDER_DISPATCH;

typedef struct _ADDER_CLIENT_DISPATCH {
    VOID(NTAPI *Added)(PVOID ClientBindingContext, LONG Sum);
} ADDER_CLIENT_DISPATCH;
