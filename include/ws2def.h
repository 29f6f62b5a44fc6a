/*
 * ws2def.h: socket addresses, options and control messages that every transport shares.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _WS2DEF_
#define _WS2DEF_

#include <openwsk/base.h>
#if defined(_WIN32)
#include <inaddr.h>
#else
#include <openwsk/linux.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WSAAPI
#define WSAAPI NTAPI
#endif

/* Address families. */
typedef USHORT ADDRESS_FAMILY;

/* Families. */
#define AF_UNSPEC     0
#define AF_UNIX       1
#define AF_INET       2
#define AF_IMPLINK    3
#define AF_PUP        4
#define AF_CHAOS      5
#define AF_NS         6
#define AF_IPX        6
#define AF_ISO        7
#define AF_OSI        7
#define AF_ECMA       8
#define AF_DATAKIT    9
#define AF_CCITT      10
#define AF_SNA        11
#define AF_DECnet     12
#define AF_DLI        13
#define AF_LAT        14
#define AF_HYLINK     15
#define AF_APPLETALK  16
#define AF_NETBIOS    17
#define AF_VOICEVIEW  18
#define AF_FIREFOX    19
#define AF_UNKNOWN1   20
#define AF_BAN        21
#define AF_ATM        22
#define AF_INET6      23
#define AF_CLUSTER    24
#define AF_12844      25
#define AF_IRDA       26
#define AF_NETDES     28
#define AF_TCNPROCESS 29
#define AF_TCNMESSAGE 30
#define AF_ICLFXBM    31
#define AF_BTH        32
#define AF_LINK       33
#define AF_HYPERV     34
#define AF_MAX        35

/* Socket types, addresses, message flags, flags of name resolution. */

/* Socket types. */
#define SOCK_STREAM                 1
#define SOCK_DGRAM                  2
#define SOCK_RAW                    3
#define SOCK_RDM                    4
#define SOCK_SEQPACKET              5

/* IPv4 addresses, in host order. */
#define INADDR_ANY                  0
#define INADDR_LOOPBACK             0x7F000001
#define INADDR_BROADCAST            0xFFFFFFFF
#define INADDR_NONE                 0xFFFFFFFF

/* Message flags; WSK reports TRUNC, CTRUNC, BCAST and MCAST in ControlFlags. */
#define MSG_TRUNC                   0x100
#define MSG_CTRUNC                  0x200
#define MSG_BCAST                   0x400
#define MSG_MCAST                   0x800
#define MSG_ERRQUEUE                0x1000
#define MSG_OOB                     0x1
#define MSG_PEEK                    0x2
#define MSG_DONTROUTE               0x4
#define MSG_WAITALL                 0x8
#define MSG_PARTIAL                 0x8000
#define MSG_INTERRUPT               0x10
#define MSG_MAXIOVLEN               0x10
#define MSG_PUSH_IMMEDIATE          0x20

/* Custom DNS servers and response flags. */
#define AI_DNS_SERVER_TYPE_UDP      1
#define AI_DNS_SERVER_TYPE_DOH      2
#define AI_DNS_SERVER_UDP_FALLBACK  1
#define AI_DNS_RESPONSE_SECURE      1
#define AI_DNS_RESPONSE_HOSTFILE    2

/* `ADDRINFOEXW::ai_flags`. */
#define AI_PASSIVE                  1
#define AI_CANONNAME                2
#define AI_NUMERICHOST              4
#define AI_NUMERICSERV              8
#define AI_DNS_ONLY                 16
#define AI_FORCE_CLEAR_TEXT         32
#define AI_BYPASS_DNS_CACHE         64
#define AI_RETURN_TTL               128
#define AI_ALL                      0x100
#define AI_ADDRCONFIG               0x400
#define AI_V4MAPPED                 0x800
#define AI_NON_AUTHORITATIVE        0x4000
#define AI_SECURE                   0x8000
#define AI_RETURN_PREFERRED_NAMES   0x10000
#define AI_FQDN                     0x20000
#define AI_FILESERVER               0x40000
#define AI_DISABLE_IDN_ENCODING     0x80000
#define AI_SECURE_WITH_FALLBACK     0x100000
#define AI_EXCLUSIVE_CUSTOM_SERVERS 0x200000
#define AI_RETURN_RESPONSE_FLAGS    0x10000000
#define AI_REQUIRE_SECURE           0x20000000
#define AI_RESOLUTION_HANDLE        0x40000000
#define AI_EXTENDED                 0x80000000

