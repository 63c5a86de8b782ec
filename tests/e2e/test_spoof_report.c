/* test_spoof_report.c - voxlock spoof-report on a small laboratory: what it counts, draws and writes, and lists that it
 * refuses.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/cli.h"
#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/scratch.h"

#define HEADING "path\tspoof\tgroup\tkind\theld_out\tsplit\tsource\tspeaker\toriginal\tparameters\n"
#define LINE(path, spoof, group, kind, held_out, speaker, original)                                                    \
    path "\t" spoof "\t" group "\t" kind "\t" held_out "\tdev\tread\t" speaker "\t" original "\t\n"

/* Two readers, living; and two copies that stand for attacks. */
static const char list[] = HEADING LINE("reader1_a.flac", "0", "bonafide", "plain", "0", "1", "1a")
    LINE("reader1_b.flac", "0", "bonafide", "plain", "0", "1", "1b")
        LINE("reader2_a.flac", "0", "bonafide", "plain", "0", "2", "2a")
            LINE("reader2_b.flac", "0", "bonafide", "plain", "0", "2", "2b")
                LINE("reader1_a.opus", "1", "repeat", "repeat_recode", "1", "1", "1a")
                    LINE("reader1_a.mp3", "1", "repeat", "repeat_mp3", "0", "1", "1a")
                        LINE("missing.wav", "1", "repeat", "repeat_mp3", "0", "1", "1b");

static scratch laboratory(const char *manifest)
{
    static const char *const clips[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac",
                                        "reader2_b.flac", "reader1_a.opus", "reader1_a.mp3"};
    scratch s = scratch_make();
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
        vx_buf clip = clip_file(clips[i]);
        scratch_write(&s, clips[i], clip.data, clip.len);
        vx_buf_done(&clip);
    }
    scratch_write(&s, "manifest.tsv", manifest, strlen(manifest));
    return s;
}

static const json_t *kind_of(const json_t *report, const char *name)
{
    size_t i;
    const json_t *kind;
    json_array_foreach(json_object_get(report, "kinds"), i, kind)
    {
        if (strcmp(json_string_value(json_object_get(kind, "kind")), name) == 0)
            return kind;
    }
    fail_msg("no kind %s", name);
    return NULL;
}

static json_int_t counted(const json_t *decided, const char *rate)
{
    const json_t *entry = json_object_get(json_object_get(decided, rate), "count");
    assert_true(json_is_integer(entry));
    return json_integer_value(entry);
}

/* What is wrong, what got no answer and the rest are all that could be read; shares and intervals fit the counts. */
static void check_decided(const json_t *decided, json_int_t n, bool spoof)
{
    const char *const rates[] = {spoof ? "apcer" : "bpcer", spoof ? "apnrr" : "bpnrr"};
    assert_int_equal(json_integer_value(json_object_get(decided, "recordings")), n);
    assert_null(json_object_get(decided, spoof ? "bpcer" : "apcer"));
    for (size_t i = 0; i < 2; i++) {
        const json_t *share = json_object_get(json_object_get(decided, rates[i]), "share");
        const double value = json_real_value(json_array_get(share, 0)), low = json_real_value(json_array_get(share, 1)),
                     high = json_real_value(json_array_get(share, 2));
        assert_true(fabs(value - (double)counted(decided, rates[i]) / (double)n) < 1e-6);
        assert_true(low <= value && value <= high && high > low);
    }
    assert_true(counted(decided, rates[0]) + counted(decided, rates[1]) <= n);
    assert_int_equal(json_object_size(json_object_get(decided, "layers_abstained")), 7);
}

static json_int_t silent(const json_t *decided, const char *layer)
{
    return json_integer_value(json_object_get(json_object_get(decided, "layers_abstained"), layer));
}

static void what_the_lock_would_do_is_counted(void **state)
{
    (void)state;
    /* A tone beside the others: nobody can judge it. */
    scratch s = laboratory(HEADING LINE("reader1_a.flac", "0", "bonafide", "plain", "0", "1", "1a")
                               LINE("reader1_b.flac", "0", "bonafide", "plain", "0", "1", "1b")
                                   LINE("reader2_a.flac", "0", "bonafide", "plain", "0", "2", "2a")
                                       LINE("tone.wav", "0", "bonafide", "tone", "0", "2", "2c")
                                           LINE("reader1_a.opus", "1", "repeat", "repeat_recode", "1", "1", "1a")
                                               LINE("reader1_a.mp3", "1", "repeat", "repeat_mp3", "0", "1", "1a")
                                                   LINE("missing.wav", "1", "repeat", "repeat_mp3", "0", "1", "1b"));
    vx_buf wav = {0};
    float *tone = encode_tone(32000, 16000, 1, 440, 0.3);
    assert_non_null(tone);
    assert_int_equal(encode_audio(ENCODE_WAV16, tone, 32000, 16000, 1, &wav), 0);
    scratch_write(&s, "tone.wav", wav.data, wav.len);
    vx_buf_done(&wav);
    free(tone);
    cli_result r = cli_run(CLI_ARGS("spoof-report", s.path, "--json"));
    assert_int_equal(r.status, CLI_OK);
    json_t *report = json_loads(cli_text(&r.out), 0, NULL);
    assert_non_null(report);
    assert_true(json_real_value(json_object_get(report, "accused_above")) > 0.5);
    const json_t *nobody = json_object_get(kind_of(report, "tone"), "decided");
    const json_t *mp3 = json_object_get(kind_of(report, "repeat_mp3"), "decided");
    const json_t *living = json_object_get(json_object_get(report, "living"), "decided");
    check_decided(nobody, 1, false);
    check_decided(mp3, 1, true); /* the other cannot be read */
    check_decided(living, 4, false);
    check_decided(json_object_get(json_object_get(report, "held_out"), "decided"), 1, true);
    assert_int_equal(counted(nobody, "bpnrr"), 1);
    assert_int_equal(silent(nobody, "liveness"), 1);
    assert_int_equal(silent(mp3, "replay"), 0);
    assert_int_equal(counted(mp3, "apcer"), 0); /* it was heard before */
    assert_true(counted(living, "bpnrr") >= 1);
    /* Of the second reader nothing was heard but the very recording. */
    assert_true(silent(living, "replay") >= 2);
    const json_t *confidence = json_object_get(report, "confidence");
    const json_t *sure = json_object_get(confidence, "living"), *repeats = json_object_get(confidence, "repeat");
    assert_int_equal(json_integer_value(json_object_get(sure, "recordings")), 4);
    assert_true(json_integer_value(json_object_get(sure, "even_or_more")) < 4); /* of a tone there is none */
    assert_true(json_integer_value(json_object_get(sure, "sure")) <=
                json_integer_value(json_object_get(sure, "even_or_more")));
    assert_int_equal(json_integer_value(json_object_get(repeats, "recordings")), 2);
    assert_int_equal(json_integer_value(json_object_get(repeats, "even_or_more")), 0);
    json_decref(report);
    cli_result_done(&r);
    scratch_done(&s);
}

