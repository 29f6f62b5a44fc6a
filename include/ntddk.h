/*
 * ntddk.h: the compiler's own header of that name, and what it lacks. On Linux, the types of the kernel interface alone.
 */
#ifndef OPENWSK_NTDDK_H
#define OPENWSK_NTDDK_H

#include <openwsk/base.h>
#if defined(_WIN32)
#include <openwsk/before_ddk.h>
#include_next <ntddk.h>
#include <openwsk/after_ddk.h>
#else
#include <openwsk/linux.h>
#endif

#endif /* OPENWSK_NTDDK_H */
