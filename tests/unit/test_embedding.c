/* test_embedding.c - normalisation, cosine and digests of speaker embeddings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "shared/engine/embedding.h"

#define DIM 192

static const vx_model_digest model_a = {.bytes = {0x01, 0xab, [31] = 0xff}};
static const vx_model_digest model_b = {.bytes = {0x01, 0xab, [31] = 0xfe}};
static const char model_a_text[] = "sha256:01ab0000000000000000000000000000000000000000000000000000000000ff";

/* A vector without symmetry, so that an index gone wrong shows. */
static void fill(float *raw, int dim, float scale)
{
    for (int i = 0; i < dim; i++)
        raw[i] = scale * (float)(1 + i * i % 17 - i % 5);
}

static void test_length_is_one(void **state)
{
    static const struct {
        int dim;
        float scale;
    } cases[] = {{1, 1.0f}, {DIM, 1.0f}, {DIM, -3e-9f}, {DIM, 1e36f}, {VX_EMBEDDING_MAX_DIM, 7.0f}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float raw[VX_EMBEDDING_MAX_DIM] = {0};
        vx_embedding e;
        double sum = 0.0;

        fill(raw, cases[c].dim, cases[c].scale);
        memset(&e, 0x55, sizeof e);
        assert_int_equal(vx_embedding_from_raw(&model_a, raw, cases[c].dim, &e), VX_OK);
        assert_int_equal(e.dim, cases[c].dim);
        assert_true(vx_model_digest_equal(&e.model, &model_a));
        for (int i = 0; i < e.dim; i++) {
            sum += (double)e.values[i] * e.values[i];
            assert_true(signbit(e.values[i]) == signbit(raw[i]) || raw[i] == 0.0f);
        }
        /* Each value is rounded once: the relative error of the sum of squares stays below 2 half ulps. */
        assert_true(fabs(sum - 1.0) <= FLT_EPSILON);
        for (int i = e.dim; i < VX_EMBEDDING_MAX_DIM; i++)
            assert_true(e.values[i] == 0.0f);
    }
}

static void test_unusable_vectors(void **state)
{
    static const struct {
        int dim;
        float last;
        vx_err expected;
    } cases[] = {
        {0, 1.0f, VX_ERR_ARG},      {-1, 1.0f, VX_ERR_ARG},         {VX_EMBEDDING_MAX_DIM + 1, 1.0f, VX_ERR_ARG},
        {DIM, NAN, VX_ERR_ENGINE},  {DIM, INFINITY, VX_ERR_ENGINE}, {DIM, -INFINITY, VX_ERR_ENGINE},
        {DIM, 0.0f, VX_ERR_ENGINE}, {DIM, 9e-13f, VX_ERR_ENGINE},   {DIM, 2e-12f, VX_OK},
        {DIM, FLT_MAX, VX_OK},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float raw[VX_EMBEDDING_MAX_DIM + 1] = {0};
        vx_embedding e, before;

        memset(&e, 0x55, sizeof e);
        before = e;
        raw[cases[c].dim > 0 ? cases[c].dim - 1 : 0] = cases[c].last;
        assert_int_equal(vx_embedding_from_raw(&model_a, raw, cases[c].dim, &e), cases[c].expected);
        if (cases[c].expected)
            assert_memory_equal(&e, &before, sizeof e);
    }
}

static void test_normalises_in_place(void **state)
{
    vx_embedding e = {.dim = 2, .values = {3.0f, 4.0f}};

    (void)state;
    assert_int_equal(vx_embedding_from_raw(&model_a, e.values, 2, &e), VX_OK);
    assert_true(e.values[0] == 0.6f && e.values[1] == 0.8f);
}

static vx_embedding make(const vx_model_digest *model, float x, float y)
{
    const float raw[2] = {x, y};
    vx_embedding e;

    assert_int_equal(vx_embedding_from_raw(model, raw, 2, &e), VX_OK);
    return e;
}

static void test_cosine(void **state)
{
    static const struct {
        float x, y;
        double expected;
    } cases[] = {
        {5.0f, 0.0f, 1.0}, {-2.0f, 0.0f, -1.0}, {0.0f, 3.0f, 0.0}, {1.0f, 1.0f, 0.70710678}, {3.0f, -4.0f, 0.6}};
    const vx_embedding axis = make(&model_a, 1.0f, 0.0f);

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_embedding e = make(&model_a, cases[c].x, cases[c].y);
        double forth = 7.0, back = 7.0;

        assert_int_equal(vx_embedding_cosine(&axis, &e, &forth), VX_OK);
        assert_int_equal(vx_embedding_cosine(&e, &axis, &back), VX_OK);
        assert_true(fabs(forth - cases[c].expected) <= FLT_EPSILON);
        assert_true(forth == back);
    }
}

