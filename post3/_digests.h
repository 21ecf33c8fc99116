/* MD5 and three cyclic redundancy checks in portable C, with carry-less multiplication where the processor has it; and
 * MD5, SHA-256 and CRCs together, where it has instructions for all that.
 *
 * MD5 is RFC 1321's, SHA-256 FIPS 180-4's. The CRCs are those which S3 knows: CRC-32/ISO-HDLC ("CRC32"), CRC-32/ISCSI
 * ("CRC32C") and CRC-64/NVME ("CRC64NVME"). All three are reflected, begin with all ones and end by inverting every
 * bit, so that one piece of code with three sets of constants serves them all.
 *
 * Theory. A CRC is the remainder of the message, taken as a polynomial over GF(2), modulo the CRC's polynomial P.
 * Reflected means: the lowest bit of a byte is its highest power. A remainder of width w lies in the low w bits of an
 * integer, and there too bit 0 is the highest power, x^(w-1), and bit w-1 is x^0.
 *
 *   Tables      ("slicing by 8"): eight bytes at a time, the remainder of each of the eight looked up and added.
 *   Fold        (Intel, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", 2009): the 16 bytes L*x^64 + H
 *               standing d bits in front of other 16 bytes are congruent to L*(x^(d+64) mod P) + H*(x^d mod P) standing
 *               at their place: two carry-less multiplications move them over, and any length becomes 16 bytes with the
 *               same remainder, which the tables finish. The constants depend on P alone; the lanes do not know w.
 *
 * No table and no factor of a CRC is written down here: digests_init() works them out from the polynomials. It must
 * have run once before anything else; after that all functions may run in any number of threads.
 */
#ifndef POST3_DIGESTS_H
#define POST3_DIGESTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* --- Loads and stores ------------------------------------------------------------------------------------------- */

/* Compilers make one instruction of each of these, and they are right on big-endian and unaligned-shy machines too. */

