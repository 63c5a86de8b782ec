/* fuzz_json.c - any text is refused with a place and a sentence, or means what jansson says it means. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/json.h"
#include "tests/fuzz/fuzz.h"

/* Ours are narrower than jansson's, on purpose: depth 2048 against 64, and endless numbers. */
static const vx_json_limits limits = {.max_depth = 64, .max_values = 10000};

static void require(int condition)
{
    if (!condition)
        abort();
}

static json_t *parse_again(const vx_buf *text)
{
    json_t *root = NULL;
    require(vx_json_parse((const char *)text->data, text->len, limits, &root, NULL) == VX_OK);
    return root;
}

/* Written, read and written once more, the text stays the same: nothing is lost but digits past the ninth. */
static void check_round_trip(const json_t *root)
{
    vx_buf first = {0}, second = {0};

    require(vx_json_write(root, &first) == VX_OK);
    json_t *back = parse_again(&first);
    require(vx_json_write(back, &second) == VX_OK);
    require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    json_decref(back);
    vx_buf_done(&first);
    vx_buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *got = NULL;
    json_error_t error;
    vx_errinfo info = {0};
    vx_err err = vx_json_parse((const char *)data, size, limits, &got, &info);

    require(info.code == err && (err == VX_OK) == (got != NULL));
    if (err == VX_ERR_JSON_LIMIT)
        return 0;
    require(err == VX_OK || (err == VX_ERR_JSON_SYNTAX && info.offset >= 0 && (size_t)info.offset <= size &&
                             info.line >= 1 && info.text[0] != '\0'));
    /* No JSON holds a zero byte, yet jansson 2.14 skips one behind a number: nothing to compare then. */
    if (size > 0 && memchr(data, '\0', size)) {
        require(!got);
        return 0;
    }
    json_t *want = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    require((got != NULL) == (want != NULL));
    require(!got || json_equal(got, want));
    if (got)
        check_round_trip(got);
    json_decref(got);
    json_decref(want);
    return 0;
}
