/* fuzz_base64.c - every kernel agrees with the scalar code about any text, and any bytes survive the round trip. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/base64.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

typedef struct {
    vx_err err;
    size_t len, bad;
    uint8_t *data;
} result;

static result decode(const vx_base64_impl *impl, const char *text, size_t n)
{
    result r = {.data = malloc(vx_base64_decoded_cap(n))};

    require(r.data != NULL);
    r.err = vx_base64_decode_with(impl, text, n, r.data, &r.len, &r.bad);
    require(r.err == VX_OK ? r.len <= vx_base64_decoded_cap(n) : r.bad <= n);
    return r;
}

/* Only one text means given bytes: what decodes is what encoding gives. */
static void check_canonical(const result *r, const char *text, size_t n)
{
    char *again = malloc(vx_base64_encoded_len(r->len) + 1);

    require(again != NULL && vx_base64_encoded_len(r->len) == n);
    vx_base64_encode(r->data, r->len, again);
    require(memcmp(again, text, n) == 0 && again[n] == '\0');
    free(again);
}

static void check_text(const char *text, size_t n)
{
    size_t count;
    const vx_base64_impl *impls = vx_base64_impls(&count);
    result want = decode(&impls[count - 1], text, n);

    for (size_t i = 0; i + 1 < count; i++) {
        result got = decode(&impls[i], text, n);
        require(got.err == want.err && got.len == want.len && got.bad == want.bad);
        require(got.err != VX_OK || got.len == 0 || memcmp(got.data, want.data, got.len) == 0);
        free(got.data);
    }
    if (want.err == VX_OK)
        check_canonical(&want, text, n);
    free(want.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = vx_base64_encoded_len(size);
    char *text = malloc(n + 1);

    check_text((const char *)data, size);
    require(text != NULL);
    vx_base64_encode(data, size, text);
    result back = decode(vx_base64_impls(&(size_t){0}), text, n);
    require(back.err == VX_OK && back.len == size && (size == 0 || memcmp(back.data, data, size) == 0));
    free(back.data);
    free(text);
    return 0;
}
