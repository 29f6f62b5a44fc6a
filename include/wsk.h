/*
 * wsk.h: the Winsock Kernel: sockets for drivers, and for C programs on Linux.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _WSK_
#define _WSK_

#include <netioddk.h>
#include <ws2def.h>
#include <ws2ipdef.h>
#include <mswsockdef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WSKAPI
#define WSKAPI NTAPI
#endif

/* Versions: major number in the high byte. */
#define MAKE_WSK_VERSION(Mj, Mn) ((USHORT)((Mj) << 8) | (USHORT)((Mn) & 0xff))
#define WSK_MAJOR_VERSION(V)     ((UCHAR)((V) >> 8))
#define WSK_MINOR_VERSION(V)     ((UCHAR)(V))

/* Bases of the option and IOCTL numbers. */
#define WSK_SO_BASE                      0x4000
#define IOC_WSK                          0xF000000

/* Options of WskControlSocket at level SOL_SOCKET. */
#define SO_WSK_SECURITY                  0x4001
#define SO_WSK_EVENT_CALLBACK            0x4002

/* IOCTLs of WskControlSocket. */
#define SIO_WSK_SET_REMOTE_ADDRESS       0x8F000001
#define SIO_WSK_REGISTER_EXTENSION       0xCF000002
#define SIO_WSK_QUERY_IDEAL_SEND_BACKLOG 0x4F000003
#define SIO_WSK_QUERY_RECEIVE_BACKLOG    0x4F000004
#define SIO_WSK_QUERY_INSPECT_ID         0x4F000005
#define SIO_WSK_SET_SENDTO_ADDRESS       0x8F000006
#define SIO_WSK_SET_TCP_SILENT_MODE      0x2F000007
#define SIO_WSK_SET_RECEIVE_EX_CALLBACK  0x8F000008

/* Socket categories: Flags of WskSocket. */
#define WSK_FLAG_BASIC_SOCKET            0x0
#define WSK_FLAG_LISTEN_SOCKET           0x1
#define WSK_FLAG_CONNECTION_SOCKET       0x2
#define WSK_FLAG_DATAGRAM_SOCKET         0x4
#define WSK_FLAG_STREAM_SOCKET           0x8

/* Flags of WskSend. */
#define WSK_FLAG_OOB                     0x1
#define WSK_FLAG_NODELAY                 0x2

/* Flags of WskReceive. */
#define WSK_FLAG_WAITALL                 0x2
#define WSK_FLAG_DRAIN                   0x4

/* Flags of event callbacks; WSK_FLAG_ABORTIVE also of WskDisconnect. */
#define WSK_FLAG_AT_DISPATCH_LEVEL       0x8
#define WSK_FLAG_RELEASE_ASAP            0x2
#define WSK_FLAG_ENTIRE_MESSAGE          0x4
#define WSK_FLAG_ABORTIVE                0x1

/* Event masks of WSK_EVENT_CALLBACK_CONTROL. */
#define WSK_EVENT_RECEIVE_FROM           0x100
#define WSK_EVENT_ACCEPT                 0x200
#define WSK_EVENT_SEND_BACKLOG           0x10
#define WSK_EVENT_RECEIVE                0x40
#define WSK_EVENT_DISCONNECT             0x80
#define WSK_EVENT_DISABLE                0x80000000

/* WaitTimeout of WskCaptureProviderNPI; other values are milliseconds. */
#define WSK_NO_WAIT                      0x0
#define WSK_INFINITE_WAIT                0xFFFFFFFF

/* Flags of WSK_TDI_BEHAVIOR. */
#define WSK_TDI_BEHAVIOR_BYPASS_TDI      1

/* Control codes of WskControlClient. */
#define WSK_TRANSPORT_LIST_QUERY         2
#define WSK_TRANSPORT_LIST_CHANGE        3
#define WSK_CACHE_SD                     4
#define WSK_RELEASE_SD                   5
#define WSK_TDI_DEVICENAME_MAPPING       6
#define WSK_SET_STATIC_EVENT_CALLBACKS   7
#define WSK_TDI_BEHAVIOR                 8

