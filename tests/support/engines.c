/* engines.c - opening, and what comes of it. */
#include "tests/support/engines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

vx_engine_options options_for(const char *strategy, vx_precision precision, vx_isa isa)
{
    vx_engine_options o = vx_engine_options_default();
    o.strategy = strategy;
    o.precision = precision;
    o.gemm = "simd";
    o.isa = isa;
    return o;
}

vx_engine *open_engine(const char *folder, vx_engine_options options)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    const vx_err err = vx_engine_open(folder, &options, &engine, &info);
    if (err != VX_OK)
        fail_msg("%s: %s", folder, vx_errinfo_text(&info, err));
    return engine;
}

void expect_refusal(const char *folder, vx_engine_options options, vx_err want, const char *mention)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    assert_int_equal(vx_engine_open(folder, &options, &engine, &info), want);
    assert_null(engine);
    if (!strstr(info.text, mention))
        fail_msg("'%s' does not mention '%s'", info.text, mention);
}
