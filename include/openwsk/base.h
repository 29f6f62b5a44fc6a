/*
 * openwsk/base.h: what the headers of this directory need of the compiler.
 */
#ifndef OPENWSK_BASE_H
#define OPENWSK_BASE_H

/* Imports are called through the import table of a driver, and directly from a Linux program. */
#if defined(_WIN32)
#define OPENWSK_IMPORT    __declspec(dllimport)
#define OPENWSK_SELECTANY __declspec(selectany)
#else
#define OPENWSK_IMPORT    extern
#define OPENWSK_SELECTANY __attribute__((weak))
#endif

#ifndef EXTERN_C_START
#ifdef __cplusplus
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END   }
#else
#define EXTERN_C_START
#define EXTERN_C_END
#endif
#endif

#endif /* OPENWSK_BASE_H */