static inline uint32_t load_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load_le64(const unsigned char *p)
{
    return (uint64_t)load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

static inline void store_le32(unsigned char *p, uint32_t value)
{
    int i;
    for (i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

static inline void store_be64(unsigned char *p, uint64_t value)
{
    int i;
    for (i = 0; i < 8; i++)
        p[i] = (unsigned char)(value >> (56 - 8 * i));
}

/* --- MD5 (RFC 1321) --------------------------------------------------------------------------------------------- */

/* The four functions are called with b just computed: everything that does not need it is written so that it can be
 * done before. G's two halves have no bit in common, so they may be added one after the other instead of or-ed. */
#define MD5_F(a, b, c, d) a += d ^ (b & (c ^ d))
#define MD5_G(a, b, c, d) a += c & ~d; a += b & d
#define MD5_H(a, b, c, d) a += b ^ (c ^ d)
#define MD5_I(a, b, c, d) a += c ^ (b | ~d)

/* Clang would add the word and the constant last, when everything waits for them: measured, a fifth slower. */
#if defined(__GNUC__)
#define MD5_ADD_FIRST(a) __asm__("" : "+r"(a))
#else
#define MD5_ADD_FIRST(a) (void)a
#endif

#define MD5_STEP(f, a, b, c, d, shift, word, constant) \
    a += load_le32(data + 4 * (word)) + (uint32_t)(constant); \
    MD5_ADD_FIRST(a); \
    f(a, b, c, d); \
    a = (a << (shift) | a >> (32 - (shift))) + b;

#define MD5_FOUR_STEPS(f, s0, s1, s2, s3, w0, w1, w2, w3, k0, k1, k2, k3) \
    MD5_STEP(f, a, b, c, d, s0, w0, k0) \
    MD5_STEP(f, d, a, b, c, s1, w1, k1) \
    MD5_STEP(f, c, d, a, b, s2, w2, k2) \
    MD5_STEP(f, b, c, d, a, s3, w3, k3)

/* One block, and beside(n) behind each quarter n of a round: what else there is to do with these bytes. */
#define MD5_BLOCK(beside) \
    MD5_FOUR_STEPS(MD5_F, 7, 12, 17, 22,  0,  1,  2,  3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee) beside(0) \
    MD5_FOUR_STEPS(MD5_F, 7, 12, 17, 22,  4,  5,  6,  7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501) beside(1) \
    MD5_FOUR_STEPS(MD5_F, 7, 12, 17, 22,  8,  9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be) beside(2) \
    MD5_FOUR_STEPS(MD5_F, 7, 12, 17, 22, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821) beside(3) \
    MD5_FOUR_STEPS(MD5_G, 5,  9, 14, 20,  1,  6, 11,  0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa) beside(4) \
    MD5_FOUR_STEPS(MD5_G, 5,  9, 14, 20,  5, 10, 15,  4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8) beside(5) \
    MD5_FOUR_STEPS(MD5_G, 5,  9, 14, 20,  9, 14,  3,  8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed) beside(6) \
    MD5_FOUR_STEPS(MD5_G, 5,  9, 14, 20, 13,  2,  7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a) beside(7) \
    MD5_FOUR_STEPS(MD5_H, 4, 11, 16, 23,  5,  8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c) beside(8) \
    MD5_FOUR_STEPS(MD5_H, 4, 11, 16, 23,  1,  4,  7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70) beside(9) \
    MD5_FOUR_STEPS(MD5_H, 4, 11, 16, 23, 13,  0,  3,  6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05) beside(10) \
    MD5_FOUR_STEPS(MD5_H, 4, 11, 16, 23,  9, 12, 15,  2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665) beside(11) \
    MD5_FOUR_STEPS(MD5_I, 6, 10, 15, 21,  0,  7, 14,  5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039) beside(12) \
    MD5_FOUR_STEPS(MD5_I, 6, 10, 15, 21, 12,  3, 10,  1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1) beside(13) \
    MD5_FOUR_STEPS(MD5_I, 6, 10, 15, 21,  8, 15,  6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1) beside(14) \
    MD5_FOUR_STEPS(MD5_I, 6, 10, 15, 21,  4, 11,  2,  9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391) beside(15)

#define MD5_ALONE(quarter)

static inline void md5_start(uint32_t state[4])
{
    state[0] = 0x67452301;
    state[1] = 0xefcdab89;
    state[2] = 0x98badcfe;
    state[3] = 0x10325476;
}

/* Takes whole blocks of 64 bytes. Not inline: one copy of it is enough, and no caller is quicker for another. */
#if defined(__GNUC__)
__attribute__((noinline, unused))
#endif
static void md5_blocks(uint32_t state[4], const unsigned char *data, size_t blocks)
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (; blocks; blocks--, data += 64) {
        const uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
        MD5_BLOCK(MD5_ALONE)
        a += a0;
        b += b0;
        c += c0;
        d += d0;
    }
    state[0] = a;
    state[1] = b;
    state[2] = c;
    state[3] = d;
}

/* Fills zeros with the last count bytes (fewer than 64) of a message, and what both MD5 and SHA-256 put behind it, but
 * for its size, which goes into the last eight bytes of as many as this returns. */
static inline size_t pad(unsigned char tail[128], const unsigned char *data, size_t count)
{
    if (count)
        memcpy(tail, data, count);
    tail[count] = 0x80;
    return count < 56 ? 64 : 128;
}

/* Takes the last count bytes (fewer than 64) of a message of size bytes, and writes the digest. */
static inline void md5_finish(uint32_t state[4], const unsigned char *data, size_t count, uint64_t size,
                              unsigned char digest[16])
{
    unsigned char tail[128] = {0};
    const size_t length = pad(tail, data, count);
    int i;
    store_le32(tail + length - 8, (uint32_t)(size << 3));
    store_le32(tail + length - 4, (uint32_t)(size >> 29));
    md5_blocks(state, tail, length / 64);
    for (i = 0; i < 4; i++)
        store_le32(digest + 4 * i, state[i]);
}

/* --- CRC: polynomials and tables -------------------------------------------------------------------------------- */

typedef struct {
    const int width;                /* bits */
    const uint64_t polynomial;      /* reflected, without x^width */
    const uint64_t ones;            /* width bits */
    uint64_t squares[64];           /* [n]: x^(2^n) mod P */
    uint64_t table[8][256];         /* [n][byte]: the remainder of byte with n zero bytes behind it */
    uint64_t far[2];                /* moves a lane over 512 bits: factors of its first and its second half */
    uint64_t near[2];               /* moves a lane over 128 bits */
} crc_kind;

static crc_kind crc_32 = {32, 0xedb88320, 0xffffffff, {0}, {{0}}, {0}, {0}};
static crc_kind crc_32c = {32, 0x82f63b78, 0xffffffff, {0}, {{0}}, {0}, {0}};
static crc_kind crc_64nvme = {64, 0x9a6c9329ac4bc9b5, 0xffffffffffffffff, {0}, {{0}}, {0}, {0}};

/* Whether carry-less multiplication is used; digests_init() sets it to what the processor has. */
static int crc_folds = 0;

/* value * x mod P */
static inline uint64_t crc_times_x(const crc_kind *kind, uint64_t value)
{
    return value >> 1 ^ (kind->polynomial & (0 - (value & 1)));
}

/* a * b mod P */
static inline uint64_t crc_times(const crc_kind *kind, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    int i;
    for (i = kind->width - 1; i >= 0; i--) { /* bit i of b is x^(width-1-i): the lowest power first */
        product ^= a & (0 - (b >> i & 1));
        a = crc_times_x(kind, a);
    }
    return product;
}

/* x^exponent mod P */
static inline uint64_t crc_power(const crc_kind *kind, uint64_t exponent)
{
    uint64_t power = (uint64_t)1 << (kind->width - 1); /* x^0 */
    const uint64_t *square = kind->squares;
    for (; exponent; exponent >>= 1, square++)
        if (exponent & 1)
            power = crc_times(kind, power, *square);
    return power;
}

/* A factor as the multiplier wants it: 64 bits wide, and one power too low, because the product of two reflected
 * numbers of 64 bits is 127 bits wide and stands one bit, hence one power, off its place in 128. */
static inline uint64_t crc_factor(const crc_kind *kind, uint64_t exponent)
{
    return crc_power(kind, exponent - 1) << (64 - kind->width);
}

static inline void crc_init(crc_kind *kind)
{
    int byte, n;
    kind->squares[0] = (uint64_t)1 << (kind->width - 2); /* x^1 */
    for (n = 1; n < 64; n++)
        kind->squares[n] = crc_times(kind, kind->squares[n - 1], kind->squares[n - 1]);
    for (byte = 0; byte < 256; byte++) {
        uint64_t value = (uint64_t)byte;
        for (n = 0; n < 8; n++)
            value = crc_times_x(kind, value);
        kind->table[0][byte] = value;
    }
    for (byte = 0; byte < 256; byte++)
        for (n = 1; n < 8; n++) {
            const uint64_t value = kind->table[n - 1][byte];
            kind->table[n][byte] = value >> 8 ^ kind->table[0][value & 0xff];
        }
    kind->far[0] = crc_factor(kind, 512 + 64);
    kind->far[1] = crc_factor(kind, 512);
    kind->near[0] = crc_factor(kind, 128 + 64);
    kind->near[1] = crc_factor(kind, 128);
}

static inline uint64_t crc_by_table(const crc_kind *kind, uint64_t crc, const unsigned char *data, size_t size)
{
    for (; size >= 8; size -= 8, data += 8) {
        crc ^= load_le64(data);
        crc = kind->table[7][crc & 0xff] ^ kind->table[6][crc >> 8 & 0xff] ^ kind->table[5][crc >> 16 & 0xff]
            ^ kind->table[4][crc >> 24 & 0xff] ^ kind->table[3][crc >> 32 & 0xff] ^ kind->table[2][crc >> 40 & 0xff]
            ^ kind->table[1][crc >> 48 & 0xff] ^ kind->table[0][crc >> 56];
    }
    for (; size; size--, data++)
        crc = crc >> 8 ^ kind->table[0][(crc ^ *data) & 0xff];
    return crc;
}

/* --- CRC: folding ----------------------------------------------------------------------------------------------- */

/* A lane is 16 bytes of the message. Each architecture says how to load, store and add lanes, and how to move one. */

#if defined(__x86_64__) && defined(__GNUC__)

#include <emmintrin.h>
#include <wmmintrin.h>

#define CRC_FOLDS __attribute__((target("pclmul")))
typedef __m128i crc_lane;

static inline crc_lane lane_load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline void lane_store(unsigned char *p, crc_lane lane) { _mm_storeu_si128((__m128i *)p, lane); }
static inline crc_lane lane_add(crc_lane a, crc_lane b) { return _mm_xor_si128(a, b); }
static inline crc_lane lane_of(uint64_t first) { return _mm_set_epi64x(0, (long long)first); }

CRC_FOLDS static inline crc_lane lane_move(crc_lane lane, crc_lane factors)
{
    return _mm_xor_si128(_mm_clmulepi64_si128(lane, factors, 0x00), _mm_clmulepi64_si128(lane, factors, 0x11));
}

static inline int crc_can_fold(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") != 0;
}

/* Clang before 16 hides the intrinsics unless the whole file is compiled for them, as Apple does. */
#elif defined(__AARCH64EL__) && defined(__GNUC__) && (defined(__linux__) || defined(__APPLE__)) \
    && (!defined(__clang__) || defined(__ARM_FEATURE_AES) || defined(__ARM_FEATURE_CRYPTO) || __clang_major__ >= 16)

#include <arm_neon.h>

#if defined(__ARM_FEATURE_AES) || defined(__ARM_FEATURE_CRYPTO)
#define CRC_FOLDS
#elif defined(__clang__)
#define CRC_FOLDS __attribute__((target("aes")))
#else
#define CRC_FOLDS __attribute__((target("+crypto")))
#endif
typedef uint64x2_t crc_lane;

static inline crc_lane lane_load(const void *p) { return vreinterpretq_u64_u8(vld1q_u8((const uint8_t *)p)); }
static inline void lane_store(unsigned char *p, crc_lane lane) { vst1q_u8(p, vreinterpretq_u8_u64(lane)); }
static inline crc_lane lane_add(crc_lane a, crc_lane b) { return veorq_u64(a, b); }
static inline crc_lane lane_of(uint64_t first) { return vcombine_u64(vcreate_u64(first), vcreate_u64(0)); }

CRC_FOLDS static inline crc_lane lane_move(crc_lane lane, crc_lane factors)
{
    const poly128_t first = vmull_p64((poly64_t)vgetq_lane_u64(lane, 0), (poly64_t)vgetq_lane_u64(factors, 0));
    const poly128_t second = vmull_high_p64(vreinterpretq_p64_u64(lane), vreinterpretq_p64_u64(factors));
    return veorq_u64(vreinterpretq_u64_p128(first), vreinterpretq_u64_p128(second));
}

#if defined(__APPLE__)
static inline int crc_can_fold(void) { return 1; }
#else
#include <sys/auxv.h>
static inline int crc_can_fold(void) { return (getauxval(AT_HWCAP) >> 4 & 1) != 0; } /* HWCAP_PMULL */
#endif

#endif

#if defined(CRC_FOLDS)

/* Four lanes, one behind the other, as one. */
CRC_FOLDS static inline crc_lane lanes_join(crc_lane near, crc_lane a, crc_lane b, crc_lane c, crc_lane d)
{
    b = lane_add(lane_move(a, near), b);
    c = lane_add(lane_move(b, near), c);
    return lane_add(lane_move(c, near), d);
}

/* The remainder of the last lane. */
static inline uint64_t lane_end(const crc_kind *kind, crc_lane lane)
{
    unsigned char rest[16];
    lane_store(rest, lane);
    return crc_by_table(kind, 0, rest, 16);
}

/* Of at least 64 bytes. Four lanes at a time, because one multiplication waits for the one before it in its lane. */
CRC_FOLDS static inline uint64_t crc_by_folding(const crc_kind *kind, uint64_t crc, const unsigned char *data,
                                                size_t size)
{
    const crc_lane far = lane_load(kind->far), near = lane_load(kind->near);
    crc_lane a = lane_add(lane_load(data), lane_of(crc)); /* the remainder so far is added to the first bytes */
    crc_lane b = lane_load(data + 16), c = lane_load(data + 32), d = lane_load(data + 48);
    for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
        a = lane_add(lane_move(a, far), lane_load(data));
        b = lane_add(lane_move(b, far), lane_load(data + 16));
        c = lane_add(lane_move(c, far), lane_load(data + 32));
        d = lane_add(lane_move(d, far), lane_load(data + 48));
    }
    d = lanes_join(near, a, b, c, d);
    for (; size >= 16; data += 16, size -= 16)
        d = lane_add(lane_move(d, near), lane_load(data));
    return crc_by_table(kind, lane_end(kind, d), data, size);
}

#else

static inline int crc_can_fold(void) { return 0; }

static inline uint64_t crc_by_folding(const crc_kind *kind, uint64_t crc, const unsigned char *data, size_t size)
{
    return crc_by_table(kind, crc, data, size);
}

#endif

/* --- Together: MD5, SHA-256 and two CRCs ------------------------------------------------------------------------ */

/* MD5 waits for itself: each step needs the one before it, and most of the processor has nothing to do meanwhile. So
 * SHA-256 by its instructions and the folding of two CRCs, written between MD5's steps, cost no time at all. */

/* Whether they are taken together; digests_init() sets it to what the processor has. */
static int digests_go_together = 0;

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

static const uint32_t sha256_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline int digests_can_go_together(void)
{
    unsigned a, b = 0, c, d;
    __builtin_cpu_init();
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 /* SHA */
        && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("pclmul");
}

/* Four of the 64 rounds, and the words of the four that come three times later. The instructions keep the state's
 * eight words as a, b, e, f and c, d, g, h, from the highest down. */
#define SHA256_QUARTER(n, w0, w1, w2, w3) \
    sum = _mm_add_epi32(w0, _mm_load_si128((const __m128i *)(sha256_constants + 4 * (n)))); \
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum); \
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e)); \
    if ((n) < 12) \
        w0 = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4)), w3);

