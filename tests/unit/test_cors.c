/* test_cors.c - which origins a value of VOXLOCK_CORS_ORIGINS lets in. */
#include "cloud/cors.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define A "https://a.example"
#define B "https://b.example:8443"

static void origins_are_compared_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *origins, *origin;
        bool allowed;
    } rows[] = {
        /* off */
        {"", NULL, false},
        {"", "", false},
        {"", A, false},
        {"", "*", false},
        {" ", A, false},
        {",", A, false},
        {", ,\t,", A, false},
        /* a request without an origin is no page's */
        {A, NULL, false},
        {A, "", false},
        {"*", NULL, false},
        {"*", "", false},
        /* lists */
        {A, A, true},
        {A "," B, A, true},
        {A "," B, B, true},
        {"  " A " ,\t" B "  ", A, true},
        {"  " A " ,\t" B "  ", B, true},
        {",," A ",,", A, true},
        {A " " B, B, true},
        {"*", A, true},
        {A ",*", B, true},
        {"*," A, "null", true},
        {"null", "null", true},
        {A, "null", false},
        /* almost */
        {A, "https://a.exampl", false},
        {A, "https://a.example.evil", false},
        {A, "https://a.example/", false},
        {A, "HTTPS://A.EXAMPLE", false},
        {A, "http://a.example", false},
        {A, "https://a.example:443", false},
        {A, " " A, false},
        {A, A "," B, false},
        {A "," B, "," A, false},
        {A "," B, A "," B, false},
        {"https://*.example", A, false},
        {"**", A, false},
        {"https://*", A, false},
        {A, "*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (vx_cors_allows(rows[i].origins, rows[i].origin) != rows[i].allowed)
            fail_msg("'%s' for '%s'", rows[i].origins, rows[i].origin ? rows[i].origin : "(none)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_compared_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