/* The interface's id, for the NMR and for WSK_EVENT_CALLBACK_CONTROL: {2227E803-8D8B-11D4-ABAD-009027719E09}. */
#ifdef __cplusplus
extern OPENWSK_SELECTANY CONST NPIID NPI_WSK_INTERFACE_ID;
CONST NPIID NPI_WSK_INTERFACE_ID = {
#else
OPENWSK_SELECTANY CONST NPIID NPI_WSK_INTERFACE_ID = {
#endif
    0x2227e803, 0x8d8b, 0x11d4, {0xab, 0xad, 0x00, 0x90, 0x27, 0x71, 0x9e, 0x09}};

typedef enum _WSK_INSPECT_ACTION {
    WskInspectReject,
    WskInspectAccept,
    WskInspectPend,
    WskInspectMax
} WSK_INSPECT_ACTION, *PWSK_INSPECT_ACTION;

typedef enum {
    WskSetOption,
    WskGetOption,
    WskIoctl,
    WskControlMax
} WSK_CONTROL_SOCKET_TYPE, *PWSK_CONTROL_SOCKET_TYPE;

/* The client object. */
typedef VOID WSK_CLIENT, *PWSK_CLIENT;

/* A socket: Dispatch points to the provider's table of its category. */
typedef struct _WSK_SOCKET {
    CONST VOID *Dispatch;
} WSK_SOCKET, *PWSK_SOCKET;

/* Length bytes along an MDL chain, from Offset in its first MDL. */
typedef struct _WSK_BUF {
    PMDL Mdl;
    ULONG Offset;
    SIZE_T Length;
} WSK_BUF, *PWSK_BUF;

typedef struct _WSK_BUF_LIST {
    struct _WSK_BUF_LIST *Next;
    WSK_BUF Buffer;
} WSK_BUF_LIST, *PWSK_BUF_LIST;

typedef struct _WSK_DATA_INDICATION {
    struct _WSK_DATA_INDICATION *Next;
    WSK_BUF Buffer;
} WSK_DATA_INDICATION, *PWSK_DATA_INDICATION;

typedef struct _WSK_DATAGRAM_INDICATION {
    struct _WSK_DATAGRAM_INDICATION *Next;
    WSK_BUF Buffer;
    PCMSGHDR ControlInfo;
    ULONG ControlInfoLength;
    PSOCKADDR RemoteAddress;
} WSK_DATAGRAM_INDICATION, *PWSK_DATAGRAM_INDICATION;

typedef struct _WSK_INSPECT_ID {
    ULONG_PTR Key;
    ULONG SerialNumber;
} WSK_INSPECT_ID, *PWSK_INSPECT_ID;

typedef struct _WSK_TRANSPORT {
    USHORT Version;
    USHORT SocketType;
    ULONG Protocol;
    ADDRESS_FAMILY AddressFamily;
    GUID ProviderId;
} WSK_TRANSPORT, *PWSK_TRANSPORT;

typedef struct _WSK_EVENT_CALLBACK_CONTROL {
    PNPIID NpiId;
    ULONG EventMask;
} WSK_EVENT_CALLBACK_CONTROL, *PWSK_EVENT_CALLBACK_CONTROL;

typedef struct _WSK_EXTENSION_CONTROL_IN {
    PNPIID NpiId;
    PVOID ClientContext;
    CONST VOID *ClientDispatch;
} WSK_EXTENSION_CONTROL_IN, *PWSK_EXTENSION_CONTROL_IN;

typedef struct _WSK_EXTENSION_CONTROL_OUT {
    PVOID ProviderContext;
    CONST VOID *ProviderDispatch;
} WSK_EXTENSION_CONTROL_OUT, *PWSK_EXTENSION_CONTROL_OUT;

typedef struct _WSK_TDI_MAP {
    USHORT SocketType;
    ADDRESS_FAMILY AddressFamily;
    ULONG Protocol;
    PCWSTR TdiDeviceName;
} WSK_TDI_MAP, *PWSK_TDI_MAP;

typedef struct _WSK_TDI_MAP_INFO {
    ULONG ElementCount;
    CONST WSK_TDI_MAP *Map;
} WSK_TDI_MAP_INFO, *PWSK_TDI_MAP_INFO;

/*
 * What the client implements. Any function, and any table, may be NULL.
 */

typedef NTSTATUS (WSKAPI *PFN_WSK_CLIENT_EVENT)(
    PVOID ClientContext,
    ULONG EventType,
    PVOID Information,
    SIZE_T InformationLength);

typedef struct _WSK_CLIENT_DISPATCH {
    USHORT Version;
    USHORT Reserved; /* 0 */
    PFN_WSK_CLIENT_EVENT WskClientEvent;
} WSK_CLIENT_DISPATCH, *PWSK_CLIENT_DISPATCH;

typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE_EVENT)(
    PVOID SocketContext,
    ULONG Flags,
    PWSK_DATA_INDICATION DataIndication,
    SIZE_T BytesIndicated,
    SIZE_T *BytesAccepted);

