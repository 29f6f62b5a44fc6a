/*
 * openwsk/before_ddk.h: settings for the compiler's kernel headers.
 */
#ifndef OPENWSK_BEFORE_DDK_H
#define OPENWSK_BEFORE_DDK_H

#ifndef _AMD64_
#define _AMD64_
#endif
#ifndef _WIN64
#define _WIN64
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#ifndef NTDDI_VERSION
#define NTDDI_VERSION 0x0A000000
#endif

/*
 * wdm.h has its own inlines of these; clang would make functions of the others, in every object file.
 */
#if defined(__clang__)
#define __INTRINSIC_DEFINED_InterlockedBitTestAndSet
#define __INTRINSIC_DEFINED_InterlockedBitTestAndReset
#endif

#endif /* OPENWSK_BEFORE_DDK_H */
