/* test_score.c - voiceprint and utterance: cases worked out by hand, an oracle written in another way, and what must hold
 * of every score: strangers gain nothing by more exemplars, and normalisation only takes away.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/engine/engine.h"
#include "shared/engine/score.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"

enum { DIM = 8, CROWD = 60, TOP = 12, MOST = 10, MANY_DIM = 24 };
#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-6)

static const vx_score_conditions heard = {.speech_s = 2.0, .snr_db = 25.0};
static const double speech_s[MOST] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

static vx_embedding embedding(const float *raw, int dim)
{
    vx_model_digest model;
    vx_embedding e;
    memset(model.bytes, 7, sizeof model.bytes);
    assert_int_equal(vx_embedding_from_raw(&model, raw, dim, &e), VX_OK);
    return e;
}

/* A vector in the plane of two axes, at an angle in degrees from the first. */
static vx_embedding at(int axis, double degrees)
{
    float raw[DIM] = {0};
    raw[axis] = (float)cos(degrees * 3.14159265358979 / 180);
    raw[axis + 1] = (float)sin(degrees * 3.14159265358979 / 180);
    return embedding(raw, DIM);
}

static vx_manifest manifest_of(int dim, int crowd)
{
    vx_manifest m = {.dim = dim, .cohort_count = crowd};
    memset(m.digest.bytes, 7, sizeof m.digest.bytes);
    return m;
}

static vx_cohort crowd_of(float *values, int n, int dim, int top, double floor)
{
    vx_cohort c = {.n = n, .dim = dim, .top = top, .floor = floor, .values = values};
    memset(c.model.bytes, 7, sizeof c.model.bytes);
    return c;
}

static const vx_cohort nobody;

/* ---- by hand ---- */

static void test_without_a_cohort(void **state)
{
    static const struct {
        const char *what;
        double exemplars[3]; /* degrees from the utterance, in one plane; 999 ends them */
        size_t best;
        double cosine, normalised;
    } cases[] = {
        {"one", {60, 999}, 0, 0.5, 0.5},
        {"the same one", {0, 999}, 0, 1, 1},
        {"the opposite", {180, 999}, 0, -1, -1},
        {"two alike", {60, 60, 999}, 0, 0.5, 0.5},
        {"the best is the second, and little above the mean", {60, 59, 999}, 1, 0.515038075, 0.515038075},
        {"the best is far above the mean: 1/3 + 0.02", {90, 90, 0}, 2, 1, 0.353333333},
        {"they cancel out", {0, 180, 999}, 0, 1, 0.02},
    };
    const vx_manifest m = manifest_of(DIM, 0);
    const vx_embedding utterance = at(0, 0);
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_embedding exemplars[3];
        vx_score s;
        size_t n = 0;
        while (n < 3 && cases[c].exemplars[n] < 999) {
            exemplars[n] = at(0, cases[c].exemplars[n]);
            n++;
        }
        const vx_template enrolled = {exemplars, speech_s, n};
        print_message("# %s\n", cases[c].what);
        assert_int_equal(vx_score_compare(&m, &nobody, NULL, &enrolled, &utterance, &heard, &s), VX_OK);
        assert_int_equal(s.best, cases[c].best);
        NEAR(s.cosine, cases[c].cosine);
        NEAR(s.normalised, cases[c].normalised);
        assert_false(s.calibrated);
        assert_true(s.llr == 0 && s.probability == 0.5);
    }
}

