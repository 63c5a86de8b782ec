/* cloud_client.c - one utterance to the cloud service and its embedding back.
 * Order of locks: `lock` is held for bookkeeping only, never while something is asked; breaker and identity lock
 * themselves.
 */
#include "edge/route/cloud_client.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "edge/route/cloud_answer.h"
#include "edge/route/http.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/resilience/timeouts.h"

#define NS_PER_MS 1000000u
#define NS_PER_S  1000000000u
/* -120 dBFS: nothing but rounding errors, which are not blown up. */
#define SILENCE   1e-6f
/* The samples are at VX_AUDIO_RATE. */
#define PATH      "/api/ml/speaker_embedding?format=int16&sample_rate=16000"

enum {
    /* Connections kept for the next request: one device rarely asks for more than one utterance at a time. */
    MAX_IDLE = 4,
    /* A learned timeout below would mistake one lost packet, which TCP repeats after up to a second, for a failure. */
    FLOOR_MS = 1000,
    /* A caller who leaves less, and less than the timeout, has given the service no fair chance: it is not blamed. */
    FAIR_MS = 1000,
};

struct vx_cloud {
    pthread_mutex_t lock; /* guards the fields down to n_failed */
    vx_timeouts timeouts;
    vx_http *idle[MAX_IDLE];
    int n_idle;
    uint64_t n_asked, n_answered, n_failed;

    /* Constant once create has returned. */
    vx_breaker *breaker;
    vx_identity *identity;
    vx_identity_kind identity_kind;
    char *embed_url, *status_url;
    char *ca_file; /* NULL: the system's */
    int timeout_ms;
    vx_model_digest model;
    int dim;
    bool keeps_level;
};

/* One call: what it may cost, and what came of it. */
typedef struct {
    uint64_t limit_ns; /* of everything, the token included */
    double timeout_ms; /* of one request, learned */
    bool is_fair;      /* the caller's own deadline is not what a slow answer fails by */
    double answer_ms;  /* of the last request */
    int status;        /* 0: no answer */
} attempt;

/* ---- settings and life ------------------------------------------------------------------------------------------ */

/* NULL for a setting that is empty. */
static const char *text_or_null(const vx_options *settings, const char *name)
{
    const char *text = vx_option_text(settings, name);
    return text[0] ? text : NULL;
}

static vx_identity_options identity_settings(const vx_options *settings)
{
    static const char *const choices[] = {
        [VX_IDENTITY_NONE] = "none",         [VX_IDENTITY_API_KEY] = "api-key", [VX_IDENTITY_KEY_FILE] = "key-file",
        [VX_IDENTITY_METADATA] = "metadata", [VX_IDENTITY_COMMAND] = "command",
    };
    int kind = VX_IDENTITY_NONE;
    while (strcmp(choices[kind], vx_option_text(settings, "VOXLOCK_CLOUD_AUTH")) != 0) /* the table has the same list */
        kind++;
    return (vx_identity_options){
        .kind = (vx_identity_kind)kind,
        .audience = text_or_null(settings, "VOXLOCK_CLOUD_AUDIENCE"),
        .api_key = text_or_null(settings, "VOXLOCK_CLOUD_API_KEY"),
        .key_file = text_or_null(settings, "VOXLOCK_CLOUD_KEY_FILE"),
        .command = text_or_null(settings, "VOXLOCK_CLOUD_COMMAND"),
    };
}

vx_err vx_cloud_settings(const vx_options *settings, vx_cloud_options *ret_options, vx_errinfo *info)
{
    const char *endpoint = text_or_null(settings, "VOXLOCK_CLOUD_ENDPOINT");
    if (!endpoint)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "no cloud service is set up (VOXLOCK_CLOUD_ENDPOINT)");
    *ret_options = (vx_cloud_options){
        .endpoint = endpoint,
        .identity = identity_settings(settings),
        .ca_file = text_or_null(settings, "VOXLOCK_CLOUD_CA_FILE"),
        .timeout_ms = (int)vx_option_int(settings, "VOXLOCK_CLOUD_TIMEOUT_MS"),
        .breaker_failures = (int)vx_option_int(settings, "VOXLOCK_CLOUD_BREAKER_FAILURES"),
        .breaker_open_ns = (uint64_t)vx_option_int(settings, "VOXLOCK_CLOUD_BREAKER_OPEN_MS") * NS_PER_MS,
    };
    return VX_OK;
}

/* endpoint without the slashes at its end, and path; NULL when memory is out. */
static char *join(const char *endpoint, const char *path)
{
    size_t n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/')
        n--;
    char *url = malloc(n + strlen(path) + 1);
    if (url) {
        memcpy(url, endpoint, n);
        memcpy(url + n, path, strlen(path) + 1);
    }
    return url;
}