#define FOLD(lane, far, data) lane = lane_add(lane_move(lane, far), lane_load(data));

#define BESIDE(n) \
    SHA256_QUARTER(n, w[(n) % 4], w[((n) + 1) % 4], w[((n) + 2) % 4], w[((n) + 3) % 4]) \
    if ((n) % 2 == 0) { \
        FOLD(lanes[(n) / 2 % 2][(n) / 4], far[(n) / 2 % 2], data + (n) / 4 * 16) \
    }

/* Takes whole blocks of 64 bytes, at least one. The CRCs are without their inversions. */
__attribute__((target("sha,sse4.1,pclmul"), noinline, unused))
static void digest_together(uint32_t state[4], uint32_t sha256[8], const crc_kind *const kinds[2], uint64_t crcs[2],
                            const unsigned char *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const crc_lane far[2] = {lane_load(kinds[0]->far), lane_load(kinds[1]->far)};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    __m128i abef = _mm_set_epi32((int)sha256[0], (int)sha256[1], (int)sha256[4], (int)sha256[5]);
    __m128i cdgh = _mm_set_epi32((int)sha256[2], (int)sha256[3], (int)sha256[6], (int)sha256[7]);
    crc_lane first[2] = {lane_of(crcs[0]), lane_of(crcs[1])}; /* to be added to the first bytes */
    const crc_lane none = lane_of(0);
    crc_lane lanes[2][4] = {{none, none, none, none}, {none, none, none, none}};
    uint32_t words[8];
    int i;
    for (; blocks; blocks--, data += 64) {
        const uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
        const __m128i abef0 = abef, cdgh0 = cdgh;
        __m128i sum, w[4] = {
            _mm_shuffle_epi8(lane_load(data), swap), _mm_shuffle_epi8(lane_load(data + 16), swap),
            _mm_shuffle_epi8(lane_load(data + 32), swap), _mm_shuffle_epi8(lane_load(data + 48), swap)};
        MD5_BLOCK(BESIDE)
        lanes[0][0] = lane_add(lanes[0][0], first[0]);
        lanes[1][0] = lane_add(lanes[1][0], first[1]);
        first[0] = first[1] = none;
        a += a0;
        b += b0;
        c += c0;
        d += d0;
        abef = _mm_add_epi32(abef, abef0);
        cdgh = _mm_add_epi32(cdgh, cdgh0);
    }
    state[0] = a;
    state[1] = b;
    state[2] = c;
    state[3] = d;
    _mm_storeu_si128((__m128i *)words, abef);
    _mm_storeu_si128((__m128i *)(words + 4), cdgh);
    sha256[0] = words[3], sha256[1] = words[2], sha256[4] = words[1], sha256[5] = words[0];
    sha256[2] = words[7], sha256[3] = words[6], sha256[6] = words[5], sha256[7] = words[4];
    for (i = 0; i < 2; i++)
        crcs[i] = lane_end(kinds[i], lanes_join(lane_load(kinds[i]->near), lanes[i][0], lanes[i][1], lanes[i][2],
                                                lanes[i][3]));
}