/* Four strangers, the two nearest count, 0.3 is usual. The axes: utterance and first exemplar in one plane. */
static void test_with_strangers(void **state)
{
    float values[4 * DIM] = {0};
    const vx_embedding strangers[4] = {at(0, 0), at(0, 60), at(4, 0), at(6, 0)};
    const vx_manifest m = manifest_of(DIM, 4);
    const vx_cohort crowd = crowd_of(values, 4, DIM, 2, 0.3);
    const double half = 0.5, root = 0.866025404; /* cos 60, cos 30 */
    vx_score s;
    (void)state;
    for (int i = 0; i < 4; i++)
        memcpy(values + i * DIM, strangers[i].values, DIM * sizeof *values);

    /* Exemplar at 30: cosines to strangers cos 30, cos 30, 0, 0. Utterance at 0: 1, cos 60, 0, 0. */
    const vx_embedding one[1] = {at(0, 30)}, utterance = at(0, 0);
    const vx_template single = {one, speech_s, 1};
    assert_int_equal(vx_score_compare(&m, &crowd, NULL, &single, &utterance, &heard, &s), VX_OK);
    NEAR(s.cosine, root);
    NEAR(s.normalised, root - ((root - 0.3) + ((1 + half) / 2 - 0.3)) / 2);

    /* Two exemplars, each near strangers of its own: each sees (1, 0) or (cos 60, ...) alone, the best of both sees more.
     * Exemplar at axis 4: cosines 0, 0, 1, 0, so 0.5 on average; at axis 6 the same; the best of both 1. */
    const vx_embedding two[2] = {at(4, 0), at(6, 0)}, away = at(2, 0);
    const vx_template pair = {two, speech_s, 2};
    assert_int_equal(vx_score_compare(&m, &crowd, NULL, &pair, &away, &heard, &s), VX_OK);
    NEAR(s.cosine, 0);
    NEAR(s.cosine_centroid, 0);
    NEAR(s.normalised, 0 - (1 - half) - ((half - 0.3) + 0) / 2);

    /* Whom no stranger is near keeps the cosine: nothing is added. */
    const vx_embedding alone[1] = {at(2, 0)};
    const vx_template far = {alone, speech_s, 1};
    assert_int_equal(vx_score_compare(&m, &crowd, NULL, &far, &away, &heard, &s), VX_OK);
    NEAR(s.cosine, 1);
    NEAR(s.normalised, 1);
}

/* ---- against another way of writing it ---- */

static double uniform(uint64_t *seed)
{
    return (double)(stats_random(seed) >> 11) / 9007199254740992.0;
}

static double gauss(uint64_t *seed)
{
    return sqrt(-2 * log(1 - uniform(seed))) * cos(6.283185307179586 * uniform(seed));
}

/* A recording of a voice in a channel that all share: vectors of one voice lie together, and all lie to one side. */
static vx_embedding spoken(const double *voice, double channel, double noise, uint64_t *seed)
{
    float raw[MANY_DIM];
    for (int k = 0; k < MANY_DIM; k++)
        raw[k] = (float)(voice[k] + noise * gauss(seed) + (k == 0 ? channel : 0));
    return embedding(raw, MANY_DIM);
}

static void draw_voice(double *ret_voice, uint64_t *seed)
{
    for (int k = 0; k < MANY_DIM; k++)
        ret_voice[k] = gauss(seed);
}

static vx_cohort draw_crowd(float *values, double channel, double floor, uint64_t *seed)
{
    double voice[MANY_DIM];
    for (int i = 0; i < CROWD; i++) {
        draw_voice(voice, seed);
        const vx_embedding e = spoken(voice, channel, 1, seed);
        memcpy(values + i * MANY_DIM, e.values, MANY_DIM * sizeof *values);
    }
    return crowd_of(values, CROWD, MANY_DIM, TOP, floor);
}

/* The mean of the greatest, by taking the greatest away again and again. */
static double mean_of_greatest(const double *values, int n, int top)
{
    bool gone[CROWD] = {false};
    double sum = 0;
    for (int t = 0; t < top; t++) {
        int greatest = -1;
        for (int i = 0; i < n; i++)
            if (!gone[i] && (greatest < 0 || values[i] > values[greatest]))
                greatest = i;
        gone[greatest] = true;
        sum += values[greatest];
    }
    return sum / top;
}

static double oracle(const vx_cohort *c, const vx_embedding *exemplars, size_t n, const vx_embedding *utterance)
{
    double best[CROWD], each[CROWD], to_utterance[CROWD], cosine = -2, alone = 0;
    for (size_t e = 0; e <= n; e++) {
        const vx_embedding *x = e < n ? &exemplars[e] : utterance;
        double dot = 0;
        for (int i = 0; i < c->n; i++) {
            double sum = 0;
            for (int k = 0; k < c->dim; k++)
                sum += (double)c->values[i * c->dim + k] * (double)x->values[k];
            *(e < n ? &each[i] : &to_utterance[i]) = sum;
            if (e < n)
                best[i] = e == 0 || sum > best[i] ? sum : best[i];
        }
        if (e == n)
            break;
        for (int k = 0; k < c->dim; k++)
            dot += (double)x->values[k] * (double)utterance->values[k];
        cosine = fmax(cosine, dot);
        alone += mean_of_greatest(each, c->n, c->top) / (double)n;
    }
    const double over_template = fmax(0, alone - c->floor);
    const double over_utterance = fmax(0, mean_of_greatest(to_utterance, c->n, c->top) - c->floor);
    return cosine - (mean_of_greatest(best, c->n, c->top) - alone) - (over_template + over_utterance) / 2;
}

