/* What may stand on descriptors 0-2.  Used by: supervisor.c. */
#ifndef HB_STREAMS_H
#define HB_STREAMS_H

#include <stdint.h>

/* Bits of the STDIO step. */
#define HB_STDIO_SOCKETS 1u /* sockets with a name or a network address too, not only pairs */
#define HB_STDIO_GIVE_PIPES 2u /* pipes on 0-2 become the job's, who is another host user */

/* Check 0-2, and put /dev/null where one is closed. 0, or -1 and errno: EISDIR for a
 * directory, ENOTSUP for a device, socket or O_PATH descriptor that is not let in. */
int streams_check(uint64_t allowed);

/* Make the job the owner of every anonymous pipe on 0-2, so that it can reopen /dev/stdin
 * as any program outside can. 0, or -1 and errno. */
int streams_give(uint32_t uid, uint32_t gid);

#endif
