/* test_cohort.c - the strangers of a model folder: those of the starter open, and no file is believed that was not
 * written for this model.
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
#include <jansson.h>

#include "shared/base/bytes.h"
#include "shared/base/sha256.h"
#include "shared/engine/score.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"

#define STARTER "models/starter"
#define GOLDEN  "tests/data/golden/model"
#define FILE_   "crowd.safetensors"
enum { N = 3, DIM = 4, DIGEST = VX_SHA256_BYTES };

/* ---- a file as cohort.py writes it, and what spoils it ---- */

typedef struct {
    const char *what;
    const char *header; /* NULL: right */
    float scale;        /* of the second vector; 1 is right */
    float first;        /* added to its first number */
    uint8_t model;      /* added to the first byte of the digest */
    size_t cut;         /* bytes missing at the end */
    int count, dim;     /* the manifest's */
    vx_err expected;
} spoilt;

#define HEADER                                                                                                         \
    "{\"cohort\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]},"                                         \
    "\"model\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[48,80]}}"

/* Writes the file, and into ret_manifest what a manifest would say of it. */
static void put(const model_copy *folder, const spoilt *s, vx_manifest *ret_manifest)
{
    static const float vectors[N][DIM] = {{1, 0, 0, 0}, {0, 0.6f, 0.8f, 0}, {0.5f, -0.5f, 0.5f, -0.5f}};
    vx_manifest m = {.dim = s->dim, .cohort_count = s->count, .cohort_top = 2, .cohort_floor = 0.25};
    const char *header = s->header ? s->header : HEADER;
    uint8_t file[512] = {0}, digest[DIGEST];
    const size_t len = (strlen(header) + 7) / 8 * 8;
    float rows[N][DIM];
    memcpy(rows, vectors, sizeof rows);
    for (int k = 0; k < DIM; k++)
        rows[1][k] *= s->scale;
    rows[1][0] += s->first;
    memset(m.digest.bytes, 7, DIGEST);
    memset(digest, 7, DIGEST);
    digest[0] = (uint8_t)(digest[0] + s->model);
    file[0] = (uint8_t)len;
    memset(file + 8, ' ', len);
    memcpy(file + 8, header, strlen(header));
    memcpy(file + 8 + len, rows, sizeof rows);
    memcpy(file + 8 + len + sizeof rows, digest, DIGEST);
    m.cohort.bytes = 8 + len + sizeof rows + DIGEST - s->cut;
    assert_int_equal(vx_sha256_of(file, m.cohort.bytes, m.cohort.sha256), VX_OK);
    snprintf(m.cohort.file, sizeof m.cohort.file, "%s", FILE_);
    model_copy_put(folder, FILE_, file, m.cohort.bytes);
    *ret_manifest = m;
}

static const spoilt right = {"right", NULL, 1, 0, 0, 0, N, DIM, VX_OK};

static void test_opens(void **state)
{
    model_copy folder = model_copy_empty();
    vx_manifest m;
    vx_cohort cohort;
    vx_errinfo info = {0};
    (void)state;
    put(&folder, &right, &m);
    assert_int_equal(vx_cohort_open(folder.path, &m, &cohort, &info), VX_OK);
    assert_int_equal(cohort.n, N);
    assert_int_equal(cohort.dim, DIM);
    assert_int_equal(cohort.top, 2);
    assert_true(cohort.floor == 0.25);
    assert_memory_equal(cohort.model.bytes, m.digest.bytes, DIGEST);
    assert_true(cohort.values[0] == 1 && cohort.values[6] == 0.8f && cohort.values[11] == -0.5f);
    vx_cohort_close(&cohort);
    assert_null(cohort.values);
    vx_cohort_close(&cohort);
    vx_cohort_close(NULL);

    /* As many as there are, at most. */
    m.cohort_top = 100;
    assert_int_equal(vx_cohort_open(folder.path, &m, &cohort, &info), VX_OK);
    assert_int_equal(cohort.top, N);
    vx_cohort_close(&cohort);
    model_copy_drop(&folder, FILE_);
    model_copy_done(&folder);
}

