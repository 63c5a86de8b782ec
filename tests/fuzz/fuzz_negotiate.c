/* fuzz_negotiate.c - any header value gives an answer, and a value that another client would send gives the same one. */
#include <stdlib.h>
#include <string.h>

#include "cloud/negotiate.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static const char *const types[] = {"application/json", "application/octet-stream"};
static const char *const codings[] = {"gzip", "identity"};

/* Empty elements mean nothing. */
static void check_same(const char *text, size_t n)
{
    char *padded = malloc(n + 5);
    require(padded != NULL);
    memcpy(padded, ", ,", 3);
    memcpy(padded + 3, text, n);
    memcpy(padded + 3 + n, ",", 2);
    require(vx_negotiate_type(padded, types, 2) == vx_negotiate_type(text, types, 2));
    require(vx_negotiate_coding(padded, codings, 2) == vx_negotiate_coding(text, codings, 2));
    require(vx_coding_of(padded) == vx_coding_of(text));
    free(padded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* of exactly its size, so that ASan sees the first byte read too far */
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    int type = vx_negotiate_type(text, types, 2), coding = vx_negotiate_coding(text, codings, 2);
    require(type >= VX_NEGOTIATE_NONE && type < 2 && coding >= VX_NEGOTIATE_NONE && coding < 2);
    require(vx_content_of(text) <= VX_CONTENT_OTHER && vx_coding_of(text) <= VX_CODING_OTHER);
    check_same(text, strlen(text));
    free(text);
    return 0;
}
