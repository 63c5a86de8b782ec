/* fuzz_gzip.c - any bytes are refused or inflate within the bound, and any bytes survive the round trip. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/gzip.h"
#include "tests/fuzz/fuzz.h"

#define MAX_OUT ((size_t)1 << 20)

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_round_trip(const uint8_t *data, size_t n)
{
    vx_buf packed = {0}, back = {0};
    require(vx_gzip_deflate(data, n, 1, &packed) == VX_OK);
    require(vx_gzip_inflate(packed.data, packed.len, n, &back, NULL) == VX_OK);
    require(back.len == n && (n == 0 || memcmp(back.data, data, n) == 0));
    vx_buf_done(&packed);
    vx_buf_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vx_buf out = {0};
    vx_errinfo info = {0};
    vx_err err = vx_gzip_inflate(data, size, MAX_OUT, &out, &info);
    require(out.cap <= MAX_OUT && out.limit == 0);
    if (err == VX_OK) {
        check_round_trip(out.data, out.len);
    } else {
        require((err == VX_ERR_GZIP || err == VX_ERR_RANGE) && info.code == err && out.len == 0);
        require(err != VX_ERR_GZIP || (info.offset >= 0 && (size_t)info.offset <= size));
    }
    vx_buf_done(&out);
    check_round_trip(data, size);
    return 0;
}