/* An identity token is for the service's address, unless an audience is named. */
static vx_err make_identity(vx_cloud *cloud, const vx_cloud_options *options, vx_errinfo *info)
{
    vx_identity_options identity = options->identity;
    char *address = join(options->endpoint, "");
    if (!address)
        return VX_ERR_NOMEM;
    if (!identity.audience)
        identity.audience = address;
    if (!identity.ca_file)
        identity.ca_file = options->ca_file;
    const vx_err err = vx_identity_create(&identity, &cloud->identity, info);
    free(address);
    return err;
}

static vx_err fill(vx_cloud *cloud, const vx_cloud_options *options, vx_clock clock, vx_errinfo *info)
{
    cloud->identity_kind = options->identity.kind;
    cloud->timeout_ms = options->timeout_ms;
    cloud->model = options->model;
    cloud->dim = options->dim;
    cloud->keeps_level = options->keeps_level;
    cloud->timeouts.base_ms = options->timeout_ms;
    cloud->timeouts.floor_ms = options->timeout_ms < FLOOR_MS ? options->timeout_ms : FLOOR_MS;
    cloud->embed_url = join(options->endpoint, PATH);
    cloud->status_url = join(options->endpoint, "/status");
    if (options->ca_file)
        cloud->ca_file = strdup(options->ca_file);
    if (!cloud->embed_url || !cloud->status_url || (options->ca_file && !cloud->ca_file))
        return VX_ERR_NOMEM;
    const vx_err err = vx_breaker_create(options->breaker_failures, options->breaker_open_ns, clock, &cloud->breaker);
    return err == VX_OK ? make_identity(cloud, options, info) : err;
}

vx_err vx_cloud_create(const vx_cloud_options *options, vx_clock clock, vx_cloud **ret_cloud, vx_errinfo *info)
{
    if (options->dim < 1 || options->dim > VX_EMBEDDING_MAX_DIM || options->timeout_ms < 1)
        return vx_errinfo_set(info, VX_ERR_ARG, "a cloud client needs a dimension and a timeout");
    vx_err err = vx_http_check_url("VOXLOCK_CLOUD_ENDPOINT", options->endpoint, info);
    if (err != VX_OK)
        return err;
    if (strpbrk(options->endpoint, "?#"))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "VOXLOCK_CLOUD_ENDPOINT is the address alone, without ? and #");
    vx_cloud *cloud = calloc(1, sizeof *cloud);
    if (!cloud)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&cloud->lock, NULL) != 0) {
        free(cloud);
        return VX_ERR_NOMEM;
    }
    err = fill(cloud, options, clock, info);
    if (err == VX_OK)
        *ret_cloud = cloud;
    else
        vx_cloud_destroy(cloud);
    return err;
}