static void test_matches_the_oracle(void **state)
{
    float values[CROWD * MANY_DIM];
    double voice[MANY_DIM], other[MANY_DIM];
    uint64_t seed = 21;
    const vx_manifest m = manifest_of(MANY_DIM, CROWD);
    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        const vx_cohort crowd = draw_crowd(values, 2, uniform(&seed) * 0.8, &seed);
        const size_t n = 1 + (size_t)(uniform(&seed) * MOST);
        vx_embedding exemplars[MOST];
        vx_score s;
        draw_voice(voice, &seed);
        draw_voice(other, &seed);
        for (size_t e = 0; e < n; e++)
            exemplars[e] = spoken(voice, 2, 0.7, &seed);
        const vx_embedding utterance = spoken(round % 2 ? voice : other, 2, 0.7, &seed);
        const vx_template enrolled = {exemplars, speech_s, n};
        assert_int_equal(vx_score_compare(&m, &crowd, NULL, &enrolled, &utterance, &heard, &s), VX_OK);
        NEAR(s.normalised, oracle(&crowd, exemplars, n, &utterance));
        assert_true(s.normalised <= s.cosine + 1e-12 && s.best < n);

        /* The same exemplar twice says nothing new. */
        vx_embedding twice[2] = {exemplars[0], exemplars[0]};
        vx_score once;
        const vx_template one = {exemplars, speech_s, 1}, doubled = {twice, speech_s, 2};
        assert_int_equal(vx_score_compare(&m, &crowd, NULL, &one, &utterance, &heard, &once), VX_OK);
        assert_int_equal(vx_score_compare(&m, &crowd, NULL, &doubled, &utterance, &heard, &s), VX_OK);
        NEAR(s.normalised, once.normalised);
    }
}

/* ---- what it is for ---- */

/* Share of strangers above the threshold; threshold NAN: the score that one in ten reaches. */
static double accepted(const vx_cohort *crowd, size_t n_exemplars, bool normalised, double *threshold)
{
    enum { TRIALS = 2000 };
    static double scores[TRIALS];
    double voice[MANY_DIM], other[MANY_DIM];
    uint64_t seed = 22;
    size_t above = 0;
    const vx_manifest m = manifest_of(MANY_DIM, CROWD);
    for (int i = 0; i < TRIALS; i++) {
        vx_embedding exemplars[MOST];
        vx_score s;
        draw_voice(voice, &seed);
        draw_voice(other, &seed);
        for (size_t e = 0; e < MOST; e++)
            exemplars[e] = spoken(voice, 2, 1, &seed);
        const vx_embedding utterance = spoken(other, 2, 1, &seed);
        const vx_template enrolled = {exemplars, speech_s, n_exemplars};
        assert_int_equal(vx_score_compare(&m, crowd, NULL, &enrolled, &utterance, &heard, &s), VX_OK);
        scores[i] = normalised ? s.normalised : s.cosine;
    }
    if (isnan(*threshold)) {
        stats_sort(scores, TRIALS);
        *threshold = stats_quantile(scores, TRIALS, 0.9);
    }
    for (int i = 0; i < TRIALS; i++)
        above += scores[i] > *threshold;
    return (double)above / TRIALS;
}

/* The standard error of a share of 0.1 over 2,000 trials is 0.007. */
static void test_exemplars_do_not_let_strangers_in(void **state)
{
    float values[CROWD * MANY_DIM];
    uint64_t seed = 23;
    (void)state;
    print_message("# seeds 22, %llu\n", (unsigned long long)seed);
    const vx_cohort crowd = draw_crowd(values, 2, 0.3, &seed);
    double of_cosine = NAN, of_score = NAN;
    for (size_t n = 1; n <= MOST; n += 3) {
        const double by_cosine = accepted(&crowd, n, false, &of_cosine),
                     by_score = accepted(&crowd, n, true, &of_score);
        print_message("# %zu exemplars: %.3f by the best cosine, %.3f by the score\n", n, by_cosine, by_score);
        assert_true(by_score < 0.125);
        /* The fault is there to be mended. */
        assert_true(n < MOST || by_cosine > 0.2);
    }
}

/* ---- calibration and features ---- */