static void it_counts_draws_and_writes(void **state)
{
    (void)state;
    scratch s = laboratory(list);
    char table[256];
    scratch_path(&s, "measures.tsv", table, sizeof table);
    cli_result r = cli_run(CLI_ARGS("spoof-report", s.path, "--json", "--plots", s.path, "--measures", table));
    assert_int_equal(r.status, CLI_OK);
    json_t *report = json_loads(cli_text(&r.out), 0, NULL);
    assert_non_null(report);
    assert_int_equal(json_integer_value(json_object_get(report, "speakers")), 2);
    const json_t *plain = kind_of(report, "plain"), *mp3 = kind_of(report, "repeat_mp3");
    assert_int_equal(json_integer_value(json_object_get(plain, "recordings")), 4);
    assert_int_equal(json_integer_value(json_object_get(mp3, "recordings")), 2);
    assert_int_equal(json_integer_value(json_object_get(mp3, "unread")), 1);
    /* The layer of replays knows the recodings of what it heard from everything that it did not. */
    const json_t *replay = json_object_get(json_object_get(kind_of(report, "repeat_recode"), "layers"), "replay");
    assert_int_equal(json_integer_value(json_object_get(replay, "attacks")), 1);
    json_decref(report);
    assert_true(scratch_holds(&s, "pava_det.svg", "</svg>", 6));
    assert_true(scratch_holds(&s, "pava_scores.svg", "living", 6));
    assert_true(scratch_holds(&s, "measures.tsv", "playback.low_edge_hz", 20));
    vx_buf lines = scratch_read(&s, "measures.tsv");
    assert_int_equal(cli_count_lines(&lines), 7); /* heading, and what could be read */
    vx_buf_done(&lines);
    cli_result_done(&r);
    scratch_done(&s);
}

static void people_get_a_table(void **state)
{
    (void)state;
    scratch s = laboratory(list);
    cli_result r = cli_run(CLI_ARGS("spoof-report", s.path));
    assert_int_equal(r.status, CLI_OK);
    assert_non_null(strstr(cli_text(&r.out), "repeat_recode *"));
    assert_non_null(strstr(cli_text(&r.out), "all that are held out"));
    assert_non_null(strstr(cli_text(&r.out), "no answer (BPNRR, APNRR)"));
    assert_non_null(strstr(cli_text(&r.out), "all the living"));
    cli_result_done(&r);
    scratch_done(&s);
}

#define ATTACK(n) LINE("a.wav", "1", "group" n, "kind" n, "0", "s", "o")

static void a_bad_list_is_refused_by_its_line(void **state)
{
    static const struct {
        const char *list, *says;
    } cases[] = {
        {"", "it lists no recording"},
        {HEADING, "it lists no recording"},
        {"path\tspoof\nx.wav\t0\n", "no column group"},
        {HEADING "a.wav\t0\tbonafide\n", "too few columns"},
        {HEADING LINE("a.wav", "2", "g", "k", "0", "s", "o"), "0 or 1"},
        {HEADING LINE("../a.wav", "0", "g", "k", "0", "s", "o"), "below the folder"},
        {HEADING LINE("/etc/passwd", "0", "g", "k", "0", "s", "o"), "below the folder"},
        {HEADING LINE("", "0", "g", "k", "0", "s", "o"), "below the folder"},
        {HEADING ATTACK("1") ATTACK("2") ATTACK("3") ATTACK("4") ATTACK("5") ATTACK("6") ATTACK("7") ATTACK("8")
             ATTACK("9") ATTACK("10") ATTACK("11") ATTACK("12"),
         "more than 11 groups of attacks"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch s = laboratory(cases[i].list);
        cli_result r = cli_run(CLI_ARGS("spoof-report", s.path));
        if (r.status == CLI_OK || !strstr(cli_text(&r.err), cases[i].says))
            fail_msg("case %zu: status %d, %s", i, r.status, cli_text(&r.err));
        cli_result_done(&r);
        scratch_done(&s);
    }
    cli_result r = cli_run(CLI_ARGS("spoof-report", "/nonexistent"));
    assert_int_equal(r.status, CLI_BAD_FILE);
    cli_result_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_draws_and_writes),
        cmocka_unit_test(what_the_lock_would_do_is_counted),
        cmocka_unit_test(people_get_a_table),
        cmocka_unit_test(a_bad_list_is_refused_by_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
