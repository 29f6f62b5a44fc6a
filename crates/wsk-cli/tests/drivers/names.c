/*
 * names.c: WskGetAddressInfo and WskGetNameInfo (functions.md 4), with names as clients have them and as none should have
 * them: counted strings that are odd, unended, too long, of other characters. Nothing asks the network.
 *
 * Prints `N checks, M failed`.
 */
#pragma GCC diagnostic ignored "-Warray-bounds" /* PsGetCurrentThread is a read of gs:0x188 */
#include "common.h"
#include "check.h"

#define COUNT(Array) (sizeof(Array) / sizeof((Array)[0]))

static REQUEST Request;

#define FRESH RequestIrp(&Request)

static UNICODE_STRING Counted(const WCHAR *Text)
{
    UNICODE_STRING string = {0, 0, (PWCH)Text};

    while (Text != NULL && Text[string.Length / 2] != 0)
        string.Length += 2;
    string.MaximumLength = string.Length; /* no room for a zero */
    return string;
}

/* ---- addresses of names ---- */

static PADDRINFOEXW Found;

/*
 * Asks; the strings and the hints are overwritten as soon as the function has returned (F-75). A failure leaves no result, and
 * Information is 0 either way (F-59, F-222, F-223).
 */
static NTSTATUS LookUp(UNICODE_STRING Node, UNICODE_STRING Service, ULONG NameSpace, const ADDRINFOEXW *Hints)
{
    UNICODE_STRING node = Node, service = Service;
    ADDRINFOEXW hints = {0};
    NTSTATUS status;

    if (Hints != NULL)
        hints = *Hints;
    Found = (PADDRINFOEXW)0xee;
    status = Provider.Dispatch->WskGetAddressInfo(
        Provider.Client, &node, &service, NameSpace, NULL, Hints ? &hints : NULL, &Found, NULL, NULL, FRESH);
    RtlFillMemory(&node, sizeof node, 0xee);
    RtlFillMemory(&service, sizeof service, 0xee);
    RtlFillMemory(&hints, sizeof hints, 0xee);
    CHECK(NT_SUCCESS(status) ? status == STATUS_PENDING : Request.Irp->IoStatus.Status == status);
    if (!NT_SUCCESS(status))
        CHECK(Found == NULL || Found == (PADDRINFOEXW)0xee); /* refused at once */
    else
        CHECK(RequestWait(&Request, status) != STATUS_PENDING);
    status = Request.Irp->IoStatus.Status;
    CHECK(Request.Irp->IoStatus.Information == 0);
    CHECK(!NT_SUCCESS(status) || (Found != NULL && Found != (PADDRINFOEXW)0xee));
    return status;
}

static void Free(void)
{
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, Found);
    Found = NULL;
}

static SIZE_T Entries(void)
{
    SIZE_T entries = 0;

    for (PADDRINFOEXW at = Found; at != NULL; at = at->ai_next) {
        CHECK(at->ai_addr != NULL && at->ai_addr->sa_family == at->ai_family);
        CHECK(at->ai_addrlen == (at->ai_family == AF_INET ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6)));
        CHECK(at->ai_family == AF_INET || at->ai_family == AF_INET6);
        CHECK(at->ai_blob == NULL && at->ai_bloblen == 0 && at->ai_provider == NULL);
        entries++;
    }
    return entries;
}

