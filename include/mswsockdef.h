/*
 * mswsockdef.h: types shared with the socket extensions.
 *
 * Part of OpenWSK. Layouts and numbers are those of the Windows x64 kernel interface; the project's tests compare them with
 * an independent description. Use it instead of the header of the same name of the compiler's own set.
 */
#ifndef _MSWSOCKDEF_
#define _MSWSOCKDEF_

#include <ws2def.h>

/* Nothing of this header is needed by the Winsock Kernel interface; it is here because drivers include it. */

#endif /* _MSWSOCKDEF_ */
