/* SHA-256 (FIPS 180-4), for the digest in the plan's header.  Used by: plan.c. */
#ifndef HB_SHA256_H
#define HB_SHA256_H

#include <stddef.h>

void sha256(const unsigned char *data, size_t size, unsigned char digest[32]);

#endif
