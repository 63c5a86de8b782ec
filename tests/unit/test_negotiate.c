/* test_negotiate.c - Accept, Accept-Encoding, Content-Type and Content-Encoding: RFC 9110's rules and what clients
 * really send.
 */
#include "cloud/negotiate.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { NONE = VX_NEGOTIATE_NONE };

typedef struct {
    const char *header;
    int chosen;
} choice;

static void types(void **state)
{
    (void)state;
    static const char *const offers[] = {"application/json", "application/octet-stream"};
    enum { JSON, OCTETS };
    static const choice cases[] = {
        {NULL, JSON},
        {"", JSON},
        {" , ,", JSON},
        {"*/*", JSON},
        {"application/json", JSON},
        {"application/octet-stream", OCTETS},
        {"Application/Octet-Stream", OCTETS},
        {"application/*", JSON},
        {"application/octet-stream, application/json", OCTETS}, /* equals: the one named first */
        {"application/json, application/octet-stream", JSON},
        {"application/octet-stream, */*", OCTETS}, /* equals: the one named exactly */
        {"*/*, application/octet-stream", OCTETS},
        {"application/*, application/octet-stream", OCTETS},
        {"application/json;q=0.5, application/octet-stream", OCTETS},
        {"application/octet-stream;q=0.5, application/json", JSON},
        {"application/octet-stream;q=0.5, */*;q=0.1", OCTETS},
        {"application/octet-stream;q=0.001, application/json;q=0", OCTETS},
        {"*/*;q=0.1, application/json;q=0", OCTETS}, /* the exact range decides, not the widest q */
        {"application/json;q=0, */*", OCTETS},
        {"application/*;q=0, */*", NONE},
        {"text/html", NONE},
        {"text/html, */*;q=0.1", JSON},
        {"*/*;q=0", NONE},
        {"*/*;q=0.000", NONE},
        {"application/octet-stream ; q=1.000 , application/json ; q=0.999", OCTETS},
        {"application/octet-stream;Q=0.9,application/json;q=0.8", OCTETS},
        {"application/json;charset=utf-8", JSON},
        {"text/html;note=\"a, \\\"b\\\"; q=0\";q=0.9, application/octet-stream", OCTETS},
        {"application/octet-stream;profile=x;q=0.2, application/octet-stream;q=0.9, application/json;q=0.5", OCTETS},
        {"application/octet-stream;;", OCTETS},
        /* A browser. */
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", JSON},
        /* Not of the grammar, so absent. The first is what Java's HttpURLConnection sends. */
        {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON},
        {"application/octet-stream;q=2", JSON},
        {"application/octet-stream;q=1.001", JSON},
        {"application/octet-stream;q=0.1234", JSON},
        {"application/octet-stream;q=-1", JSON},
        {"application/octet-stream;q=\"1\"", JSON},
        {"application/octet-stream;q=", JSON},
        {"application/octet-stream;q", JSON},
        {"application/octet-stream;q=0.5;q=0.6", JSON},
        {"application/octet-stream;a=\"open", JSON},
        {"application/octet-stream;a=\"open\\", JSON},
        {"application/octet-stream;a=\"\001\"", JSON},
        {"application/octet-stream application/json", JSON},
        {"application/octet-stream, application", JSON},
        {"application/octet-stream, application/", JSON},
        {"application/octet-stream, /json", JSON},
        {"application/octet-stream, */json", JSON},
        {"application/octet-stream, (comment)", JSON},
        {"application/octet-stream, \xc3\xa4/x", JSON},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int chosen = vx_negotiate_type(cases[i].header, offers, COUNT(offers));
        if (chosen != cases[i].chosen)
            fail_msg("'%s' chose %d", cases[i].header ? cases[i].header : "(none)", chosen);
    }
}