/* Name spaces of WskGetAddressInfo. */
#define NS_ALL                      0
#define NS_SAP                      1
#define NS_NDS                      2
#define NS_PEER_BROWSE              3
#define NS_SLP                      5
#define NS_DHCP                     6
#define NS_TCPIP_LOCAL              10
#define NS_TCPIP_HOSTS              11
#define NS_DNS                      12
#define NS_NETBT                    13
#define NS_WINS                     14
#define NS_NLA                      15
#define NS_BTH                      16
#define NS_NBP                      20
#define NS_MS                       30
#define NS_STDA                     31
#define NS_NTDS                     32
#define NS_EMAIL                    37
#define NS_PNRPNAME                 38
#define NS_PNRPCLOUD                39
#define NS_X500                     40
#define NS_NIS                      41
#define NS_NISPLUS                  42
#define NS_WRQ                      50
#define NS_NETDES                   60
#define NS_LOCALNAME                19

/* Flags of WskGetNameInfo. */
#define NI_NOFQDN                   1
#define NI_NUMERICHOST              2
#define NI_NAMEREQD                 4
#define NI_NUMERICSERV              8
#define NI_DGRAM                    16
#define NI_MAXHOST                  0x401
#define NI_MAXSERV                  32

/* Backlog of a listener. */
#define SOMAXCONN                   0x7FFFFFFF


/* Levels. IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP and IPPROTO_UDP are levels too. */
#define SOL_SOCKET                0xFFFF
#define SOL_IP                    0xFFFB
#define SOL_IPV6                  0xFFFA

/* Options of SOL_SOCKET. */
#define SO_DEBUG                  1
#define SO_ACCEPTCONN             2
#define SO_REUSEADDR              4
#define SO_KEEPALIVE              8
#define SO_DONTROUTE              0x10
#define SO_BROADCAST              32
#define SO_USELOOPBACK            64
#define SO_LINGER                 128
#define SO_OOBINLINE              0x100
#define SO_DONTLINGER             0xFFFFFF7F
#define SO_EXCLUSIVEADDRUSE       0xFFFFFFFB
#define SO_SNDBUF                 0x1001
#define SO_RCVBUF                 0x1002
#define SO_SNDLOWAT               0x1003
#define SO_RCVLOWAT               0x1004
#define SO_SNDTIMEO               0x1005
#define SO_RCVTIMEO               0x1006
#define SO_ERROR                  0x1007
#define SO_TYPE                   0x1008
#define SO_BSP_STATE              0x1009
#define SO_GROUP_ID               0x2001
#define SO_GROUP_PRIORITY         0x2002
#define SO_MAX_MSG_SIZE           0x2003
#define SO_CONDITIONAL_ACCEPT     0x3002
#define SO_PAUSE_ACCEPT           0x3003
#define SO_COMPARTMENT_ID         0x3004
#define SO_RANDOMIZE_PORT         0x3005
#define SO_PORT_SCALABILITY       0x3006
#define SO_REUSE_UNICASTPORT      0x3007
#define SO_REUSE_MULTICASTPORT    0x3008
#define SO_ORIGINAL_DST           0x300F
#define SO_TIMESTAMP              0x300A
#define SO_TIMESTAMP_ID           0x300B
#define SO_PROTOCOL_INFOW         0x2005
#define SO_UPDATE_CONNECT_CONTEXT 0x7010
#define SO_UPDATE_ACCEPT_CONTEXT  0x700B
#define SO_CONNECT_TIME           0x700C