typedef NTSTATUS (WSKAPI *PFN_WSK_DISCONNECT_EVENT)(
    PVOID SocketContext,
    ULONG Flags);

typedef NTSTATUS (WSKAPI *PFN_WSK_SEND_BACKLOG_EVENT)(
    PVOID SocketContext,
    SIZE_T IdealBacklogSize);

typedef struct _WSK_CLIENT_CONNECTION_DISPATCH {
    PFN_WSK_RECEIVE_EVENT WskReceiveEvent;
    PFN_WSK_DISCONNECT_EVENT WskDisconnectEvent;
    PFN_WSK_SEND_BACKLOG_EVENT WskSendBacklogEvent;
} WSK_CLIENT_CONNECTION_DISPATCH, *PWSK_CLIENT_CONNECTION_DISPATCH;

/* Installed by SIO_WSK_SET_RECEIVE_EX_CALLBACK. */
typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE_EX_EVENT)(
    PVOID SocketContext,
    ULONG Flags,
    PWSK_DATA_INDICATION DataIndication,
    PCMSGHDR ControlInfo,
    ULONG ControlInfoLength,
    SIZE_T BytesIndicated,
    SIZE_T *BytesAccepted);

typedef NTSTATUS (WSKAPI *PFN_WSK_ACCEPT_EVENT)(
    PVOID SocketContext,
    ULONG Flags,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    PWSK_SOCKET AcceptSocket,
    PVOID *AcceptSocketContext,
    CONST WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch);

typedef WSK_INSPECT_ACTION (WSKAPI *PFN_WSK_INSPECT_EVENT)(
    PVOID SocketContext,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    PWSK_INSPECT_ID InspectID);

typedef NTSTATUS (WSKAPI *PFN_WSK_ABORT_EVENT)(
    PVOID SocketContext,
    PWSK_INSPECT_ID InspectID);

typedef struct _WSK_CLIENT_LISTEN_DISPATCH {
    PFN_WSK_ACCEPT_EVENT WskAcceptEvent;
    PFN_WSK_INSPECT_EVENT WskInspectEvent;
    PFN_WSK_ABORT_EVENT WskAbortEvent;
} WSK_CLIENT_LISTEN_DISPATCH, *PWSK_CLIENT_LISTEN_DISPATCH;

typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE_FROM_EVENT)(
    PVOID SocketContext,
    ULONG Flags,
    PWSK_DATAGRAM_INDICATION DataIndication);

typedef struct _WSK_CLIENT_DATAGRAM_DISPATCH {
    PFN_WSK_RECEIVE_FROM_EVENT WskReceiveFromEvent;
} WSK_CLIENT_DATAGRAM_DISPATCH, *PWSK_CLIENT_DATAGRAM_DISPATCH;

