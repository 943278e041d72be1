/* SHA-256 (FIPS 180-4), plain and small: a plan is hashed once, before anything runs.
 *
 * Run by: the supervisor, through plan_decode(). */
#include "sha256.h"

#include <stdint.h>
#include <string.h>

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, unsigned int by)
{
	return (value >> by) | (value << (32u - by));
}

#define ROUND(a, b, c, d, e, f, g, h, i)                                                         \
	do {                                                                                     \
		uint32_t t1 = v[h] + (rotate(v[e], 6) ^ rotate(v[e], 11) ^ rotate(v[e], 25)) +   \
			      ((v[e] & v[f]) ^ (~v[e] & v[g])) + constants[i] + w[i];            \
		uint32_t t2 = (rotate(v[a], 2) ^ rotate(v[a], 13) ^ rotate(v[a], 22)) +          \
			      ((v[a] & v[b]) ^ (v[a] & v[c]) ^ (v[b] & v[c]));                   \
                                                                                                 \
		v[d] += t1;                                                                      \
		v[h] = t1 + t2;                                                                  \
	} while (0)

static void block(uint32_t state[8], const unsigned char *data)
{
	uint32_t w[64];

	for (unsigned int i = 0; i < 16; i++)
		w[i] = ((uint32_t)data[4 * i] << 24) | ((uint32_t)data[4 * i + 1] << 16) |
		       ((uint32_t)data[4 * i + 2] << 8) | (uint32_t)data[4 * i + 3];
	for (unsigned int i = 16; i < 64; i++) {
		uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
		uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);

		w[i] = w[i - 16] + a + w[i - 7] + b;
	}

	uint32_t v[8];

	memcpy(v, state, sizeof(v));
	/* Eight rounds bring every word back to its place, so that none is ever moved. */
	for (unsigned int i = 0; i < 64; i += 8) {
		ROUND(0, 1, 2, 3, 4, 5, 6, 7, i);
		ROUND(7, 0, 1, 2, 3, 4, 5, 6, i + 1);
		ROUND(6, 7, 0, 1, 2, 3, 4, 5, i + 2);
		ROUND(5, 6, 7, 0, 1, 2, 3, 4, i + 3);
		ROUND(4, 5, 6, 7, 0, 1, 2, 3, i + 4);
		ROUND(3, 4, 5, 6, 7, 0, 1, 2, i + 5);
		ROUND(2, 3, 4, 5, 6, 7, 0, 1, i + 6);
		ROUND(1, 2, 3, 4, 5, 6, 7, 0, i + 7);
	}
	for (unsigned int i = 0; i < 8; i++)
		state[i] += v[i];
}

void sha256(const unsigned char *data, size_t size, unsigned char digest[32])
{
	uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	unsigned char tail[128] = {0};
	size_t whole = size / 64;
	size_t rest = size % 64;
	size_t tail_size = rest < 56 ? 64 : 128;
	uint64_t bits = (uint64_t)size * 8;

	for (size_t i = 0; i < whole; i++)
		block(state, data + 64 * i);
	if (rest > 0)
		memcpy(tail, data + 64 * whole, rest);
	tail[rest] = 0x80;
	for (unsigned int i = 0; i < 8; i++)
		tail[tail_size - 1 - i] = (unsigned char)(bits >> (8 * i));
	for (size_t i = 0; i < tail_size; i += 64)
		block(state, tail + i);
	for (unsigned int i = 0; i < 32; i++)
		digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}