/* Ports. */
#define IPPORT_TCPMUX             1
#define IPPORT_ECHO               7
#define IPPORT_DISCARD            9
#define IPPORT_SYSTAT             11
#define IPPORT_DAYTIME            13
#define IPPORT_NETSTAT            15
#define IPPORT_QOTD               17
#define IPPORT_MSP                18
#define IPPORT_CHARGEN            19
#define IPPORT_FTP_DATA           20
#define IPPORT_FTP                21
#define IPPORT_TELNET             23
#define IPPORT_SMTP               25
#define IPPORT_TIMESERVER         37
#define IPPORT_NAMESERVER         42
#define IPPORT_WHOIS              43
#define IPPORT_MTP                57
#define IPPORT_TFTP               69
#define IPPORT_RJE                77
#define IPPORT_FINGER             79
#define IPPORT_TTYLINK            87
#define IPPORT_SUPDUP             95
#define IPPORT_POP3               110
#define IPPORT_NTP                123
#define IPPORT_EPMAP              135
#define IPPORT_NETBIOS_NS         137
#define IPPORT_NETBIOS_DGM        138
#define IPPORT_NETBIOS_SSN        139
#define IPPORT_IMAP               143
#define IPPORT_SNMP               161
#define IPPORT_SNMP_TRAP          162
#define IPPORT_IMAP3              220
#define IPPORT_LDAP               389
#define IPPORT_HTTPS              443
#define IPPORT_MICROSOFT_DS       445
#define IPPORT_EXECSERVER         512
#define IPPORT_LOGINSERVER        513
#define IPPORT_CMDSERVER          514
#define IPPORT_EFSSERVER          520
#define IPPORT_BIFFUDP            512
#define IPPORT_WHOSERVER          513
#define IPPORT_ROUTESERVER        520
#define IPPORT_RESERVED           1024
#define IPPORT_REGISTERED_MIN     1024
#define IPPORT_REGISTERED_MAX     49151
#define IPPORT_DYNAMIC_MIN        49152
#define IPPORT_DYNAMIC_MAX        65535


/* Protocols; also the levels of their options. */
typedef enum {
    IPPROTO_HOPOPTS = 0,
    IPPROTO_ICMP = 1,
    IPPROTO_IGMP = 2,
    IPPROTO_GGP = 3,
    IPPROTO_IPV4 = 4,
    IPPROTO_ST = 5,
    IPPROTO_TCP = 6,
    IPPROTO_CBT = 7,
    IPPROTO_EGP = 8,
    IPPROTO_IGP = 9,
    IPPROTO_PUP = 12,
    IPPROTO_UDP = 17,
    IPPROTO_IDP = 22,
    IPPROTO_RDP = 27,
    IPPROTO_IPV6 = 41,
    IPPROTO_ROUTING = 43,
    IPPROTO_FRAGMENT = 44,
    IPPROTO_ESP = 50,
    IPPROTO_AH = 51,
    IPPROTO_ICMPV6 = 58,
    IPPROTO_NONE = 59,
    IPPROTO_DSTOPTS = 60,
    IPPROTO_ND = 77,
    IPPROTO_ICLFXBM = 78,
    IPPROTO_PIM = 103,
    IPPROTO_PGM = 113,
    IPPROTO_L2TP = 115,
    IPPROTO_SCTP = 132,
    IPPROTO_RAW = 255,
    IPPROTO_MAX = 256
} IPPROTO, *PIPROTO;
#define IPPROTO_IP 0

/* Directions and families of socket IOCTLs. */
#define IOC_UNIX                                    0
#define IOC_WS2                                     0x8000000
#define IOC_PROTOCOL                                0x10000000
#define IOC_VENDOR                                  0x18000000
#define IOC_VOID                                    0x20000000
#define IOC_OUT                                     0x40000000
#define IOC_IN                                      0x80000000
#define IOC_INOUT                                   0xC0000000

