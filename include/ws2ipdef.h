/*
 * ws2ipdef.h: IPv6 addresses, and options and control messages of the IP level.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _WS2IPDEF_
#define _WS2IPDEF_

#include <ws2def.h>
#if defined(_WIN32)
#include <in6addr.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Values and masks of IPv4. */
#define IP_UNSPECIFIED_TYPE_OF_SERVICE  0xFFFFFFFF
#define IP_UNSPECIFIED_USER_MTU         0xFFFFFFFF
#define IP_UNSPECIFIED_HOP_LIMIT        0xFFFFFFFF
#define IP_VER_MASK                     0xF0

/* Options of IPPROTO_IP. */
#define IP_OPTIONS                      1
#define IP_HDRINCL                      2
#define IP_TOS                          3
#define IP_TTL                          4
#define IP_MULTICAST_IF                 9
#define IP_MULTICAST_TTL                10
#define IP_MULTICAST_LOOP               11
#define IP_ADD_MEMBERSHIP               12
#define IP_DROP_MEMBERSHIP              13
#define IP_DONTFRAGMENT                 14
#define IP_ADD_SOURCE_MEMBERSHIP        15
#define IP_DROP_SOURCE_MEMBERSHIP       16
#define IP_BLOCK_SOURCE                 17
#define IP_UNBLOCK_SOURCE               18
#define IP_PKTINFO                      19
#define IP_HOPLIMIT                     21
#define IP_RECVTTL                      21
#define IP_RECEIVE_BROADCAST            22
#define IP_RECVIF                       24
#define IP_RECVDSTADDR                  25
#define IP_IFLIST                       28
#define IP_ADD_IFLIST                   29
#define IP_DEL_IFLIST                   30
#define IP_UNICAST_IF                   31
#define IP_RTHDR                        32
#define IP_GET_IFLIST                   33
#define IP_RECVRTHDR                    38
#define IP_TCLASS                       39
#define IP_RECVTCLASS                   40
#define IP_RECVTOS                      40
#define IP_ORIGINAL_ARRIVAL_IF          47
#define IP_ECN                          50
#define IP_RECVECN                      50
#define IP_PKTINFO_EX                   51
#define IP_WFP_REDIRECT_RECORDS         60
#define IP_WFP_REDIRECT_CONTEXT         70
#define IP_MTU_DISCOVER                 71
#define IP_MTU                          73
#define IP_NRT_INTERFACE                74
#define IP_RECVERR                      75
#define IP_USER_MTU                     76
#define IP_PROTECTION_LEVEL             23

/* Options of both families. */
#define MCAST_JOIN_GROUP                41
#define MCAST_LEAVE_GROUP               42
#define MCAST_BLOCK_SOURCE              43
#define MCAST_UNBLOCK_SOURCE            44
#define MCAST_JOIN_SOURCE_GROUP         45
#define MCAST_LEAVE_SOURCE_GROUP        46

/* Options of IPPROTO_IPV6. */
#define IPV6_HOPOPTS                    1
#define IPV6_HDRINCL                    2
#define IPV6_UNICAST_HOPS               4
#define IPV6_MULTICAST_IF               9
#define IPV6_MULTICAST_HOPS             10
#define IPV6_MULTICAST_LOOP             11
#define IPV6_ADD_MEMBERSHIP             12
#define IPV6_JOIN_GROUP                 12
#define IPV6_DROP_MEMBERSHIP            13
#define IPV6_LEAVE_GROUP                13
#define IPV6_DONTFRAG                   14
#define IPV6_PKTINFO                    19
#define IPV6_HOPLIMIT                   21
#define IPV6_PROTECTION_LEVEL           23
#define IPV6_RECVIF                     24
#define IPV6_RECVDSTADDR                25
#define IPV6_CHECKSUM                   26
#define IPV6_V6ONLY                     27
#define IPV6_IFLIST                     28
#define IPV6_ADD_IFLIST                 29
#define IPV6_DEL_IFLIST                 30
#define IPV6_UNICAST_IF                 31
#define IPV6_RTHDR                      32
#define IPV6_GET_IFLIST                 33
#define IPV6_RECVRTHDR                  38
#define IPV6_TCLASS                     39
#define IPV6_RECVTCLASS                 40
#define IPV6_ECN                        50
#define IPV6_RECVECN                    50
#define IPV6_PKTINFO_EX                 51
#define IPV6_WFP_REDIRECT_RECORDS       60
#define IPV6_WFP_REDIRECT_CONTEXT       70
#define IPV6_MTU_DISCOVER               71
#define IPV6_MTU                        72
#define IPV6_NRT_INTERFACE              74
#define IPV6_RECVERR                    75
#define IPV6_USER_MTU                   76

/* Values of IPV6_PROTECTION_LEVEL. */
#define PROTECTION_LEVEL_UNRESTRICTED   10
#define PROTECTION_LEVEL_EDGERESTRICTED 20
#define PROTECTION_LEVEL_RESTRICTED     30
#define PROTECTION_LEVEL_DEFAULT        0xFFFFFFFF