typedef struct _WSK_CLIENT_STREAM_DISPATCH {
    CONST WSK_CLIENT_LISTEN_DISPATCH * Listen;
    CONST WSK_CLIENT_CONNECTION_DISPATCH * Connect;
} WSK_CLIENT_STREAM_DISPATCH, *PWSK_CLIENT_STREAM_DISPATCH;

/*
 * What the provider implements. Every slot is filled.
 */

typedef NTSTATUS (WSKAPI *PFN_WSK_SOCKET)(
    PWSK_CLIENT Client,
    ADDRESS_FAMILY AddressFamily,
    USHORT SocketType,
    ULONG Protocol,
    ULONG Flags,
    PVOID SocketContext,
    const VOID *Dispatch,
    PEPROCESS OwningProcess,
    PETHREAD OwningThread,
    PSECURITY_DESCRIPTOR SecurityDescriptor,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_SOCKET_CONNECT)(
    PWSK_CLIENT Client,
    USHORT SocketType,
    ULONG Protocol,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    ULONG Flags,
    PVOID SocketContext,
    CONST WSK_CLIENT_CONNECTION_DISPATCH *Dispatch,
    PEPROCESS OwningProcess,
    PETHREAD OwningThread,
    PSECURITY_DESCRIPTOR SecurityDescriptor,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_CONTROL_CLIENT)(
    PWSK_CLIENT Client,
    ULONG ControlCode,
    SIZE_T InputSize,
    PVOID InputBuffer,
    SIZE_T OutputSize,
    PVOID OutputBuffer,
    SIZE_T *OutputSizeReturned,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_GET_ADDRESS_INFO)(
    PWSK_CLIENT Client,
    PUNICODE_STRING NodeName,
    PUNICODE_STRING ServiceName,
    ULONG NameSpace,
    GUID *Provider,
    PADDRINFOEXW Hints,
    PADDRINFOEXW *Result,
    PEPROCESS OwningProcess,
    PETHREAD OwningThread,
    PIRP Irp);

typedef VOID (WSKAPI *PFN_WSK_FREE_ADDRESS_INFO)(
    PWSK_CLIENT Client,
    PADDRINFOEXW AddrInfo);

typedef NTSTATUS (WSKAPI *PFN_WSK_GET_NAME_INFO)(
    PWSK_CLIENT Client,
    PSOCKADDR SockAddr,
    ULONG SockAddrLength,
    PUNICODE_STRING NodeName,
    PUNICODE_STRING ServiceName,
    ULONG Flags,
    PEPROCESS OwningProcess,
    PETHREAD OwningThread,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_CONTROL_SOCKET)(
    PWSK_SOCKET Socket,
    WSK_CONTROL_SOCKET_TYPE RequestType,
    ULONG ControlCode,
    ULONG Level,
    SIZE_T InputSize,
    PVOID InputBuffer,
    SIZE_T OutputSize,
    PVOID OutputBuffer,
    SIZE_T *OutputSizeReturned,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_CLOSE_SOCKET)(
    PWSK_SOCKET Socket,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_BIND)(
    PWSK_SOCKET Socket,
    PSOCKADDR LocalAddress,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_ACCEPT)(
    PWSK_SOCKET ListenSocket,
    ULONG Flags,
    PVOID AcceptSocketContext,
    CONST WSK_CLIENT_CONNECTION_DISPATCH *AcceptSocketDispatch,
    PSOCKADDR LocalAddress,
    PSOCKADDR RemoteAddress,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_INSPECT_COMPLETE)(
    PWSK_SOCKET ListenSocket,
    PWSK_INSPECT_ID InspectID,
    WSK_INSPECT_ACTION Action,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_LISTEN)(
    PWSK_SOCKET Socket,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_GET_LOCAL_ADDRESS)(
    PWSK_SOCKET Socket,
    PSOCKADDR LocalAddress,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_GET_REMOTE_ADDRESS)(
    PWSK_SOCKET Socket,
    PSOCKADDR RemoteAddress,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_SEND_TO)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    PSOCKADDR RemoteAddress,
    ULONG ControlInfoLength,
    PCMSGHDR ControlInfo,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE_FROM)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    PSOCKADDR RemoteAddress,
    ULONG *ControlLength,
    PCMSGHDR ControlInfo,
    ULONG *ControlFlags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST)(
    PWSK_SOCKET Socket,
    PWSK_DATAGRAM_INDICATION DatagramIndication);

