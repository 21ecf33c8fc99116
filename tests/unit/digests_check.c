/* Checks post3/_digests.h by itself, for processors on which the Python tests do not run. By hand, from the top:
 *
 *   aarch64-linux-gnu-gcc -O2 -static -Wall -Wextra -Ipost3 tests/unit/digests_check.c -o /tmp/check
 *   qemu-aarch64 /tmp/check
 *
 * Prints which ways it took; ends with 0 when all is well, else names the line that is not.
 */
#include <stdio.h>
#include <stdlib.h>

#include "_digests.h"

#define CHECK(claim) if (!(claim)) return printf("line %d: not so: %s\n", __LINE__, #claim), 1

/* One bit at a time, as the definition says. */
static uint64_t reference(const crc_kind *kind, const unsigned char *data, size_t size)
{
    uint64_t crc = kind->ones;
    int bit;
    for (; size; size--, data++)
        for (crc ^= *data, bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? kind->polynomial : 0);
    return crc ^ kind->ones;
}

/* The MD5 of a repeated buffer whose size is a multiple of 64, and the first count bytes of it once more. */
static int md5_is(const char *expected, const unsigned char *data, size_t size, int times, size_t count)
{
    uint32_t state[4];
    unsigned char digest[16];
    char text[33];
    int i;
    md5_start(state);
    for (i = 0; i < times; i++)
        md5_blocks(state, data, size / 64);
    md5_finish(state, data, count, (uint64_t)size * (uint64_t)times + count, digest);
    for (i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return strcmp(text, expected) == 0;
}

/* That all digests taken together of size bytes from data are what each is by itself, and the SHA-256 the one expected,
 * unless that is NULL. */
static int together_is(const char *expected, const crc_kind *kind, const unsigned char *data, size_t size)
{
    const crc_kind *const kinds[2] = {&crc_64nvme, kind};
    const size_t rest = size % 64;
    uint64_t crcs[2] = {1, 2};
    uint32_t md5[4], alone[4], sha256[8];
    unsigned char digest[32];
    char text[65];
    int i;
    md5_start(md5);
    md5_start(alone);
    sha256_start(sha256);
    digest_all(md5, sha256, kinds, crcs, data, size);
    md5_blocks(alone, data, size / 64);
    if (memcmp(md5, alone, sizeof md5) || crcs[0] != crc_update(&crc_64nvme, 1, data, size)
        || crcs[1] != crc_update(kind, 2, data, size))
        return 0;
    sha256_finish(sha256, data + size - rest, rest, size, digest);
    for (i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return expected == NULL || strcmp(text, expected) == 0;
}

int main(void)
{
    const unsigned char *const check = (const unsigned char *)"123456789";
    const crc_kind *const kinds[] = {&crc_32, &crc_32c, &crc_64nvme};
    const uint64_t checks[] = {0xcbf43926, 0xe3069283, 0xae8b14860a799888};
    unsigned char *data = malloc(1 << 20);
    size_t i, k, size, start;

    CHECK(data);
    digests_init();
    for (i = 0; i < 1 << 20; i++)
        data[i] = (unsigned char)(i * i * 31 + i * 7 + (i >> 8));
    for (k = 0; k < 3; k++) {
        const crc_kind *kind = kinds[k];
        CHECK(crc_update(kind, 0, check, 9) == checks[k]);
        for (start = 0; start < 17; start++)
            for (size = 0; size < 400; size++) {
                const uint64_t crc = reference(kind, data + start, size);
                const uint64_t first = crc_update(kind, 0, data + start, size / 3);
                CHECK(crc_by_table(kind, kind->ones, data + start, size) == (crc ^ kind->ones));
                CHECK(crc_update(kind, 0, data + start, size) == crc);
                CHECK(crc_update(kind, first, data + start + size / 3, size - size / 3) == crc);
                CHECK(crc_combine(kind, first, crc_update(kind, 0, data + start + size / 3, size - size / 3),
                                  size - size / 3) == crc);
            }
        CHECK(crc_update(kind, 0, data, 1 << 20) == reference(kind, data, 1 << 20));
    }

    for (size = 0; digests_go_together && size < 700; size++)
        for (start = 0; start < 3; start++)
            CHECK(together_is(NULL, kinds[start % 2], data + start, size));

    CHECK(md5_is("d41d8cd98f00b204e9800998ecf8427e", NULL, 0, 0, 0));
    CHECK(md5_is("25f9e794323b453885f5181f1b624d0b", check, 0, 0, 9));
    memset(data, 0, 1 << 20);
    CHECK(md5_is("c9ea3314b91c9fd4e38f9432064fd1f2", data, 0, 0, 55));
    CHECK(md5_is("e3c4dd21a9171fd39d208efa09bf7883", data, 0, 0, 56));
    CHECK(md5_is("65cecfb980d72fde57d175d6ec1c3f64", data, 0, 0, 63));
    CHECK(md5_is("aa559b4e3523a6c931f08f4df52d58f2", data, 1 << 20, 512, 0)); /* 2^32 bits: the size's second word */
    if (digests_go_together) {
        CHECK(together_is("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &crc_32, data, 0));
        CHECK(together_is("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", &crc_32, check, 9));
        memset(data, 'a', 1000000);
        CHECK(together_is("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", &crc_32c, data, 1000000));
    }
    printf("all is well, by %s%s\n", crc_folds ? "folding" : "tables", digests_go_together ? ", together" : "");
    free(data);
    return 0;
}