/* Options of IPPROTO_TCP. */
#define TCP_NODELAY                     1
#define TCP_EXPEDITED_1122              2
#define TCP_KEEPALIVE                   3
#define TCP_MAXSEG                      4
#define TCP_MAXRT                       5
#define TCP_STDURG                      6
#define TCP_NOURG                       7
#define TCP_ATMARK                      8
#define TCP_NOSYNRETRIES                9
#define TCP_TIMESTAMPS                  10
#define TCP_OFFLOAD_PREFERENCE          11
#define TCP_CONGESTION_ALGORITHM        12
#define TCP_DELAY_FIN_ACK               13
#define TCP_MAXRTMS                     14
#define TCP_FASTOPEN                    15
#define TCP_KEEPCNT                     16
#define TCP_KEEPIDLE                    3
#define TCP_KEEPINTVL                   17
#define TCP_FAIL_CONNECT_ON_ICMP_ERROR  18
#define TCP_ICMP_ERROR_INFO             19
#define TCP_BSDURGENT                   28672

/* Options and control messages of IPPROTO_UDP. */
#define UDP_SEND_MSG_SIZE               2
#define UDP_RECV_MAX_COALESCED_SIZE     3
#define UDP_COALESCED_INFO              3

#define IN6ADDR_ANY_INIT      {{{0}}}
#define IN6ADDR_LOOPBACK_INIT {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}}

typedef struct sockaddr_in6 {
    ADDRESS_FAMILY sin6_family;
    USHORT sin6_port; /* network order */
    ULONG sin6_flowinfo;
    IN6_ADDR sin6_addr;
    union {
        ULONG sin6_scope_id;
        SCOPE_ID sin6_scope_struct;
    };
} SOCKADDR_IN6_LH, *PSOCKADDR_IN6_LH, SOCKADDR_IN6, *PSOCKADDR_IN6;

typedef union _SOCKADDR_INET {
    SOCKADDR_IN Ipv4;
    SOCKADDR_IN6 Ipv6;
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET, *PSOCKADDR_INET;

typedef struct _sockaddr_in6_pair {
    PSOCKADDR_IN6 SourceAddress;
    PSOCKADDR_IN6 DestinationAddress;
} SOCKADDR_IN6_PAIR, *PSOCKADDR_IN6_PAIR;

/* Interfaces, as SIO_GET_INTERFACE_LIST tells of them. */
typedef union sockaddr_gen {
    SOCKADDR Address;
    SOCKADDR_IN AddressIn;
    struct {
        SHORT sin6_family;
        USHORT sin6_port;
        ULONG sin6_flowinfo;
        UCHAR sin6_addr[16];
    } AddressIn6;
} sockaddr_gen;

#pragma pack(push, 4)
typedef struct _INTERFACE_INFO {
    ULONG iiFlags;
    sockaddr_gen iiAddress;
    sockaddr_gen iiBroadcastAddress;
    sockaddr_gen iiNetmask;
} INTERFACE_INFO, *LPINTERFACE_INFO;
#pragma pack(pop)

/* Multicast groups. */
typedef struct ip_mreq {
    IN_ADDR imr_multiaddr;
    IN_ADDR imr_interface;
} IP_MREQ, *PIP_MREQ;

typedef struct ip_mreq_source {
    IN_ADDR imr_multiaddr;
    IN_ADDR imr_sourceaddr;
    IN_ADDR imr_interface;
} IP_MREQ_SOURCE, *PIP_MREQ_SOURCE;

typedef struct ipv6_mreq {
    IN6_ADDR ipv6mr_multiaddr;
    ULONG ipv6mr_interface;
} IPV6_MREQ, *PIPV6_MREQ;

typedef struct group_req {
    ULONG gr_interface;
    SOCKADDR_STORAGE gr_group;
} GROUP_REQ, *PGROUP_REQ;

typedef struct group_source_req {
    ULONG gsr_interface;
    SOCKADDR_STORAGE gsr_group;
    SOCKADDR_STORAGE gsr_source;
} GROUP_SOURCE_REQ, *PGROUP_SOURCE_REQ;

/* Data of control messages. */
typedef struct in_pktinfo {
    IN_ADDR ipi_addr;
    ULONG ipi_ifindex;
} IN_PKTINFO, *PIN_PKTINFO;

typedef struct in6_pktinfo {
    IN6_ADDR ipi6_addr;
    ULONG ipi6_ifindex;
} IN6_PKTINFO, *PIN6_PKTINFO;

typedef struct in_pktinfo_ex {
    IN_PKTINFO pkt_info;
    SCOPE_ID scope_id;
} IN_PKTINFO_EX, *PIN_PKTINFO_EX;

typedef struct in6_pktinfo_ex {
    IN6_PKTINFO pkt_info;
    SCOPE_ID scope_id;
} IN6_PKTINFO_EX, *PIN6_PKTINFO_EX;

typedef struct in_recverr {
    IPPROTO protocol;
    ULONG info;
    UCHAR type;
    UCHAR code;
} IN_RECVERR, *PIN_RECVERR;

typedef enum _PMTUD_STATE {
    IP_PMTUDISC_NOT_SET,
    IP_PMTUDISC_DO,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_PROBE,
    IP_PMTUDISC_MAX
} PMTUD_STATE, *PPMTUD_STATE;

#ifdef __cplusplus
}
#endif

#endif /* _WS2IPDEF_ */