/* Values rounded to float give squares that sum to a little more than 1 for many vectors: all must be clamped. */
static void test_cosine_stays_in_range(void **state)
{
    int above = 0;

    (void)state;
    for (int n = 1; n <= 200; n++) {
        float raw[DIM];
        vx_embedding e, opposite;
        double sum = 0.0, same = 7.0, inverse = 7.0;

        for (int i = 0; i < DIM; i++)
            raw[i] = (float)((i * 7919 + n * 104729) % 1009) - 504.0f;
        assert_int_equal(vx_embedding_from_raw(&model_a, raw, DIM, &e), VX_OK);
        opposite = e;
        for (int i = 0; i < DIM; i++) {
            opposite.values[i] = -e.values[i];
            sum += (double)e.values[i] * e.values[i];
        }
        above += sum > 1.0;
        assert_int_equal(vx_embedding_cosine(&e, &e, &same), VX_OK);
        assert_int_equal(vx_embedding_cosine(&e, &opposite, &inverse), VX_OK);
        assert_true(same <= 1.0 && same > 1.0 - FLT_EPSILON);
        assert_true(inverse >= -1.0 && inverse < -1.0 + FLT_EPSILON);
    }
    assert_true(above > 0);
}

/* A number that is none must not become likeness: fmin(1, NaN) is 1. */
static void test_cosine_of_no_numbers(void **state)
{
    (void)state;
    static const float spoilt[] = {NAN, INFINITY, -INFINITY};
    const vx_model_digest model = {{7}};
    float raw[4] = {1, 2, 3, 4};
    vx_embedding a, b;
    assert_int_equal(vx_embedding_from_raw(&model, raw, 4, &a), VX_OK);
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        double cosine = 0.25;
        b = a;
        b.values[2] = spoilt[i];
        assert_int_equal(vx_embedding_cosine(&a, &b, &cosine), VX_ERR_ENGINE);
        assert_true(cosine == 0.25);
    }
}

static void test_models_are_not_mixed(void **state)
{
    const vx_embedding a = make(&model_a, 1.0f, 0.0f), b = make(&model_b, 1.0f, 0.0f);
    const float raw[3] = {1.0f, 0.0f, 0.0f};
    vx_embedding longer;
    double cosine = 7.0;

    (void)state;
    assert_int_equal(vx_embedding_from_raw(&model_a, raw, 3, &longer), VX_OK);
    assert_int_equal(vx_embedding_cosine(&a, &b, &cosine), VX_ERR_MODEL_MISMATCH);
    assert_int_equal(vx_embedding_cosine(&a, &longer, &cosine), VX_ERR_MODEL_MISMATCH);
    assert_true(cosine == 7.0);
}

static void test_digest_text(void **state)
{
    char text[VX_DIGEST_TEXT];
    vx_model_digest digest;

    (void)state;
    vx_model_digest_text(&model_a, text);
    assert_string_equal(text, model_a_text);
    assert_int_equal(vx_model_digest_parse(text, &digest), VX_OK);
    assert_true(vx_model_digest_equal(&digest, &model_a));
    assert_false(vx_model_digest_equal(&digest, &model_b));
}

static void test_digest_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "sha256:",
        "01ab0000000000000000000000000000000000000000000000000000000000ff",
        "SHA256:01ab0000000000000000000000000000000000000000000000000000000000ff",
        "sha256:01ab0000000000000000000000000000000000000000000000000000000000f",
        "sha256:01ab0000000000000000000000000000000000000000000000000000000000ff0",
        "sha256:01ab0000000000000000000000000000000000000000000000000000000000fg",
        "sha256: 1ab0000000000000000000000000000000000000000000000000000000000ff",
        "sha512:01ab0000000000000000000000000000000000000000000000000000000000ff",
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_model_digest digest = model_b;

        assert_int_equal(vx_model_digest_parse(cases[c], &digest), VX_ERR_RANGE);
        assert_true(vx_model_digest_equal(&digest, &model_b));
    }
}

static void test_wipe(void **state)
{
    static const vx_embedding zero;
    vx_embedding e = make(&model_a, 1.0f, 2.0f);

    (void)state;
    vx_embedding_wipe(&e);
    assert_memory_equal(&e, &zero, sizeof e);
    vx_embedding_wipe(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_is_one),         cmocka_unit_test(test_unusable_vectors),
        cmocka_unit_test(test_normalises_in_place),   cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_cosine_stays_in_range), cmocka_unit_test(test_cosine_of_no_numbers),
        cmocka_unit_test(test_models_are_not_mixed),  cmocka_unit_test(test_digest_text),
        cmocka_unit_test(test_digest_refused),        cmocka_unit_test(test_wipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
