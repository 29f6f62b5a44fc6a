/*
 * openwsk/after_ddk.h: declarations of the kernel interface that the compiler's headers lack.
 */
#ifndef OPENWSK_AFTER_DDK_H
#define OPENWSK_AFTER_DDK_H

#include <driverspecs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pool. ExAllocatePool2 zeroes unless told not to; the other two are inlines over ExAllocatePoolWithTag. */
typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_REQUIRED_START   0x0000000000000001ULL
#define POOL_FLAG_USE_QUOTA        0x0000000000000001ULL
#define POOL_FLAG_UNINITIALIZED    0x0000000000000002ULL
#define POOL_FLAG_SESSION          0x0000000000000004ULL
#define POOL_FLAG_CACHE_ALIGNED    0x0000000000000008ULL
#define POOL_FLAG_RAISE_ON_FAILURE 0x0000000000000020ULL
#define POOL_FLAG_NON_PAGED        0x0000000000000040ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ULL
#define POOL_FLAG_PAGED            0x0000000000000100ULL
#define POOL_ZERO_ALLOCATION       1024
#define POOL_NX_ALLOCATION         512

OPENWSK_IMPORT PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

FORCEINLINE PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag((POOL_TYPE)(PoolType | POOL_ZERO_ALLOCATION), NumberOfBytes, Tag);
}

FORCEINLINE PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);
}

#define DrvRtPoolNxOptIn 0x00000001
FORCEINLINE VOID ExInitializeDriverRuntime(ULONG RuntimeFlags)
{
    (void)RuntimeFlags; /* nonpaged pool is never executable here */
}

#ifndef MdlMappingNoExecute
#define MdlMappingNoExecute 0x40000000
#endif
#ifndef MdlMappingNoWrite
#define MdlMappingNoWrite 0x80000000
#endif

/* Push locks; callers keep normal APCs off. */
#ifndef _NTIFS_
typedef ULONG_PTR EX_PUSH_LOCK, *PEX_PUSH_LOCK;
OPENWSK_IMPORT VOID NTAPI ExInitializePushLock(PEX_PUSH_LOCK PushLock);
#endif
OPENWSK_IMPORT VOID NTAPI ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
OPENWSK_IMPORT VOID NTAPI ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
OPENWSK_IMPORT VOID NTAPI ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
OPENWSK_IMPORT VOID NTAPI ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags);
#define ExAcquirePushLockExclusive(Lock) ExAcquirePushLockExclusiveEx(Lock, 0)
#define ExAcquirePushLockShared(Lock)    ExAcquirePushLockSharedEx(Lock, 0)
#define ExReleasePushLockExclusive(Lock) ExReleasePushLockExclusiveEx(Lock, 0)
#define ExReleasePushLockShared(Lock)    ExReleasePushLockSharedEx(Lock, 0)

/* Reader-writer spin locks. */
typedef volatile LONG EX_SPIN_LOCK, *PEX_SPIN_LOCK;
OPENWSK_IMPORT KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock);
OPENWSK_IMPORT KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock);
OPENWSK_IMPORT VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
OPENWSK_IMPORT VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql);
OPENWSK_IMPORT VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
OPENWSK_IMPORT VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
OPENWSK_IMPORT VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock);
OPENWSK_IMPORT VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock);

OPENWSK_IMPORT VOID NTAPI IoCleanupIrp(PIRP Irp);

/* Addresses as text. */
struct in_addr;
struct in6_addr;
OPENWSK_IMPORT PSTR NTAPI RtlIpv4AddressToStringA(const struct in_addr *Addr, PSTR S);
OPENWSK_IMPORT PSTR NTAPI RtlIpv6AddressToStringA(const struct in6_addr *Addr, PSTR S);
OPENWSK_IMPORT LONG NTAPI RtlIpv4AddressToStringExA(
    const struct in_addr *Address, USHORT Port, PSTR AddressString, PULONG AddressStringLength);
OPENWSK_IMPORT LONG NTAPI RtlIpv6AddressToStringExA(
    const struct in6_addr *Address, ULONG ScopeId, USHORT Port, PSTR AddressString, PULONG AddressStringLength);
OPENWSK_IMPORT LONG NTAPI RtlIpv4StringToAddressA(PCSTR S, BOOLEAN Strict, PCSTR *Terminator, struct in_addr *Addr);
OPENWSK_IMPORT LONG NTAPI RtlIpv6StringToAddressA(PCSTR S, PCSTR *Terminator, struct in6_addr *Addr);
OPENWSK_IMPORT LONG NTAPI RtlIpv4StringToAddressExA(
    PCSTR AddressString, BOOLEAN Strict, struct in_addr *Address, PUSHORT Port);
OPENWSK_IMPORT LONG NTAPI RtlIpv6StringToAddressExA(
    PCSTR AddressString, struct in6_addr *Address, PULONG ScopeId, PUSHORT Port);

/* The short forms of structured exception handling, as excpt.h has them for C. gcc knows no such statements. */
#if !defined(__cplusplus) && defined(__clang__)
#ifndef try
#define try     __try
#define except  __except
#define finally __finally
#define leave   __leave
#endif
#endif

/* Words of the newer headers that mean nothing to this compiler. */
#ifndef PAGED_CODE_SEG
#define PAGED_CODE_SEG
#endif
#ifndef INIT_CODE_SEG
#define INIT_CODE_SEG
#endif

#ifdef __cplusplus
}
#endif

#endif /* OPENWSK_AFTER_DDK_H */