void vx_cloud_destroy(vx_cloud *cloud)
{
    if (!cloud)
        return;
    for (int i = 0; i < cloud->n_idle; i++)
        vx_http_destroy(cloud->idle[i]);
    vx_identity_destroy(cloud->identity);
    vx_breaker_destroy(cloud->breaker);
    free(cloud->embed_url);
    free(cloud->status_url);
    free(cloud->ca_file);
    pthread_mutex_destroy(&cloud->lock);
    free(cloud);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

/* The one used last: it is the most likely to be open still. */
static vx_err take_connection(vx_cloud *cloud, vx_http **ret_http)
{
    vx_http *http = NULL;
    pthread_mutex_lock(&cloud->lock);
    if (cloud->n_idle > 0)
        http = cloud->idle[--cloud->n_idle];
    pthread_mutex_unlock(&cloud->lock);
    if (!http)
        return vx_http_create(cloud->ca_file, ret_http);
    *ret_http = http;
    return VX_OK;
}

static void give_back(vx_cloud *cloud, vx_http *http)
{
    pthread_mutex_lock(&cloud->lock);
    if (cloud->n_idle < MAX_IDLE) {
        cloud->idle[cloud->n_idle++] = http;
        http = NULL;
    }
    pthread_mutex_unlock(&cloud->lock);
    vx_http_destroy(http);
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t after_ms(uint64_t ns, double ms)
{
    return ns + (uint64_t)(ms * NS_PER_MS);
}

/* Called with the lock held. */
static double timeout_of(const vx_cloud *cloud, double pressure)
{
    return fmin(vx_timeout_ms(&cloud->timeouts, pressure, true), cloud->timeout_ms);
}

static attempt begin(vx_cloud *cloud, uint64_t deadline_ns, double pressure)
{
    const uint64_t now_ns = vx_now_ns();
    attempt a = {.limit_ns = earlier(deadline_ns, after_ms(now_ns, cloud->timeout_ms))};
    pthread_mutex_lock(&cloud->lock);
    a.timeout_ms = timeout_of(cloud, pressure);
    pthread_mutex_unlock(&cloud->lock);
    a.is_fair = deadline_ns >= after_ms(now_ns, fmin(a.timeout_ms, FAIR_MS));
    return a;
}

/* "Authorization: Bearer ...", or nothing where nobody asks who we are. */
static vx_err authorize(vx_cloud *cloud, bool fresh, uint64_t limit_ns, vx_buf *ret_line, vx_errinfo *info)
{
    vx_buf value = {0};
    vx_err err = vx_identity_header(cloud->identity, fresh, limit_ns, &value, info);
    if (err == VX_OK && value.len > 0)
        err = vx_buf_printf(ret_line, "Authorization: %.*s", (int)value.len, (const char *)value.data);
    vx_buf_wipe_done(&value);
    return err;
}

static vx_err ask_once(vx_cloud *cloud, vx_http *http, const char *url, const vx_buf *body, bool fresh, attempt *a,
                       vx_http_answer *ret_answer, vx_errinfo *info)
{
    vx_buf line = {0};
    vx_err err = authorize(cloud, fresh, a->limit_ns, &line, info);
    if (err == VX_OK) {
        const char *const headers[] = {body ? "Accept: application/octet-stream" : "Accept: application/json",
                                       "Content-Type: application/octet-stream", (const char *)line.data, NULL};
        const uint64_t start_ns = vx_now_ns();
        const vx_http_request request = {
            .url = url,
            .headers = headers,
            .body = body ? body->data : NULL,
            .len = body ? body->len : 0,
            .deadline_ns = earlier(a->limit_ns, after_ms(start_ns, a->timeout_ms)),
            .max_bytes = VX_CLOUD_ANSWER_MAX,
        };
        err = vx_http_ask(http, &request, ret_answer, info);
        a->answer_ms = vx_ms_since(start_ns);
        a->status = err == VX_OK ? ret_answer->status : 0;
    }
    vx_buf_wipe_done(&line);
    return err;
}

/* Once more with a fresh token after 401. A fixed key has no fresher one. */
static vx_err ask(vx_cloud *cloud, const char *url, const vx_buf *body, attempt *a, vx_http_answer *ret_answer,
                  vx_errinfo *info)
{
    const bool renewable = cloud->identity_kind != VX_IDENTITY_NONE && cloud->identity_kind != VX_IDENTITY_API_KEY;
    vx_http *http;
    vx_errinfo cause = {0};
    vx_err err = take_connection(cloud, &http);
    if (err != VX_OK)
        return err;
    err = ask_once(cloud, http, url, body, false, a, ret_answer, &cause);
    if (err == VX_OK && a->status == 401 && renewable) {
        vx_http_answer_done(ret_answer);
        err = ask_once(cloud, http, url, body, true, a, ret_answer, &cause);
    }
    give_back(cloud, http);
    if (err == VX_ERR_RANGE) /* of an answer, which this module calls by another name */
        return vx_errinfo_set(info, VX_ERR_CLOUD_ANSWER, "%s", cause.text);
    if (err != VX_OK && info && info->code == VX_OK)
        *info = cause;
    return err;
}

/* What a sample is multiplied by before it is rounded to 16 bits. The loudest becomes full scale: front ends subtract the
 * mean of the log energies, so loudness does not change the embedding, and rounding at the recording's own level does: at
 * 60 dB below full scale the cosine to the unrounded one was 0.948, scaled it is 1.000000. */
static float gain_for(const float *samples, size_t n, bool keeps_level)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(samples[i]));
    return keeps_level || peak < SILENCE ? 32768.0f : 32767.0f / peak;
}

static vx_err to_pcm16(const float *samples, size_t n, bool keeps_level, vx_buf *ret_pcm, vx_errinfo *info)
{
    if (n == 0 || n > VX_AUDIO_MAX_SAMPLES)
        return n == 0 ? VX_ERR_AUDIO_EMPTY : VX_ERR_AUDIO_LONG;
    const vx_err err = vx_buf_reserve(ret_pcm, 2 * n);
    if (err != VX_OK)
        return err;
    const float gain = gain_for(samples, n, keeps_level);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(samples[i]))
            return vx_errinfo_set(info, VX_ERR_AUDIO_NOT_FINITE, "sample %zu is not a finite number", i);
        const unsigned value = (unsigned)lrintf(fmaxf(-32768.0f, fminf(32767.0f, samples[i] * gain)));
        ret_pcm->data[ret_pcm->len++] = (uint8_t)value;
        ret_pcm->data[ret_pcm->len++] = (uint8_t)(value >> 8);
    }
    return VX_OK;
}

