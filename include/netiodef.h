/*
 * netiodef.h: the base of the network I/O headers.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _NETIODEF_
#define _NETIODEF_

#include <ws2def.h>
#include <ws2ipdef.h>

#endif /* _NETIODEF_ */