/* Socket IOCTLs. */
#define SIO_ASSOCIATE_HANDLE                        0x88000001
#define SIO_ENABLE_CIRCULAR_QUEUEING                0x28000002
#define SIO_FIND_ROUTE                              0x48000003
#define SIO_FLUSH                                   0x28000004
#define SIO_GET_BROADCAST_ADDRESS                   0x48000005
#define SIO_GET_EXTENSION_FUNCTION_POINTER          0xC8000006
#define SIO_GET_QOS                                 0xC8000007
#define SIO_GET_GROUP_QOS                           0xC8000008
#define SIO_MULTIPOINT_LOOPBACK                     0x88000009
#define SIO_MULTICAST_SCOPE                         0x8800000A
#define SIO_SET_QOS                                 0x8800000B
#define SIO_SET_GROUP_QOS                           0x8800000C
#define SIO_TRANSLATE_HANDLE                        0xC800000D
#define SIO_ROUTING_INTERFACE_QUERY                 0xC8000014
#define SIO_ROUTING_INTERFACE_CHANGE                0x88000015
#define SIO_ADDRESS_LIST_QUERY                      0x48000016
#define SIO_ADDRESS_LIST_CHANGE                     0x28000017
#define SIO_QUERY_TARGET_PNP_HANDLE                 0x48000018
#define SIO_QUERY_RSS_PROCESSOR_INFO                0x48000025
#define SIO_ADDRESS_LIST_SORT                       0xC8000019
#define SIO_RESERVED_1                              0x8800001A
#define SIO_RESERVED_2                              0x88000021
#define SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER 0xC8000024
#define SIO_GET_INTERFACE_LIST                      0x4004747F
#define SIO_GET_INTERFACE_LIST_EX                   0x4004747E
#define SIO_SET_MULTICAST_FILTER                    0x8004747D
#define SIO_GET_MULTICAST_FILTER                    0x8004747C
#define SIO_IDEAL_SEND_BACKLOG_QUERY                0x4004747B
#define SIO_IDEAL_SEND_BACKLOG_CHANGE               0x2000747A
#define SIO_SET_COMPATIBILITY_MODE                  0x9800012C
#define SIO_RCVALL                                  0x98000001
#define SIO_RCVALL_MCAST                            0x98000002
#define SIO_RCVALL_IGMPMCAST                        0x98000003
#define SIO_KEEPALIVE_VALS                          0x98000004
#define SIO_ABSORB_RTRALERT                         0x98000005
#define SIO_UCAST_IF                                0x98000006
#define SIO_LIMIT_BROADCASTS                        0x98000007
#define SIO_INDEX_BIND                              0x98000008
#define SIO_INDEX_MCASTIF                           0x98000009
#define SIO_INDEX_ADD_MCAST                         0x9800000A
#define SIO_INDEX_DEL_MCAST                         0x9800000B

/* These two are named by control.md 4.5. */
#define SIO_UDP_CONNRESET                           0x9800000C
#define SIO_UDP_NETRESET                            0x9800000F
#define SIO_RCVALL_MCAST_IF                         0x9800000D
#define SIO_RCVALL_IF                               0x9800000E
#define SIO_LOOPBACK_FAST_PATH                      0x98000010
#define SIO_TCP_INITIAL_RTO                         0x98000011
#define SIO_APPLY_TRANSPORT_SETTING                 0x98000013
#define SIO_QUERY_TRANSPORT_SETTING                 0x98000014
#define SIO_TCP_SET_ICW                             0x98000016
#define SIO_TCP_SET_ACK_FREQUENCY                   0x98000017
#define SIO_SET_PRIORITY_HINT                       0x98000018
#define SIO_PRIORITY_HINT                           0x98000018
#define SIO_TCP_INFO                                0xD8000027
#define SIO_CPU_AFFINITY                            0x98000015
#define SIO_TIMESTAMPING                            0x980000EB
#define SIO_GET_TX_TIMESTAMP                        0x980000EA
#define SIO_ACQUIRE_PORT_RESERVATION                0x98000064
#define SIO_RELEASE_PORT_RESERVATION                0x98000065
#define SIO_ASSOCIATE_PORT_RESERVATION              0x98000066
#define SIO_SET_SECURITY                            0x980000C8
#define SIO_QUERY_SECURITY                          0xD80000C9
#define SIO_SET_PEER_TARGET_NAME                    0x980000CA
#define SIO_DELETE_PEER_TARGET_NAME                 0x980000CB
#define SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS   0x980000DC
#define SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT   0x980000DD
#define SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS     0x980000DE
#define SIO_SOCKET_USAGE_NOTIFICATION               0x980000CC
#define SIO_QUERY_WFP_ALE_ENDPOINT_HANDLE           0x580000CD
#define SIO_QUERY_RSS_SCALABILITY_INFO              0x580000D2
#define _WSAIO(x, y)   (IOC_VOID | (x) | (y))
#define _WSAIOR(x, y)  (IOC_OUT | (x) | (y))
#define _WSAIOW(x, y)  (IOC_IN | (x) | (y))
#define _WSAIORW(x, y) (IOC_INOUT | (x) | (y))