static vx_err ask_embedding(vx_cloud *cloud, attempt *a, const vx_buf *pcm, vx_embedding *ret_embedding,
                            vx_errinfo *info)
{
    vx_http_answer answer = {0};
    vx_err err = ask(cloud, cloud->embed_url, pcm, a, &answer, info);
    if (err == VX_OK)
        err = vx_cloud_read_embedding(&answer, &cloud->model, cloud->dim, ret_embedding, info);
    vx_http_answer_done(&answer);
    return err;
}

/* ---- judging ---------------------------------------------------------------------------------------------------- */

/* Whether an attempt speaks for or against the way to the service as a whole: name, network, token, service. What the
 * recording (413, 415, 422), this computer or a hurried caller is to blame for says nothing of it. */
static vx_attempt verdict_on(const attempt *a, vx_err err)
{
    switch (err) {
    case VX_OK: return VX_ATTEMPT_SUCCEEDED;
    case VX_ERR_NOMEM:
    case VX_ERR_OPTION_VALUE: return VX_ATTEMPT_NEUTRAL;
    case VX_ERR_DEADLINE: return a->is_fair ? VX_ATTEMPT_FAILED : VX_ATTEMPT_NEUTRAL;
    default: break;
    }
    const bool of_recording = a->status == 413 || a->status == 415 || a->status == 422;
    return of_recording ? VX_ATTEMPT_NEUTRAL : VX_ATTEMPT_FAILED;
}

static void settle(vx_cloud *cloud, uint64_t ticket, const attempt *a, vx_err err)
{
    const vx_attempt verdict = verdict_on(a, err);
    pthread_mutex_lock(&cloud->lock);
    cloud->n_asked++;
    if (err == VX_OK)
        cloud->n_answered++;
    if (verdict == VX_ATTEMPT_FAILED)
        cloud->n_failed++;
    if (verdict != VX_ATTEMPT_NEUTRAL)
        vx_timeout_learn(&cloud->timeouts, err == VX_OK, a->answer_ms);
    pthread_mutex_unlock(&cloud->lock);
    vx_breaker_report(cloud->breaker, ticket, verdict);
}

static vx_err pausing(uint64_t retry_ns, vx_errinfo *info)
{
    const int retry_s = (int)((retry_ns - 1) / NS_PER_S) + 1;
    if (info && info->code == VX_OK)
        info->retry_s = retry_s;
    return vx_errinfo_set(info, VX_ERR_CIRCUIT_OPEN, "the cloud failed repeatedly and is not asked for %d s", retry_s);
}

vx_err vx_cloud_embed(vx_cloud *cloud, const float *samples, size_t n, uint64_t deadline_ns, double pressure,
                      vx_embedding *ret_embedding, vx_errinfo *info)
{
    uint64_t ticket, retry_ns;
    vx_buf pcm = {0};
    vx_err err = to_pcm16(samples, n, cloud->keeps_level, &pcm, info); /* what cannot be sent is no attempt */
    if (err == VX_OK && !vx_breaker_allow(cloud->breaker, &ticket, &retry_ns)) {
        err = pausing(retry_ns, info);
    } else if (err == VX_OK) {
        attempt a = begin(cloud, deadline_ns, pressure);
        err = ask_embedding(cloud, &a, &pcm, ret_embedding, info);
        settle(cloud, ticket, &a, err);
    }
    vx_buf_wipe_done(&pcm);
    return err;
}

vx_err vx_cloud_health(vx_cloud *cloud, uint64_t deadline_ns, vx_errinfo *info)
{
    vx_http_answer answer = {0};
    attempt a = begin(cloud, deadline_ns, 0);
    vx_err err = ask(cloud, cloud->status_url, NULL, &a, &answer, info);
    if (err == VX_OK)
        err = vx_cloud_read_status(&answer, &cloud->model, info);
    vx_http_answer_done(&answer);
    return err;
}

void vx_cloud_get_view(vx_cloud *cloud, vx_cloud_view *ret_view)
{
    vx_breaker_get(cloud->breaker, &ret_view->breaker);
    pthread_mutex_lock(&cloud->lock);
    ret_view->n_asked = cloud->n_asked;
    ret_view->n_answered = cloud->n_answered;
    ret_view->n_failed = cloud->n_failed;
    ret_view->average_ms = cloud->timeouts.average_ms;
    ret_view->timeout_ms = timeout_of(cloud, 0);
    pthread_mutex_unlock(&cloud->lock);
}
