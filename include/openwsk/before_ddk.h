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

#endif /* OPENWSK_BEFORE_DDK_H */
