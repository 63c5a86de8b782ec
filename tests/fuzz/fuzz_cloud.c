/* fuzz_cloud.c - what a service answers, as a status line, header lines and a body: an embedding of length 1, or an error
 * whose sentence can be shown as it is.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/route/cloud_answer.h"
#include "tests/fuzz/fuzz.h"

enum { DIM = 4 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_error(vx_err err, const vx_errinfo *info)
{
    if (err == VX_OK || err == VX_ERR_NOMEM)
        return;
    require(info->code == err && info->text[0] && info->retry_s >= 0 && info->retry_s <= 3600);
    for (const char *c = info->text; *c; c++)
        require(*c >= ' ' && *c <= '~');
}

static void check_embedding(const vx_http_answer *answer, const vx_model_digest *model)
{
    vx_embedding embedding = {.dim = -1};
    vx_errinfo info = {0};
    const vx_err err = vx_cloud_read_embedding(answer, model, DIM, &embedding, &info);
    double sum = 0;
    check_error(err, &info);
    require(embedding.dim == (err == VX_OK ? DIM : -1));
    for (int i = 0; err == VX_OK && i < DIM; i++)
        sum += (double)embedding.values[i] * embedding.values[i];
    require(err != VX_OK || (fabs(sum - 1) < 1e-6 && answer->status == 200));
}

/* Body and head each in memory of their own, the body with the zero behind it that vx_http_ask puts there. */
static void set(vx_buf *buf, const uint8_t *data, size_t len)
{
    require(vx_buf_append(buf, data, len) == VX_OK && vx_buf_reserve(buf, 1) == VX_OK);
    buf->data[len] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 302, 401, 413, 422, 429, 503};
    vx_model_digest model;
    vx_errinfo info = {0};
    memset(model.bytes, 0x11, sizeof model.bytes);
    if (size == 0)
        return 0;
    vx_http_answer answer = {.status = statuses[data[0] % 8]};
    size_t head = 1;
    while (head < size && !(data[head] == '\n' && head + 1 < size && data[head + 1] == '\n'))
        head++;
    const size_t body = head + 2 < size ? head + 2 : size;
    set(&answer.head, data + 1, head - 1);
    set(&answer.body, data + body, size - body);
    check_embedding(&answer, &model);
    check_error(vx_cloud_read_status(&answer, &model, &info), &info);
    vx_http_answer_done(&answer);
    return 0;
}