/* F-220 to F-224. */
static void TestNumbers(void)
{
    static const ULONG spaces[] = {NS_ALL, NS_DNS}, others[] = {NS_NETBT, NS_BTH, 9999};
    UNICODE_STRING v4 = Counted(L"127.0.0.1"), v6 = Counted(L"::1"), port = Counted(L"12345"), none = Counted(NULL);
    ADDRINFOEXW hints = {0};

    for (SIZE_T i = 0; i < COUNT(spaces); i++) {
        SOCKADDR_IN *address;

        CHECK(LookUp(v4, port, spaces[i], NULL) == STATUS_SUCCESS && Entries() == 1);
        address = (SOCKADDR_IN *)Found->ai_addr;
        CHECK(address->sin_port == SWAP16(12345) && address->sin_addr.S_un.S_addr == 0x0100007f);
        CHECK(Found->ai_socktype == 0 && Found->ai_protocol == 0 && Found->ai_canonname == NULL); /* F-224 */
        Free();
    }
    for (SIZE_T i = 0; i < COUNT(others); i++)
        CHECK(LookUp(v4, port, others[i], NULL) == STATUS_NOT_FOUND && Found == NULL);
    CHECK(LookUp(v6, port, NS_ALL, NULL) == STATUS_SUCCESS && Entries() == 1 && Found->ai_family == AF_INET6);
    CHECK(((SOCKADDR_IN6 *)Found->ai_addr)->sin6_port == SWAP16(12345));
    Free();
    CHECK(LookUp(Counted(L"fe80::1%1"), none, NS_ALL, NULL) == STATUS_SUCCESS && Entries() == 1);
    CHECK(((SOCKADDR_IN6 *)Found->ai_addr)->sin6_scope_id == 1 && ((SOCKADDR_IN6 *)Found->ai_addr)->sin6_port == 0);
    Free();
    /* A service alone: this machine, or with AI_PASSIVE all its addresses. */
    hints.ai_family = AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    CHECK(LookUp(none, port, NS_ALL, &hints) == STATUS_SUCCESS && Entries() == 1 && Found->ai_family == AF_INET6);
    CHECK(Found->ai_socktype == SOCK_STREAM && Found->ai_protocol == IPPROTO_TCP);
    CHECK(((SOCKADDR_IN6 *)Found->ai_addr)->sin6_addr.u.Byte[15] == 1);
    Free();
    hints.ai_flags = AI_PASSIVE;
    CHECK(LookUp(none, port, NS_ALL, &hints) == STATUS_SUCCESS && Entries() == 1);
    CHECK(((SOCKADDR_IN6 *)Found->ai_addr)->sin6_addr.u.Byte[15] == 0);
    Free();
    /* The name itself is asked for: in the first entry. */
    hints = (ADDRINFOEXW){0};
    hints.ai_flags = AI_CANONNAME;
    CHECK(LookUp(v4, port, NS_ALL, &hints) == STATUS_SUCCESS && Entries() == 1);
    CHECK(Found->ai_canonname != NULL && Counted(Found->ai_canonname).Length == v4.Length);
    Free();
    /* No service of that number, or of that name. */
    hints.ai_flags = AI_NUMERICHOST;
    CHECK(LookUp(v4, Counted(L"65535"), NS_ALL, &hints) == STATUS_SUCCESS);
    CHECK(((SOCKADDR_IN *)Found->ai_addr)->sin_port == 0xffff);
    Free();
    CHECK(!NT_SUCCESS(LookUp(v4, Counted(L"65536"), NS_ALL, &hints)));
    CHECK(!NT_SUCCESS(LookUp(v4, Counted(L"99999"), NS_ALL, &hints)));
    CHECK(!NT_SUCCESS(LookUp(v4, Counted(L"-1"), NS_ALL, &hints)));
    CHECK(LookUp(v4, Counted(L"12345x"), NS_ALL, &hints) == STATUS_NOT_FOUND && Found == NULL);
    CHECK(LookUp(Counted(L"nobody.invalid"), port, NS_ALL, &hints) == STATUS_NOT_FOUND && Found == NULL);
    CHECK(LookUp(Counted(L"256.1.1.1"), port, NS_ALL, &hints) == STATUS_NOT_FOUND && Found == NULL);
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, NULL); /* F-226 */
}

/* F-221: of the hints only flags, family, type and protocol. */
static void TestHints(void)
{
    static GUID provider;
    UNICODE_STRING v4 = Counted(L"127.0.0.1"), none = Counted(NULL);
    ADDRINFOEXW hints[8] = {{0}};

    hints[0].ai_addrlen = 16;
    hints[1].ai_canonname = (PWSTR)L"x";
    hints[2].ai_addr = (struct sockaddr *)&hints;
    hints[3].ai_blob = &hints;
    hints[4].ai_bloblen = 1;
    hints[5].ai_provider = &provider;
    hints[6].ai_next = &hints[0];
    hints[7].ai_family = 10; /* Linux' number */
    for (SIZE_T i = 0; i < COUNT(hints); i++)
        CHECK(LookUp(v4, none, NS_ALL, &hints[i]) == STATUS_INVALID_PARAMETER);
}