static void test_refuses(void **state)
{
    static const spoilt cases[] = {
        {"another model", NULL, 1, 0, 1, 0, N, DIM, VX_ERR_MODEL_MISMATCH},
        {"a vector too long", NULL, 1.01f, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"a vector of zeros", NULL, 0, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"NaN", NULL, 1, NAN, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"infinity", NULL, 1, INFINITY, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"more than stated", NULL, 1, 0, 0, 0, N - 1, DIM, VX_ERR_MODEL_SHAPE},
        {"fewer than stated", NULL, 1, 0, 0, 0, N + 1, DIM, VX_ERR_MODEL_SHAPE},
        {"of another length", NULL, 1, 0, 0, 0, N, DIM * 2, VX_ERR_MODEL_SHAPE},
        {"cut off", NULL, 1, 0, 0, 4, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"no cohort",
         "{\"crowd\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]},"
         "\"model\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[48,80]}}",
         1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"no model",
         "{\"cohort\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]},"
         "\"models\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[48,80]}}",
         1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"integers",
         "{\"cohort\":{\"dtype\":\"I32\",\"shape\":[3,4],\"data_offsets\":[0,48]},"
         "\"model\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[48,80]}}",
         1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"one dimension",
         "{\"cohort\":{\"dtype\":\"F32\",\"shape\":[12],\"data_offsets\":[0,48]},"
         "\"model\":{\"dtype\":\"U8\",\"shape\":[32],\"data_offsets\":[48,80]}}",
         1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"a digest too long",
         "{\"cohort\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]},"
         "\"model\":{\"dtype\":\"U8\",\"shape\":[48],\"data_offsets\":[32,80]}}",
         1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
        {"not safetensors", "cohort", 1, 0, 0, 0, N, DIM, VX_ERR_MODEL_CORRUPT},
    };
    model_copy folder = model_copy_empty();
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_manifest m;
        vx_cohort cohort, before;
        vx_errinfo info = {0};
        memset(&cohort, 0x55, sizeof cohort);
        before = cohort;
        print_message("# %s\n", cases[c].what);
        put(&folder, &cases[c], &m);
        assert_int_equal(vx_cohort_open(folder.path, &m, &cohort, &info), cases[c].expected);
        assert_memory_equal(&cohort, &before, sizeof cohort);
        assert_int_equal(info.code, cases[c].expected);
        assert_string_equal(info.path, FILE_);
        assert_true(info.text[0] != '\0');
    }
    model_copy_drop(&folder, FILE_);
    model_copy_done(&folder);
}

static void test_is_proven(void **state)
{
    model_copy folder = model_copy_empty();
    vx_manifest m;
    vx_cohort cohort;
    vx_errinfo info = {0};
    (void)state;
    put(&folder, &right, &m);
    model_copy_flip(&folder, FILE_, 150);
    assert_int_equal(vx_cohort_open(folder.path, &m, &cohort, &info), VX_ERR_MODEL_HASH);
    assert_non_null(strstr(info.path, FILE_));
    model_copy_drop(&folder, FILE_);
    assert_int_equal(vx_cohort_open(folder.path, &m, &cohort, NULL), VX_ERR_MODEL_MISSING);
    model_copy_done(&folder);
}

static void test_none_is_empty(void **state)
{
    vx_manifest m;
    vx_cohort cohort;
    (void)state;
    memset(&cohort, 0x55, sizeof cohort);
    assert_int_equal(vx_manifest_read(GOLDEN, &m, NULL), VX_OK);
    assert_int_equal(vx_cohort_open(GOLDEN, &m, &cohort, NULL), VX_OK);
    assert_true(cohort.n == 0 && cohort.values == NULL);
    vx_cohort_close(&cohort);
}

/* One vector of each speaker: no two of them alike. What the manifest calls usual is what they are to each other. */
static void test_starter(void **state)
{
    vx_manifest m;
    vx_cohort cohort;
    double sum = 0;
    (void)state;
    assert_int_equal(vx_manifest_read(STARTER, &m, NULL), VX_OK);
    assert_int_equal(vx_cohort_open(STARTER, &m, &cohort, NULL), VX_OK);
    assert_true(cohort.n == m.cohort_count && cohort.n >= 200 && cohort.dim == 192 && cohort.top < cohort.n);
    assert_true(m.cohort.bytes < 400 * 1024);
    for (int i = 0; i < cohort.n; i++) {
        for (int j = 0; j < i; j++) {
            double cosine = 0;
            for (int k = 0; k < cohort.dim; k++)
                cosine += (double)cohort.values[i * cohort.dim + k] * (double)cohort.values[j * cohort.dim + k];
            assert_true(cosine < 0.95);
            sum += cosine;
        }
    }
    /* The nearest are nearer than all of them. */
    assert_true(cohort.floor > 2 * sum / cohort.n / (cohort.n - 1) && cohort.floor < 0.8);
    vx_cohort_close(&cohort);
}

static vx_err attempt_open(void *ctx)
{
    vx_cohort cohort;
    const vx_err err = vx_cohort_open(STARTER, ctx, &cohort, NULL);
    if (!err)
        vx_cohort_close(&cohort);
    return err;
}

static void test_every_allocation_may_fail(void **state)
{
    vx_manifest m;
    (void)state;
    assert_int_equal(vx_manifest_read(STARTER, &m, NULL), VX_OK);
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(attempt_open, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_is_proven), cmocka_unit_test(test_none_is_empty),
        cmocka_unit_test(test_starter),   cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
