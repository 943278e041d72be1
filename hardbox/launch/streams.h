/* What may stand on descriptors 0-2.  Used by: supervisor.c. */
#ifndef HB_STREAMS_H
#define HB_STREAMS_H

#include <stdint.h>

/* Bits of the STDIO step. */
#define HB_STDIO_SOCKETS 1u /* sockets with a name or a network address too, not only pairs */

/* Check 0-2, and put /dev/null where one is closed. 0, or -1 and errno: EISDIR for a
 * directory, ENOTSUP for a device, socket or O_PATH descriptor that is not let in. */
int streams_check(uint64_t allowed);

#endif