/* Scopes of IPv6 addresses. */
typedef enum {
    ScopeLevelInterface = 1,
    ScopeLevelLink = 2,
    ScopeLevelSubnet = 3,
    ScopeLevelAdmin = 4,
    ScopeLevelSite = 5,
    ScopeLevelOrganization = 8,
    ScopeLevelGlobal = 14,
    ScopeLevelCount = 16
} SCOPE_LEVEL;

typedef struct {
    union {
        struct {
            ULONG Zone : 28;
            ULONG Level : 4;
        };
        ULONG Value;
    };
} SCOPE_ID, *PSCOPE_ID;
#define SCOPEID_UNSPECIFIED_INIT {{{0}}}

/* Addresses. */
typedef struct sockaddr {
    ADDRESS_FAMILY sa_family;
    CHAR sa_data[14];
} SOCKADDR, *PSOCKADDR, *LPSOCKADDR;

typedef struct sockaddr_in {
    ADDRESS_FAMILY sin_family;
    USHORT sin_port; /* network order */
    IN_ADDR sin_addr;
    CHAR sin_zero[8];
} SOCKADDR_IN, *PSOCKADDR_IN;

typedef struct sockaddr_storage {
    ADDRESS_FAMILY ss_family;
    CHAR __ss_pad1[6];
    LONGLONG __ss_align;
    CHAR __ss_pad2[112];
} SOCKADDR_STORAGE_LH, *PSOCKADDR_STORAGE_LH, SOCKADDR_STORAGE, *PSOCKADDR_STORAGE, *LPSOCKADDR_STORAGE;

typedef struct sockaddr_dl {
    ADDRESS_FAMILY sdl_family;
    UCHAR sdl_data[8];
    UCHAR sdl_zero[4];
} SOCKADDR_DL, *PSOCKADDR_DL;

typedef struct _SOCKET_ADDRESS {
    LPSOCKADDR lpSockaddr;
    INT iSockaddrLength;
} SOCKET_ADDRESS, *PSOCKET_ADDRESS, *LPSOCKET_ADDRESS;

typedef struct _SOCKET_ADDRESS_LIST {
    INT iAddressCount;
    SOCKET_ADDRESS Address[1];
} SOCKET_ADDRESS_LIST, *PSOCKET_ADDRESS_LIST, *LPSOCKET_ADDRESS_LIST;

typedef struct _SOCKET_PROCESSOR_AFFINITY {
    PROCESSOR_NUMBER Processor;
    USHORT NumaNodeId;
    USHORT Reserved;
} SOCKET_PROCESSOR_AFFINITY, *PSOCKET_PROCESSOR_AFFINITY;