typedef NTSTATUS (WSKAPI *PFN_WSK_SEND_MESSAGES)(
    PWSK_SOCKET Socket,
    PWSK_BUF_LIST BufferList,
    ULONG Flags,
    PSOCKADDR RemoteAddress,
    ULONG ControlInfoLength,
    PCMSGHDR ControlInfo,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_CONNECT)(
    PWSK_SOCKET Socket,
    PSOCKADDR RemoteAddress,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_CONNECT_EX)(
    PWSK_SOCKET Socket,
    PSOCKADDR RemoteAddress,
    PWSK_BUF Buffer,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_SEND)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_SEND_EX)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    ULONG ControlInfoLength,
    PCMSGHDR ControlInfo,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_RECEIVE_EX)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    ULONG *ControlInfoLength,
    PCMSGHDR ControlInfo,
    ULONG *ControlFlags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_DISCONNECT)(
    PWSK_SOCKET Socket,
    PWSK_BUF Buffer,
    ULONG Flags,
    PIRP Irp);

typedef NTSTATUS (WSKAPI *PFN_WSK_RELEASE_DATA_INDICATION_LIST)(
    PWSK_SOCKET Socket,
    PWSK_DATA_INDICATION DataIndication);

typedef struct _WSK_PROVIDER_DISPATCH {
    USHORT Version;
    USHORT Reserved;
    PFN_WSK_SOCKET WskSocket;
    PFN_WSK_SOCKET_CONNECT WskSocketConnect;
    PFN_WSK_CONTROL_CLIENT WskControlClient;
    PFN_WSK_GET_ADDRESS_INFO WskGetAddressInfo;
    PFN_WSK_FREE_ADDRESS_INFO WskFreeAddressInfo;
    PFN_WSK_GET_NAME_INFO WskGetNameInfo;
} WSK_PROVIDER_DISPATCH, *PWSK_PROVIDER_DISPATCH;

typedef struct _WSK_PROVIDER_BASIC_DISPATCH {
    PFN_WSK_CONTROL_SOCKET WskControlSocket;
    PFN_WSK_CLOSE_SOCKET WskCloseSocket;
} WSK_PROVIDER_BASIC_DISPATCH, *PWSK_PROVIDER_BASIC_DISPATCH;

/* What every socket's table begins with: by the names of its functions (C), or as Basic (C++). */
#define WSK_PROVIDER_BASIC_MEMBERS                   \
    union {                                          \
        WSK_PROVIDER_BASIC_DISPATCH Basic;           \
        struct {                                     \
            PFN_WSK_CONTROL_SOCKET WskControlSocket; \
            PFN_WSK_CLOSE_SOCKET WskCloseSocket;     \
        };                                           \
    };

typedef struct _WSK_PROVIDER_LISTEN_DISPATCH {
    WSK_PROVIDER_BASIC_MEMBERS
    PFN_WSK_BIND WskBind;
    PFN_WSK_ACCEPT WskAccept;
    PFN_WSK_INSPECT_COMPLETE WskInspectComplete;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
} WSK_PROVIDER_LISTEN_DISPATCH, *PWSK_PROVIDER_LISTEN_DISPATCH;

typedef struct _WSK_PROVIDER_DATAGRAM_DISPATCH {
    WSK_PROVIDER_BASIC_MEMBERS
    PFN_WSK_BIND WskBind;
    PFN_WSK_SEND_TO WskSendTo;
    PFN_WSK_RECEIVE_FROM WskReceiveFrom;
    PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST WskRelease;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
    PFN_WSK_SEND_MESSAGES WskSendMessages;
} WSK_PROVIDER_DATAGRAM_DISPATCH, *PWSK_PROVIDER_DATAGRAM_DISPATCH;