static void test_calibration_is_taken_from(void **state)
{
    const vx_embedding exemplar = at(0, 60), utterance = at(0, 0);
    const vx_template enrolled = {&exemplar, speech_s, 1};
    const vx_calibration own = {.weights = {-1, 4, 0, 0, 0}};
    vx_manifest m = manifest_of(DIM, 0);
    vx_score s;
    (void)state;
    m.score_calibration = (vx_calibration){.weights = {-2, 2, 3, 5, 7}};
    assert_int_equal(vx_score_compare(&m, &nobody, NULL, &enrolled, &utterance, &heard, &s), VX_OK);
    assert_false(s.calibrated);
    m.score_calibrated = true;
    assert_int_equal(vx_score_compare(&m, &nobody, NULL, &enrolled, &utterance, &heard, &s), VX_OK);
    assert_true(s.calibrated);
    NEAR(s.llr, -2 + 2 * 0.5 + 3 * log(1.0) + 5 * log(2.0) + 7 * 2.5);
    NEAR(s.probability, 1 / (1 + exp(-s.llr)));
    assert_int_equal(vx_score_compare(&m, &nobody, &own, &enrolled, &utterance, &heard, &s), VX_OK);
    assert_true(s.calibrated);
    NEAR(s.llr, -1 + 4 * 0.5);
}

static void test_features(void **state)
{
    static const struct {
        double enrolled_s, speech_s, snr_db, enrolled, utterance, snr;
    } cases[] = {
        {1, 2.718281828459045, 15, 0, 1, 1.5},
        {0, 0, -20, -2.302585093, -2.302585093, 0},
        {1e9, 1e9, 60, 4.094344562, 4.094344562, 4},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const vx_score s = {.cosine = 0.9, .normalised = 0.4};
        const vx_score_conditions conditions = {cases[c].speech_s, cases[c].snr_db};
        double x[VX_SCORE_FEATURES];
        vx_score_features(&s, cases[c].enrolled_s, &conditions, x);
        assert_true(x[VX_FEATURE_ONE] == 1 && x[VX_FEATURE_SCORE] == 0.4);
        NEAR(x[VX_FEATURE_ENROLLED], cases[c].enrolled);
        NEAR(x[VX_FEATURE_UTTERANCE], cases[c].utterance);
        NEAR(x[VX_FEATURE_SNR], cases[c].snr);
    }
}

/* ---- refusals ---- */

typedef struct {
    vx_manifest manifest;
    vx_cohort cohort;
    vx_embedding exemplars[2], utterance;
    double speech_s[2];
    size_t n;
    vx_score_conditions conditions;
} comparison;

static void no_exemplar(comparison *c)
{
    c->n = 0;
}
static void exemplar_of_another_model(comparison *c)
{
    c->exemplars[1].model.bytes[31] ^= 1;
}
static void utterance_of_another_model(comparison *c)
{
    c->utterance.model.bytes[0] ^= 1;
}
static void cohort_of_another_model(comparison *c)
{
    c->cohort.model.bytes[5] ^= 1;
}
static void manifest_of_another_model(comparison *c)
{
    c->manifest.digest.bytes[5] ^= 1;
}
static void exemplar_too_long(comparison *c)
{
    c->exemplars[0].dim = DIM + 1;
}
static void utterance_too_short(comparison *c)
{
    c->utterance.dim = DIM - 1;
}
static void cohort_too_long(comparison *c)
{
    c->cohort.dim = DIM + 1;
}
static void cohort_left_out(comparison *c)
{
    c->cohort = nobody;
}
static void cohort_not_stated(comparison *c)
{
    c->manifest.cohort_count = 0;
}
static void exemplar_nan(comparison *c)
{
    c->exemplars[1].values[DIM - 1] = NAN;
}
static void exemplar_infinite(comparison *c)
{
    c->exemplars[0].values[0] = INFINITY;
}
static void utterance_nan(comparison *c)
{
    c->utterance.values[3] = NAN;
}
static void time_below_0(comparison *c)
{
    c->conditions.speech_s = -1;
}
static void time_nan(comparison *c)
{
    c->conditions.speech_s = NAN;
}
static void time_infinite(comparison *c)
{
    c->conditions.speech_s = INFINITY;
}
static void noise_nan(comparison *c)
{
    c->conditions.snr_db = NAN;
}
static void enrolled_time_nan(comparison *c)
{
    c->speech_s[1] = NAN;
}
static void enrolled_time_below_0(comparison *c)
{
    c->speech_s[0] = -0.5;
}