/* Results of name resolution. */
typedef struct addrinfo {
    INT ai_flags;
    INT ai_family;
    INT ai_socktype;
    INT ai_protocol;
    SIZE_T ai_addrlen;
    CHAR *ai_canonname;
    struct sockaddr *ai_addr;
    struct addrinfo *ai_next;
} ADDRINFOA, *PADDRINFOA;

typedef struct addrinfoW {
    INT ai_flags;
    INT ai_family;
    INT ai_socktype;
    INT ai_protocol;
    SIZE_T ai_addrlen;
    PWSTR ai_canonname;
    struct sockaddr *ai_addr;
    struct addrinfoW *ai_next;
} ADDRINFOW, *PADDRINFOW;

typedef struct addrinfoexW {
    INT ai_flags;
    INT ai_family;
    INT ai_socktype;
    INT ai_protocol;
    SIZE_T ai_addrlen;
    PWSTR ai_canonname;
    struct sockaddr *ai_addr;
    PVOID ai_blob;
    SIZE_T ai_bloblen;
    GUID *ai_provider;
    struct addrinfoexW *ai_next;
} ADDRINFOEXW, *PADDRINFOEXW, *LPADDRINFOEXW;

/* Buffers and control messages. A message begins at a multiple of 8; its data 16 bytes after its header. */
typedef struct _WSABUF {
    ULONG len;
    CHAR *buf;
} WSABUF, *LPWSABUF;

typedef struct _WSAMSG {
    LPSOCKADDR name;
    INT namelen;
    LPWSABUF lpBuffers;
    ULONG dwBufferCount;
    WSABUF Control;
    ULONG dwFlags;
} WSAMSG, *PWSAMSG, *LPWSAMSG;

typedef struct cmsghdr {
    SIZE_T cmsg_len;
    INT cmsg_level;
    INT cmsg_type;
} WSACMSGHDR, *PWSACMSGHDR, *LPWSACMSGHDR, CMSGHDR, *PCMSGHDR;

#define WSA_CMSGHDR_ALIGN(length)  (((length) + 7) & ~(SIZE_T)7)
#define WSA_CMSGDATA_ALIGN(length) (((length) + 7) & ~(SIZE_T)7)
#define WSA_CMSG_DATA(cmsg)        ((PUCHAR)(cmsg) + WSA_CMSGDATA_ALIGN(sizeof(WSACMSGHDR)))
#define WSA_CMSG_LEN(length)       (WSA_CMSGDATA_ALIGN(sizeof(WSACMSGHDR)) + (length))
#define WSA_CMSG_SPACE(length)     (WSA_CMSGDATA_ALIGN(sizeof(WSACMSGHDR) + WSA_CMSGHDR_ALIGN(length)))
#define WSA_CMSG_FIRSTHDR(msg) \
    (((msg)->Control.len >= sizeof(WSACMSGHDR)) ? (LPWSACMSGHDR)(msg)->Control.buf : (LPWSACMSGHDR)NULL)
#define WSA_CMSG_NXTHDR(msg, cmsg) \
    (((cmsg) == NULL) ? WSA_CMSG_FIRSTHDR(msg) \
     : ((PUCHAR)(cmsg) + WSA_CMSGHDR_ALIGN((cmsg)->cmsg_len) + sizeof(WSACMSGHDR) > \
        (PUCHAR)(msg)->Control.buf + (msg)->Control.len) \
         ? (LPWSACMSGHDR)NULL \
         : (LPWSACMSGHDR)((PUCHAR)(cmsg) + WSA_CMSGHDR_ALIGN((cmsg)->cmsg_len)))
#define CMSGHDR_ALIGN  WSA_CMSGHDR_ALIGN
#define CMSGDATA_ALIGN WSA_CMSGDATA_ALIGN
#define CMSG_FIRSTHDR  WSA_CMSG_FIRSTHDR
#define CMSG_NXTHDR    WSA_CMSG_NXTHDR
#define CMSG_SPACE     WSA_CMSG_SPACE
#define CMSG_LEN       WSA_CMSG_LEN

#ifdef __cplusplus
}
#endif

#endif /* _WS2DEF_ */