#else

static inline int digests_can_go_together(void) { return 0; }

static inline void digest_together(uint32_t state[4], uint32_t sha256[8], const crc_kind *const kinds[2],
                                   uint64_t crcs[2], const unsigned char *data, size_t blocks)
{
    (void)state, (void)sha256, (void)kinds, (void)crcs, (void)data, (void)blocks;
}

#endif

/* --- What others call --------------------------------------------------------------------------------------------- */

static inline void digests_init(void)
{
    crc_init(&crc_32);
    crc_init(&crc_32c);
    crc_init(&crc_64nvme);
    crc_folds = crc_can_fold();
    digests_go_together = digests_can_go_together();
}

/* The CRC of what crc is the CRC of (0 for nothing), followed by data. */
static inline uint64_t crc_update(const crc_kind *kind, uint64_t crc, const unsigned char *data, size_t size)
{
    crc ^= kind->ones;
    if (crc_folds && size >= 64)
        crc = crc_by_folding(kind, crc, data, size);
    else
        crc = crc_by_table(kind, crc, data, size);
    return crc ^ kind->ones;
}

/* The CRC of two messages, one after the other, by theirs; size is the second's in bytes. The inversions at the
 * beginning and the end cancel out. */
static inline uint64_t crc_combine(const crc_kind *kind, uint64_t first, uint64_t second, uint64_t size)
{
    return crc_times(kind, first, crc_power(kind, 8 * size)) ^ second;
}