static void codings(void **state)
{
    (void)state;
    static const char *const offers[] = {"gzip", "identity"};
    enum { GZIP, IDENTITY };
    static const choice cases[] = {
        {NULL, IDENTITY},
        {"", IDENTITY},
        {"gzip", GZIP},
        {"GZIP", GZIP},
        {"x-gzip", GZIP},
        {"gzip, deflate, br, zstd", GZIP},
        {"deflate, gzip;q=1.0, *;q=0.5", GZIP},
        {"br", IDENTITY},
        {"*", GZIP},
        {"gzip;q=0.001", GZIP}, /* identity is not named: last */
        {"gzip;q=0", IDENTITY},
        {"*;q=0, gzip", GZIP},
        {"identity", IDENTITY},
        {"identity;q=0.5, gzip", GZIP},
        {"identity, gzip;q=0.5", IDENTITY},
        {"gzip;q=0.5, *;q=0.6", IDENTITY},
        {"identity;q=0", NONE},
        {"identity;q=0, gzip", GZIP},
        {"*;q=0", NONE},
        {"*;q=0, identity", IDENTITY},
        {"*;q=0, identity;q=0.1, br", IDENTITY},
        {"gzip;q=0, *", IDENTITY},
        {"gzip;q=0, identity;q=0", NONE},
        {"compress;q=0.5, gzip;q=1.0", GZIP},
        {"gzip;q=1.5", IDENTITY}, /* not of the grammar */
        {"gzip/1", IDENTITY},
        {"gzip identity", IDENTITY},
        {"identity;q=0;", NONE},
        {";q=0", IDENTITY},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int chosen = vx_negotiate_coding(cases[i].header, offers, COUNT(offers));
        if (chosen != cases[i].chosen)
            fail_msg("'%s' chose %d", cases[i].header ? cases[i].header : "(none)", chosen);
    }
    static const char *const gzip_only[] = {"gzip"};
    assert_int_equal(vx_negotiate_coding("br", gzip_only, 1), NONE);
    assert_int_equal(vx_negotiate_coding("gzip", gzip_only, 1), 0);
}

/* 32 elements are read; more count as no header at all. */
static void long_headers(void **state)
{
    (void)state;
    static const char *const offers[] = {"gzip", "identity"};
    char header[256] = "";
    for (int i = 0; i < 31; i++)
        strncat(header, "br, ", sizeof header - strlen(header) - 1);
    strncat(header, "gzip", sizeof header - strlen(header) - 1);
    assert_int_equal(vx_negotiate_coding(header, offers, 2), 0);
    strncat(header, ", br", sizeof header - strlen(header) - 1);
    assert_int_equal(vx_negotiate_coding(header, offers, 2), 1);
}

static void contents(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        vx_content content;
    } cases[] = {
        {NULL, VX_CONTENT_UNSAID},
        {"", VX_CONTENT_UNSAID},
        {"  ", VX_CONTENT_UNSAID},
        {"application/x-www-form-urlencoded", VX_CONTENT_UNSAID},
        {"application/json", VX_CONTENT_JSON},
        {"APPLICATION/JSON ; charset=utf-8", VX_CONTENT_JSON},
        {"application/json;", VX_CONTENT_JSON},
        {"application/json; charset", VX_CONTENT_JSON},
        {"text/json", VX_CONTENT_JSON},
        {"application/vnd.voxlock+json", VX_CONTENT_JSON},
        {"audio/wav", VX_CONTENT_RAW},
        {" audio/ogg; codecs=opus", VX_CONTENT_RAW},
        {"application/octet-stream", VX_CONTENT_RAW},
        {"audio", VX_CONTENT_OTHER},
        {"audio/", VX_CONTENT_OTHER},
        {"/wav", VX_CONTENT_OTHER},
        {"audio/wav, audio/wav", VX_CONTENT_OTHER},
        {"application/json application/json", VX_CONTENT_OTHER},
        {"application/+json", VX_CONTENT_OTHER},
        {"text/plain", VX_CONTENT_OTHER},
        {"image/json", VX_CONTENT_OTHER},
        {"multipart/form-data; boundary=x", VX_CONTENT_OTHER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_content content = vx_content_of(cases[i].header);
        if (content != cases[i].content)
            fail_msg("'%s' is %d", cases[i].header ? cases[i].header : "(none)", (int)content);
    }
}

static void content_codings(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        vx_coding coding;
    } cases[] = {
        {NULL, VX_CODING_IDENTITY},         {"", VX_CODING_IDENTITY},
        {"identity", VX_CODING_IDENTITY},   {"Identity, identity", VX_CODING_IDENTITY},
        {"gzip", VX_CODING_GZIP},           {" X-Gzip ", VX_CODING_GZIP},
        {"identity, gzip", VX_CODING_GZIP}, {"gzip, gzip", VX_CODING_OTHER},
        {"br, gzip", VX_CODING_OTHER},      {"gzip, br", VX_CODING_OTHER},
        {"deflate", VX_CODING_OTHER},       {"*", VX_CODING_OTHER},
        {"gzip deflate", VX_CODING_OTHER},  {"\"gzip\"", VX_CODING_OTHER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_coding coding = vx_coding_of(cases[i].header);
        if (coding != cases[i].coding)
            fail_msg("'%s' is %d", cases[i].header ? cases[i].header : "(none)", (int)coding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),    cmocka_unit_test(codings),         cmocka_unit_test(long_headers),
        cmocka_unit_test(contents), cmocka_unit_test(content_codings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