static void test_refuses(void **state)
{
    static const struct {
        void (*spoil)(comparison *c);
        vx_err expected;
    } cases[] = {
        {NULL, VX_OK},
        {no_exemplar, VX_ERR_ARG},
        {exemplar_of_another_model, VX_ERR_MODEL_MISMATCH},
        {utterance_of_another_model, VX_ERR_MODEL_MISMATCH},
        {cohort_of_another_model, VX_ERR_MODEL_MISMATCH},
        {manifest_of_another_model, VX_ERR_MODEL_MISMATCH},
        {exemplar_too_long, VX_ERR_MODEL_MISMATCH},
        {utterance_too_short, VX_ERR_MODEL_MISMATCH},
        {cohort_too_long, VX_ERR_MODEL_MISMATCH},
        {cohort_left_out, VX_ERR_MODEL_MISMATCH},
        {cohort_not_stated, VX_ERR_MODEL_MISMATCH},
        {exemplar_nan, VX_ERR_RANGE},
        {exemplar_infinite, VX_ERR_RANGE},
        {utterance_nan, VX_ERR_RANGE},
        {time_below_0, VX_ERR_RANGE},
        {time_nan, VX_ERR_RANGE},
        {time_infinite, VX_ERR_RANGE},
        {noise_nan, VX_ERR_RANGE},
        {enrolled_time_nan, VX_ERR_RANGE},
        {enrolled_time_below_0, VX_ERR_RANGE},
    };
    float values[2 * DIM] = {[0] = 1, [DIM] = 1};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        comparison c = {
            manifest_of(DIM, 2), crowd_of(values, 2, DIM, 2, 0), {at(0, 10), at(0, 20)}, at(0, 0), {1, 1}, 2, heard};
        vx_score s, before;
        memset(&s, 0x55, sizeof s);
        before = s;
        if (cases[i].spoil)
            cases[i].spoil(&c);
        const vx_template enrolled = {c.exemplars, c.speech_s, c.n};
        const vx_err err = vx_score_compare(&c.manifest, &c.cohort, NULL, &enrolled, &c.utterance, &c.conditions, &s);
        if (err != cases[i].expected)
            fail_msg("case %zu: %s", i, vx_err_code(err));
        assert_true(err == VX_OK || memcmp(&s, &before, sizeof s) == 0);
    }
}

static vx_err attempt_compare(void *ctx)
{
    const comparison *c = ctx;
    const vx_template enrolled = {c->exemplars, c->speech_s, c->n};
    vx_score s;
    return vx_score_compare(&c->manifest, &c->cohort, NULL, &enrolled, &c->utterance, &c->conditions, &s);
}

static void test_every_allocation_may_fail(void **state)
{
    float values[2 * DIM] = {[0] = 1, [DIM] = 1};
    comparison c = {
        manifest_of(DIM, 2), crowd_of(values, 2, DIM, 2, 0), {at(0, 10), at(0, 20)}, at(0, 0), {1, 1}, 2, heard};
    (void)state;
    vx_alloc_fail_each(attempt_compare, &c);
}

/* ---- real voices ---- */

static vx_embedding of_clip(vx_engine *engine, const char *name)
{
    vx_audio audio = clip_audio(name);
    vx_embedding e;
    assert_int_equal(vx_engine_embed(engine, audio.samples, audio.n, &e, NULL, NULL), VX_OK);
    vx_audio_done(&audio);
    return e;
}

static void test_starter_tells_two_readers_apart(void **state)
{
    const vx_engine_options options = vx_engine_options_default();
    vx_engine *engine;
    vx_manifest m;
    vx_cohort crowd;
    vx_score same, other;
    (void)state;
    assert_int_equal(vx_engine_open("models/starter", &options, &engine, NULL), VX_OK);
    assert_int_equal(vx_manifest_read("models/starter", &m, NULL), VX_OK);
    assert_int_equal(vx_cohort_open("models/starter", &m, &crowd, NULL), VX_OK);
    const vx_embedding exemplars[3] = {of_clip(engine, "reader1_a.flac"), of_clip(engine, "reader1_b.flac"),
                                       of_clip(engine, "reader1_c.flac")};
    const vx_embedding again = of_clip(engine, "reader1_d.flac"), stranger = of_clip(engine, "reader2_a.flac");
    const vx_template enrolled = {exemplars, speech_s, 3};
    assert_int_equal(vx_score_compare(&m, &crowd, NULL, &enrolled, &again, &heard, &same), VX_OK);
    assert_int_equal(vx_score_compare(&m, &crowd, NULL, &enrolled, &stranger, &heard, &other), VX_OK);
    print_message("# the same reader %.3f, another one %.3f\n", same.probability, other.probability);
    assert_true(same.calibrated && same.probability > 0.7 && same.llr > 0);
    assert_true(other.calibrated && other.probability < 0.1 && other.llr < 0);
    vx_cohort_close(&crowd);
    vx_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_cohort),
        cmocka_unit_test(test_with_strangers),
        cmocka_unit_test(test_matches_the_oracle),
        cmocka_unit_test(test_exemplars_do_not_let_strangers_in),
        cmocka_unit_test(test_calibration_is_taken_from),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_starter_tells_two_readers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