/* Adds size bytes of a message, a multiple of 64 but at its end, to its MD5, to its SHA-256, and to two CRCs. Of size
 * bytes MD5 and SHA-256 leave what is behind the last multiple of 64 to their end. Only where digests go together. */
static inline void digest_all(uint32_t md5[4], uint32_t sha256[8], const crc_kind *const kinds[2], uint64_t crcs[2],
                              const unsigned char *data, size_t size)
{
    const size_t whole = size / 64 * 64;
    int i;
    if (whole) {
        crcs[0] ^= kinds[0]->ones;
        crcs[1] ^= kinds[1]->ones;
        digest_together(md5, sha256, kinds, crcs, data, size / 64);
        crcs[0] ^= kinds[0]->ones;
        crcs[1] ^= kinds[1]->ones;
    }
    for (i = 0; i < 2; i++)
        crcs[i] = crc_update(kinds[i], crcs[i], data + whole, size - whole);
}

static inline void sha256_start(uint32_t state[8])
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(state, start, sizeof start);
}

/* Takes the last count bytes (fewer than 64) of a message of size bytes, and writes the digest. */
static inline void sha256_finish(uint32_t state[8], const unsigned char *data, size_t count, uint64_t size,
                                 unsigned char digest[32])
{
    const crc_kind *const kinds[2] = {&crc_32, &crc_32};
    unsigned char tail[128] = {0};
    const size_t length = pad(tail, data, count);
    uint64_t crcs[2] = {0, 0}; /* like MD5's, of no use here */
    uint32_t md5[4] = {0, 0, 0, 0};
    int i;
    store_be64(tail + length - 8, size << 3);
    digest_together(md5, state, kinds, crcs, tail, length / 64);
    for (i = 0; i < 4; i++)
        store_be64(digest + 8 * i, (uint64_t)state[2 * i] << 32 | state[2 * i + 1]);
}

#endif