typedef struct _WSK_PROVIDER_CONNECTION_DISPATCH {
    WSK_PROVIDER_BASIC_MEMBERS
    PFN_WSK_BIND WskBind;
    PFN_WSK_CONNECT WskConnect;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
    PFN_WSK_GET_REMOTE_ADDRESS WskGetRemoteAddress;
    PFN_WSK_SEND WskSend;
    PFN_WSK_RECEIVE WskReceive;
    PFN_WSK_DISCONNECT WskDisconnect;
    PFN_WSK_RELEASE_DATA_INDICATION_LIST WskRelease;
    PFN_WSK_CONNECT_EX WskConnectEx;
    PFN_WSK_SEND_EX WskSendEx;
    PFN_WSK_RECEIVE_EX WskReceiveEx;
} WSK_PROVIDER_CONNECTION_DISPATCH, *PWSK_PROVIDER_CONNECTION_DISPATCH;

typedef struct _WSK_PROVIDER_STREAM_DISPATCH {
    WSK_PROVIDER_BASIC_MEMBERS
    PFN_WSK_BIND WskBind;
    PFN_WSK_ACCEPT WskAccept;
    PFN_WSK_CONNECT WskConnect;
    PFN_WSK_LISTEN WskListen;
    PFN_WSK_SEND WskSend;
    PFN_WSK_RECEIVE WskReceive;
    PFN_WSK_DISCONNECT WskDisconnect;
    PFN_WSK_RELEASE_DATA_INDICATION_LIST WskRelease;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
    PFN_WSK_GET_REMOTE_ADDRESS WskGetRemoteAddress;
    PFN_WSK_CONNECT_EX WskConnectEx;
    PFN_WSK_SEND_EX WskSendEx;
    PFN_WSK_RECEIVE_EX WskReceiveEx;
} WSK_PROVIDER_STREAM_DISPATCH, *PWSK_PROVIDER_STREAM_DISPATCH;

/*
 * Registration.
 */

typedef struct _WSK_CLIENT_NPI {
    PVOID ClientContext;
    CONST WSK_CLIENT_DISPATCH *Dispatch;
} WSK_CLIENT_NPI, *PWSK_CLIENT_NPI;

typedef struct _WSK_PROVIDER_NPI {
    PWSK_CLIENT Client;
    CONST WSK_PROVIDER_DISPATCH *Dispatch;
} WSK_PROVIDER_NPI, *PWSK_PROVIDER_NPI;

typedef struct _WSK_PROVIDER_CHARACTERISTICS {
    USHORT HighestVersion;
    USHORT LowestVersion;
} WSK_PROVIDER_CHARACTERISTICS, *PWSK_PROVIDER_CHARACTERISTICS;

typedef struct _WSK_REGISTRATION {
    ULONGLONG ReservedRegistrationState;
    PVOID ReservedRegistrationContext;
    KSPIN_LOCK ReservedRegistrationLock;
} WSK_REGISTRATION, *PWSK_REGISTRATION;

OPENWSK_IMPORT NTSTATUS NTAPI WskRegister(PWSK_CLIENT_NPI WskClientNpi, PWSK_REGISTRATION WskRegistration);
OPENWSK_IMPORT NTSTATUS NTAPI WskCaptureProviderNPI(
    PWSK_REGISTRATION WskRegistration, ULONG WaitTimeout, PWSK_PROVIDER_NPI WskProviderNpi);
OPENWSK_IMPORT VOID NTAPI WskReleaseProviderNPI(PWSK_REGISTRATION WskRegistration);
OPENWSK_IMPORT NTSTATUS NTAPI WskQueryProviderCharacteristics(
    PWSK_REGISTRATION WskRegistration, PWSK_PROVIDER_CHARACTERISTICS WskProviderCharacteristics);
OPENWSK_IMPORT VOID NTAPI WskDeregister(PWSK_REGISTRATION WskRegistration);

#ifdef __cplusplus
}
#endif

#endif /* _WSK_ */
