/* test_types.c - the names that JSON, tables and the log show: each has one, none twice, and nothing else has any. */
#include "edge/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void sources_are_named_as_their_settings_are(void **state)
{
    (void)state;
    static const char *const names[VX_N_SOURCES] = {
        [VX_SOURCE_ML] = "ml",
        [VX_SOURCE_PHYSICS] = "physics",
        [VX_SOURCE_BEHAVIOUR] = "behavior",
        [VX_SOURCE_CONTEXT] = "context",
    };
    for (int i = 0; i < VX_N_SOURCES; i++)
        assert_string_equal(vx_source_name((vx_source)i), names[i]);
    assert_string_equal(vx_source_name(VX_N_SOURCES), "unknown");
    assert_string_equal(vx_source_name((vx_source)-1), "unknown");
}

static void statuses_have_names_and_the_first_is_no_evidence(void **state)
{
    (void)state;
    assert_string_equal(vx_evidence_status_name(VX_EVIDENCE_UNAVAILABLE), "unavailable");
    assert_string_equal(vx_evidence_status_name(VX_EVIDENCE_INCONCLUSIVE), "inconclusive");
    assert_string_equal(vx_evidence_status_name(VX_EVIDENCE_NEUTRAL), "neutral");
    assert_string_equal(vx_evidence_status_name(VX_EVIDENCE_VALID), "valid");
    assert_string_equal(vx_evidence_status_name((vx_evidence_status)(VX_EVIDENCE_VALID + 1)), "unknown");
    assert_string_equal(vx_evidence_status_name((vx_evidence_status)-1), "unknown");

    const vx_evidence untouched = {0};
    assert_string_equal(vx_evidence_status_name(untouched.status), "unavailable");
}

static void verdicts_have_names_and_four_are_decisions(void **state)
{
    (void)state;
    static const struct {
        vx_verdict verdict;
        const char *name;
        bool decision;
    } rows[] = {
        {VX_AUTHENTICATE, "AUTHENTICATE", true},
        {VX_CHALLENGE, "CHALLENGE", true},
        {VX_REJECT, "REJECT", true},
        {VX_ESCALATE, "ESCALATE", true},
        {VX_NOT_ENROLLED, "NOT_ENROLLED", false},
        {VX_NOT_READY, "NOT_READY", false},
        {VX_NO_AUDIO, "NO_AUDIO", false},
        {VX_NO_EVIDENCE, "UNAVAILABLE", false},
        {VX_WAIT, "WAIT", false},
    };
    assert_int_equal(sizeof rows / sizeof *rows, VX_N_VERDICTS);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rows[i].verdict, i); /* the store keeps the number */
        assert_string_equal(vx_verdict_name(rows[i].verdict), rows[i].name);
        assert_int_equal(vx_verdict_is_decision(rows[i].verdict), rows[i].decision);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rows[i].name, rows[j].name);
    }
    assert_string_not_equal(vx_verdict_name(VX_N_VERDICTS), vx_verdict_name(VX_AUTHENTICATE));
    assert_false(vx_verdict_is_decision(VX_N_VERDICTS));
    assert_false(vx_verdict_is_decision((vx_verdict)-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_named_as_their_settings_are),
        cmocka_unit_test(statuses_have_names_and_the_first_is_no_evidence),
        cmocka_unit_test(verdicts_have_names_and_four_are_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
