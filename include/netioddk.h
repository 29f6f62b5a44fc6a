/*
 * netioddk.h: the Network Module Registrar: how a client of an interface finds its providers.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _NETIODDK_
#define _NETIODDK_

#include <openwsk/base.h>
#include <netiodef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef GUID NPIID;
typedef CONST NPIID *PNPIID;

typedef enum {
    MIT_GUID = 1,
    MIT_IF_LUID
} NPI_MODULEID_TYPE;

typedef struct _NPI_MODULEID {
    USHORT Length;
    NPI_MODULEID_TYPE Type;
    union {
        GUID Guid;
        LUID IfLuid;
    };
} NPI_MODULEID;
typedef CONST NPI_MODULEID *PNPI_MODULEID;

typedef struct _NPI_REGISTRATION_INSTANCE {
    USHORT Version; /* 0 */
    USHORT Size;
    PNPIID NpiId;
    PNPI_MODULEID ModuleId;
    ULONG Number;
    CONST VOID *NpiSpecificCharacteristics;
} NPI_REGISTRATION_INSTANCE, *PNPI_REGISTRATION_INSTANCE;

typedef struct _NPI {
    HANDLE Handle;
    CONST VOID *Dispatch;
} NPI;

/* Of the client. */
typedef NTSTATUS (NTAPI NPI_CLIENT_ATTACH_PROVIDER_FN)(
    HANDLE NmrBindingHandle,
    PVOID ClientContext,
    PNPI_REGISTRATION_INSTANCE ProviderRegistrationInstance);
typedef NPI_CLIENT_ATTACH_PROVIDER_FN *PNPI_CLIENT_ATTACH_PROVIDER_FN;
typedef NTSTATUS (NTAPI NPI_CLIENT_DETACH_PROVIDER_FN)(PVOID ClientBindingContext);
typedef NPI_CLIENT_DETACH_PROVIDER_FN *PNPI_CLIENT_DETACH_PROVIDER_FN;
typedef VOID (NTAPI NPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN)(PVOID ClientBindingContext);
typedef NPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN *PNPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN;

typedef struct _NPI_CLIENT_CHARACTERISTICS {
    USHORT Version; /* 0 */
    USHORT Length;
    PNPI_CLIENT_ATTACH_PROVIDER_FN ClientAttachProvider;
    PNPI_CLIENT_DETACH_PROVIDER_FN ClientDetachProvider;
    PNPI_CLIENT_CLEANUP_BINDING_CONTEXT_FN ClientCleanupBindingContext;
    NPI_REGISTRATION_INSTANCE ClientRegistrationInstance;
} NPI_CLIENT_CHARACTERISTICS;
typedef CONST NPI_CLIENT_CHARACTERISTICS *PNPI_CLIENT_CHARACTERISTICS;

/* Of the provider. */
typedef NTSTATUS (NTAPI NPI_PROVIDER_ATTACH_CLIENT_FN)(
    HANDLE NmrBindingHandle,
    PVOID ProviderContext,
    PNPI_REGISTRATION_INSTANCE ClientRegistrationInstance,
    PVOID ClientBindingContext,
    CONST VOID *ClientDispatch,
    PVOID *ProviderBindingContext,
    CONST VOID **ProviderDispatch);
typedef NPI_PROVIDER_ATTACH_CLIENT_FN *PNPI_PROVIDER_ATTACH_CLIENT_FN;
typedef NTSTATUS (NTAPI NPI_PROVIDER_DETACH_CLIENT_FN)(PVOID ProviderBindingContext);
typedef NPI_PROVIDER_DETACH_CLIENT_FN *PNPI_PROVIDER_DETACH_CLIENT_FN;
typedef VOID (NTAPI NPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN)(PVOID ProviderBindingContext);
typedef NPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN *PNPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN;

typedef struct _NPI_PROVIDER_CHARACTERISTICS {
    USHORT Version; /* 0 */
    USHORT Length;
    PNPI_PROVIDER_ATTACH_CLIENT_FN ProviderAttachClient;
    PNPI_PROVIDER_DETACH_CLIENT_FN ProviderDetachClient;
    PNPI_PROVIDER_CLEANUP_BINDING_CONTEXT_FN ProviderCleanupBindingContext;
    NPI_REGISTRATION_INSTANCE ProviderRegistrationInstance;
} NPI_PROVIDER_CHARACTERISTICS;
typedef CONST NPI_PROVIDER_CHARACTERISTICS *PNPI_PROVIDER_CHARACTERISTICS;

#ifndef NMRAPI
#define NMRAPI OPENWSK_IMPORT
#endif
NMRAPI NTSTATUS NTAPI NmrRegisterClient(
    PNPI_CLIENT_CHARACTERISTICS ClientCharacteristics, PVOID ClientContext, HANDLE *NmrClientHandle);
NMRAPI NTSTATUS NTAPI NmrDeregisterClient(HANDLE NmrClientHandle);
NMRAPI NTSTATUS NTAPI NmrWaitForClientDeregisterComplete(HANDLE NmrClientHandle);
NMRAPI NTSTATUS NTAPI NmrClientAttachProvider(
    HANDLE NmrBindingHandle,
    PVOID ClientBindingContext,
    CONST VOID *ClientDispatch,
    PVOID *ProviderBindingContext,
    CONST VOID **ProviderDispatch);
NMRAPI VOID NTAPI NmrClientDetachProviderComplete(HANDLE NmrBindingHandle);
NMRAPI NTSTATUS NTAPI NmrRegisterProvider(
    PNPI_PROVIDER_CHARACTERISTICS ProviderCharacteristics, PVOID ProviderContext, HANDLE *NmrProviderHandle);
NMRAPI NTSTATUS NTAPI NmrDeregisterProvider(HANDLE NmrProviderHandle);
NMRAPI NTSTATUS NTAPI NmrWaitForProviderDeregisterComplete(HANDLE NmrProviderHandle);
NMRAPI VOID NTAPI NmrProviderDetachClientComplete(HANDLE NmrBindingHandle);

#ifdef __cplusplus
}
#endif

#endif /* _NETIODDK_ */
