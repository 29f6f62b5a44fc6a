/*
 * talk.c: a C program on Linux that is a client of the Winsock Kernel: connects to a port of this machine, sends a line, and
 * prints what comes back until the peer is done. No driver, no loader: it links against libopenwsk.so.
 *
 *     cargo build --release -p wsk-c
 *     cc -Iinclude examples/c/talk.c -Ltarget/release -lopenwsk -Wl,-rpath,$PWD/target/release -o talk
 *     ./talk 7000 hello
 */
#include <ntddk.h>
#include <wsk.h>

#include <stdio.h>
#include <stdlib.h>

/* A request that this thread waits for. */
static PIRP Irp;
static KEVENT Done;

static NTSTATUS NTAPI Completed(PDEVICE_OBJECT DeviceObject, PIRP Request, PVOID Context)
{
    (void)DeviceObject;
    (void)Context;
    if (Request->PendingReturned)
        KeSetEvent(&Done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static PIRP Start(void)
{
    IoReuseIrp(Irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(Irp, Completed, NULL, TRUE, TRUE, TRUE);
    return Irp;
}

static void Finish(const char *What, NTSTATUS Returned)
{
    if (Returned == STATUS_PENDING)
        KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    if (!NT_SUCCESS(Irp->IoStatus.Status)) {
        fprintf(stderr, "%s: status 0x%08x\n", What, (unsigned)Irp->IoStatus.Status);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const WSK_CLIENT_DISPATCH client = {MAKE_WSK_VERSION(1, 0), 0, NULL};
    WSK_CLIENT_NPI npi = {NULL, &client};
    const WSK_PROVIDER_CONNECTION_DISPATCH *dispatch;
    SOCKADDR_IN local = {.sin_family = AF_INET}, remote = {.sin_family = AF_INET};
    WSK_REGISTRATION registration;
    WSK_PROVIDER_NPI provider;
    PWSK_SOCKET socket;
    char room[4096];
    WSK_BUF buffer;
    ULONG port;

    if (argc != 3) {
        fprintf(stderr, "usage: talk PORT LINE\n");
        return 2;
    }
    port = (ULONG)strtoul(argv[1], NULL, 10);
    remote.sin_port = (USHORT)(port << 8 | port >> 8);
    remote.sin_addr.S_un.S_addr = 0x0100007f; /* 127.0.0.1 */
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    Irp = IoAllocateIrp(1, FALSE);
    if (!NT_SUCCESS(WskRegister(&npi, &registration)) ||
        !NT_SUCCESS(WskCaptureProviderNPI(&registration, WSK_INFINITE_WAIT, &provider)))
        return 1;

    Finish("connect", provider.Dispatch->WskSocketConnect(
                          provider.Client, SOCK_STREAM, IPPROTO_TCP, (PSOCKADDR)&local, (PSOCKADDR)&remote, 0, NULL, NULL,
                          NULL, NULL, NULL, Start()));
    socket = (PWSK_SOCKET)Irp->IoStatus.Information;
    dispatch = (const WSK_PROVIDER_CONNECTION_DISPATCH *)socket->Dispatch;

    buffer.Mdl = IoAllocateMdl(argv[2], (ULONG)strlen(argv[2]), FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(buffer.Mdl);
    buffer.Offset = 0;
    buffer.Length = strlen(argv[2]);
    Finish("send", dispatch->WskSend(socket, &buffer, 0, Start()));
    IoFreeMdl(buffer.Mdl);
    Finish("disconnect", dispatch->WskDisconnect(socket, NULL, 0, Start()));

    buffer.Mdl = IoAllocateMdl(room, sizeof room, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(buffer.Mdl);
    buffer.Length = sizeof room;
    do {
        Finish("receive", dispatch->WskReceive(socket, &buffer, 0, Start()));
        fwrite(room, 1, Irp->IoStatus.Information, stdout);
    } while (Irp->IoStatus.Information > 0);
    IoFreeMdl(buffer.Mdl);

    Finish("close", dispatch->WskCloseSocket(socket, Start()));
    IoFreeIrp(Irp);
    WskReleaseProviderNPI(&registration);
    WskDeregister(&registration);
    return 0;
}