/* Strings that no client should have: a status, no result, and nothing is read that is not said to be there. */
static void TestHostile(void)
{
    static const WCHAR text[] = L"127.0.0.1garbage", zeros[] = {'1', '2', '7', 0, '1', 0, 0}, ended[] = L"127.0.0.1\0\0";
    static const WCHAR high[] = {'a', 0xd800, 'b'}, low[] = {0xdc00}, last[] = {'a', 0xdbff}, spaces[] = L"127.0.0.1 ";
    static WCHAR longest[0x7fff];
    UNICODE_STRING good = Counted(L"127.0.0.1"), none = Counted(NULL);
    ADDRINFOEXW numeric = {AI_NUMERICHOST};
    PWCH end;

    /* Exactly as many bytes as it says; the next page cannot be read (--verify). */
    end = (PWCH)ExAllocatePoolWithTag(NonPagedPoolNx, 18, 'tseT');
    RtlCopyMemory(end, text, 18);
    CHECK(LookUp((UNICODE_STRING){18, 18, end}, none, NS_ALL, NULL) == STATUS_SUCCESS && Entries() == 1);
    Free();
    ExFreePoolWithTag(end, 'tseT');
    CHECK(LookUp((UNICODE_STRING){18, sizeof text, (PWCH)text}, none, NS_ALL, &numeric) == STATUS_SUCCESS);
    Free();
    CHECK(LookUp((UNICODE_STRING){sizeof ended, sizeof ended, (PWCH)ended}, none, NS_ALL, &numeric) == STATUS_SUCCESS);
    Free();
    CHECK(LookUp((UNICODE_STRING){sizeof zeros, sizeof zeros, (PWCH)zeros}, none, NS_ALL, &numeric) == STATUS_NOT_FOUND);
    CHECK(Found == NULL);
    CHECK(LookUp((UNICODE_STRING){sizeof high, sizeof high, (PWCH)high}, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp((UNICODE_STRING){sizeof low, sizeof low, (PWCH)low}, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp((UNICODE_STRING){sizeof last, sizeof last, (PWCH)last}, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp(good, (UNICODE_STRING){sizeof low, sizeof low, (PWCH)low}, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    /* A length without a buffer. */
    CHECK(LookUp((UNICODE_STRING){18, 18, NULL}, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp(good, (UNICODE_STRING){2, 2, NULL}, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    /* Half a character, and more than there is room for: no string. */
    CHECK(LookUp((UNICODE_STRING){17, 18, (PWCH)text}, none, NS_ALL, &numeric) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp((UNICODE_STRING){1, 1, (PWCH)text}, none, NS_ALL, &numeric) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp((UNICODE_STRING){18, 16, (PWCH)text}, none, NS_ALL, &numeric) == STATUS_INVALID_PARAMETER);
    /* Nothing but zeros is no name; two of those are none at all. */
    CHECK(LookUp((UNICODE_STRING){4, 4, (PWCH)(zeros + 5)}, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(LookUp(none, none, NS_ALL, NULL) == STATUS_INVALID_PARAMETER);
    CHECK(!NT_SUCCESS(LookUp(Counted(spaces), none, NS_ALL, &numeric)));
    for (SIZE_T i = 0; i < COUNT(longest); i++)
        longest[i] = 'a';
    CHECK(LookUp((UNICODE_STRING){0xfffe, 0xfffe, longest}, none, NS_ALL, &numeric) == STATUS_NOT_FOUND);
    CHECK(LookUp(good, (UNICODE_STRING){0xfffe, 0xfffe, longest}, NS_ALL, &numeric) == STATUS_NOT_FOUND);
}

/* F-221, F-225, F-67: no IRP; owners; a lookup that was cancelled leaves nothing behind, whoever was first. */
static void TestLookups(void)
{
    UNICODE_STRING v4 = Counted(L"127.0.0.1");
    PADDRINFOEXW found;
    REQUEST requests[20];

    CHECK(
        Provider.Dispatch->WskGetAddressInfo(NULL, (PUNICODE_STRING)1, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL) ==
        STATUS_INVALID_PARAMETER);
    CHECK(
        RequestWait(
            &Request, Provider.Dispatch->WskGetAddressInfo(
                          Provider.Client, &v4, NULL, NS_ALL, NULL, NULL, &found, NULL, PsGetCurrentThread(), FRESH)) ==
        STATUS_INVALID_PARAMETER);
    CHECK(
        RequestWait(
            &Request, Provider.Dispatch->WskGetAddressInfo(
                          Provider.Client, &v4, NULL, NS_ALL, NULL, NULL, &found, PsGetCurrentProcess(), PsGetCurrentThread(),
                          FRESH)) == STATUS_SUCCESS);
    Provider.Dispatch->WskFreeAddressInfo(Provider.Client, found);
    found = (PADDRINFOEXW)0xee;
    FRESH;
    IoCancelIrp(Request.Irp); /* before it comes */
    CHECK(
        RequestWait(
            &Request, Provider.Dispatch->WskGetAddressInfo(
                          Provider.Client, &v4, NULL, NS_ALL, NULL, NULL, &found, NULL, NULL, Request.Irp)) == STATUS_CANCELLED);
    CHECK(found == (PADDRINFOEXW)0xee);
    for (int round = 0; round < 20; round++) {
        PADDRINFOEXW results[COUNT(requests)];

        for (SIZE_T i = 0; i < COUNT(requests); i++) {
            CHECK(RequestCreate(&requests[i]));
            results[i] = (PADDRINFOEXW)0xee;
            CHECK(
                Provider.Dispatch->WskGetAddressInfo(
                    Provider.Client, &v4, NULL, NS_ALL, NULL, NULL, &results[i], NULL, NULL, RequestIrp(&requests[i])) ==
                STATUS_PENDING);
            if (i % 2)
                IoCancelIrp(requests[i].Irp);
        }
        for (SIZE_T i = 0; i < COUNT(requests); i++) {
            NTSTATUS status = RequestWait(&requests[i], STATUS_PENDING);

            CHECK(status == STATUS_SUCCESS || (status == STATUS_CANCELLED && i % 2));
            CHECK((status == STATUS_SUCCESS) == (results[i] != (PADDRINFOEXW)0xee));
            if (status == STATUS_SUCCESS)
                Provider.Dispatch->WskFreeAddressInfo(Provider.Client, results[i]);
            RequestFree(&requests[i]);
        }
    }
}

/* ---- names of addresses ---- */

static WCHAR Node[64], Service[64];

static NTSTATUS NameOf(const void *Address, ULONG Length, UNICODE_STRING *NodeName, UNICODE_STRING *ServiceName, ULONG Flags)
{
    UCHAR copy[160] = {0};
    NTSTATUS status;

    RtlFillMemory(Node, sizeof Node, 0xee);
    RtlFillMemory(Service, sizeof Service, 0xee);
    if (Address != NULL)
        RtlCopyMemory(copy, Address, sizeof(SOCKADDR_IN6));
    status = Provider.Dispatch->WskGetNameInfo(
        Provider.Client, Address ? (PSOCKADDR)copy : NULL, Length, NodeName, ServiceName, Flags, NULL, NULL, FRESH);
    RtlFillMemory(copy, sizeof copy, 0xee);
    status = RequestWait(&Request, status);
    CHECK(Request.Irp->IoStatus.Information == 0);
    return status;
}

static BOOLEAN Is(const UNICODE_STRING *String, const WCHAR *Text)
{
    SIZE_T length = Counted(Text).Length;

    return String->Length == length && RtlCompareMemory(String->Buffer, Text, length + 2) == length + 2;
}

/* F-230 to F-232. */
static void TestNames(void)
{
    const ULONG numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    union {
        SOCKADDR_IN V4;
        SOCKADDR_IN6 V6;
    } a = {{AF_INET, SWAP16(12345)}}, b, odd;
    UNICODE_STRING node = {0, sizeof Node, Node}, service = {0, sizeof Service, Service};

    a.V4.sin_addr.S_un.S_addr = 0x0100007f;
    b.V6 = (SOCKADDR_IN6){AF_INET6, SWAP16(80)};
    b.V6.sin6_addr.u.Byte[15] = 1;
    CHECK(NameOf(&a, 16, &node, &service, numeric) == STATUS_SUCCESS && Is(&node, L"127.0.0.1") && Is(&service, L"12345"));
    CHECK(node.MaximumLength == sizeof Node && node.Buffer == Node && Node[10] == 0xeeee && Service[6] == 0xeeee);
    CHECK(NameOf(&b, 28, &node, NULL, numeric) == STATUS_SUCCESS && Is(&node, L"::1"));
    CHECK(NameOf(&b, 128, NULL, &service, numeric) == STATUS_SUCCESS && Is(&service, L"80"));
    CHECK(NameOf(&a, 28, &node, NULL, numeric) == STATUS_SUCCESS && Is(&node, L"127.0.0.1"));
    /* An unknown service is its digits. */
    a.V4.sin_port = SWAP16(64999);
    CHECK(NameOf(&a, 16, NULL, &service, NI_NUMERICHOST) == STATUS_SUCCESS && Is(&service, L"64999"));
    CHECK(NameOf(&a, 16, NULL, &service, NI_NUMERICHOST | NI_DGRAM) == STATUS_SUCCESS && Is(&service, L"64999"));
    CHECK(NameOf(&a, 16, &node, NULL, NI_NUMERICHOST | NI_NAMEREQD) == STATUS_NO_MATCH); /* no name at all, then */

    /* Room for the name and its zero; too little is too little, and nothing is written. */
    for (USHORT room = 0; room <= 22; room++) {
        NTSTATUS status;

        node = (UNICODE_STRING){0x1234, room, Node};
        status = NameOf(&a, 16, &node, NULL, numeric);
        CHECK(status == (room < 20 ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS));
        if (room < 20)
            CHECK(node.Length == 0x1234 && Node[0] == 0xeeee);
        else
            CHECK(Is(&node, L"127.0.0.1") && Node[10] == 0xeeee);
    }
    node = (UNICODE_STRING){0, sizeof Node, NULL};
    CHECK(NameOf(&a, 16, &node, NULL, numeric) == STATUS_BUFFER_TOO_SMALL);
    node = (UNICODE_STRING){0, sizeof Node, Node};
    service = (UNICODE_STRING){0, 4, Service};
    CHECK(NameOf(&a, 16, &node, &service, numeric) == STATUS_BUFFER_TOO_SMALL && Service[0] == 0xeeee);
    service.MaximumLength = sizeof Service;

    /* What is no question. */
    CHECK(NameOf(&a, 16, NULL, NULL, numeric) == STATUS_INVALID_PARAMETER);
    CHECK(NameOf(NULL, 16, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    for (ULONG length = 0; length < 16; length++)
        CHECK(NameOf(&a, length, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    for (ULONG length = 16; length < 28; length++)
        CHECK(NameOf(&b, length, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    CHECK(NameOf(&a, 129, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    CHECK(NameOf(&a, 0xffffffff, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    for (ULONG flag = 0x20; flag != 0; flag <<= 1)
        CHECK(NameOf(&a, 16, &node, NULL, numeric | flag) == STATUS_INVALID_PARAMETER);
    odd = b;
    odd.V6.sin6_family = 10; /* Linux' number */
    CHECK(NameOf(&odd, 28, &node, NULL, numeric) == STATUS_INVALID_PARAMETER);
    CHECK(Node[0] == 0xeeee && Service[0] == 0xeeee);
    CHECK(
        Provider.Dispatch->WskGetNameInfo(Provider.Client, (PSOCKADDR)&a, 16, &node, NULL, numeric, NULL, NULL, NULL) ==
        STATUS_INVALID_PARAMETER);
    CHECK(
        RequestWait(
            &Request, Provider.Dispatch->WskGetNameInfo(
                          Provider.Client, (PSOCKADDR)&a, 16, &node, NULL, numeric, NULL, PsGetCurrentThread(), FRESH)) ==
        STATUS_INVALID_PARAMETER);
    FRESH;
    IoCancelIrp(Request.Irp);
    CHECK(
        RequestWait(
            &Request, Provider.Dispatch->WskGetNameInfo(
                          Provider.Client, (PSOCKADDR)&a, 16, &node, NULL, numeric, NULL, NULL, Request.Irp)) ==
        STATUS_CANCELLED);
    CHECK(Node[0] == 0xeeee);
}

static void NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    (void)DriverObject;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    (void)RegistryPath;
    DriverObject->DriverUnload = Unload;
    CHECK(NT_SUCCESS(Attach()));
    CHECK(RequestCreate(&Request));
    TestNumbers();
    TestHints();
    TestHostile();
    TestLookups();
    TestNames();
    RequestFree(&Request);
    Detach();
    SayChecks();
    return STATUS_SUCCESS;
}
