/* router.c - the rules of who computes an embedding, and the sentence that says how it went. */
#include "edge/route/router.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/clock.h"

/* Of what one place said, as much as fits twice into a reason. */
enum { CAUSE_SHOWN = 90 };

/* One call: what is asked, and what there is to tell of it. */
typedef struct {
    const vx_router *router;
    const float *samples;
    size_t n;
    uint64_t deadline_ns;
    double pressure;
    vx_embedding *ret_embedding;
    char story[sizeof((vx_route_report *)0)->reason]; /* what was met so far, parts with commas between them */
} call;

const char *vx_route_name(vx_route_by by)
{
    static const char *const names[] = {"device", "cloud", "nowhere"};
    return (unsigned)by < sizeof names / sizeof *names ? names[by] : "unknown";
}

vx_route_by vx_route_first(const vx_router *router, double pressure, bool breaker_closed)
{
    const bool pressed = pressure >= router->max_pressure; /* false for what is unknown */
    if (router->cloud && ((pressed && breaker_closed) || !router->device))
        return VX_ROUTE_CLOUD;
    return router->device ? VX_ROUTE_DEVICE : VX_ROUTE_NOWHERE;
}

static void tell(call *c, const char *fmt, ...) VX_PRINTF(2, 3);
static void tell(call *c, const char *fmt, ...)
{
    const size_t at = strlen(c->story);
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->story + at, sizeof c->story - at, fmt, args);
    va_end(args);
}

static void tell_pressure(call *c)
{
    if (c->pressure >= 0)
        tell(c, "memory %.0f %% in use", c->pressure * 100);
    else
        tell(c, "memory pressure unknown");
}

/* The codes from -30 to -49 are about the recording: no other place would make more of it. */
static bool is_about_recording(vx_err err)
{
    return err <= VX_ERR_AUDIO_FORMAT && err > VX_ERR_MODEL_MISSING;
}

static vx_err try_device(call *c, vx_errinfo *info)
{
    return c->router->device(c->router->device_arg, c->samples, c->n, c->deadline_ns, c->ret_embedding, info);
}

/* With a device to fall back on, the cloud gets half of the time that is left: the other half is the device's. */
static vx_err try_cloud(call *c, bool has_fallback, vx_errinfo *info)
{
    uint64_t until_ns = c->deadline_ns;
    const uint64_t now_ns = vx_now_ns();
    if (has_fallback && now_ns < until_ns)
        until_ns = now_ns + (until_ns - now_ns) / 2;
    return vx_cloud_embed(c->router->cloud, c->samples, c->n, until_ns, c->pressure, c->ret_embedding, info);
}

/* Bytes of a cause that are told: whole characters. */
static int shown_of(const char *cause)
{
    size_t n = strnlen(cause, CAUSE_SHOWN);
    while (n > 0 && ((unsigned char)cause[n] & 0xC0) == 0x80)
        n--;
    return (int)n;
}

static vx_err try_one(call *c, vx_route_by by, bool has_fallback, vx_errinfo *ret_cause)
{
    const vx_err err = by == VX_ROUTE_DEVICE ? try_device(c, ret_cause) : try_cloud(c, has_fallback, ret_cause);
    if (err != VX_OK) {
        const char *cause = vx_errinfo_text(ret_cause, err);
        tell(c, ", %s: %.*s", vx_route_name(by), shown_of(cause), cause);
    }
    return err;
}

/* Tries one place, and the other where there is one and it might do better. *ret_by: the last one tried. */
static vx_err try_both(call *c, vx_route_by first, vx_route_by *ret_by, vx_errinfo *ret_cause)
{
    const vx_router *router = c->router;
    const vx_route_by other = first == VX_ROUTE_DEVICE ? VX_ROUTE_CLOUD : VX_ROUTE_DEVICE;
    const bool has_other = first == VX_ROUTE_DEVICE ? router->cloud != NULL : router->device != NULL;
    *ret_by = first;
    vx_err err = try_one(c, first, has_other, ret_cause);
    /* Of a recording the device's word is final; the service's is not, since it may be wrong and the device is there. */
    if (err == VX_OK || !has_other || (first == VX_ROUTE_DEVICE && is_about_recording(err)))
        return err;
    *ret_by = other;
    *ret_cause = (vx_errinfo){0};
    return try_one(c, other, false, ret_cause);
}

/* HALF_OPEN counts as closed: the breaker lets one probe through, and without one it would never close again. */
static bool breaker_lets_through(vx_cloud *cloud)
{
    vx_cloud_view view;
    vx_cloud_get_view(cloud, &view);
    return view.breaker.state != VX_BREAKER_OPEN;
}

static vx_route_by choose(call *c)
{
    const vx_router *router = c->router;
    const bool closed = router->cloud && breaker_lets_through(router->cloud);
    const vx_route_by first = vx_route_first(router, c->pressure, closed);
    tell_pressure(c);
    if (first == VX_ROUTE_DEVICE && c->pressure >= router->max_pressure)
        tell(c, router->cloud ? ", the cloud is given a pause after failures" : ", no cloud is set up");
    return first;
}

vx_err vx_route_embed(const vx_router *router, double pressure, const float *samples, size_t n, uint64_t deadline_ns,
                      vx_embedding *ret_embedding, vx_route_report *ret_report, vx_errinfo *info)
{
    static const char *const ends[] = {"computed on the device", "computed in the cloud", "not computed"};
    const uint64_t start_ns = vx_now_ns();
    call c = {.router = router,
              .samples = samples,
              .n = n,
              .deadline_ns = deadline_ns,
              .pressure = pressure,
              .ret_embedding = ret_embedding};
    vx_errinfo cause = {0};
    vx_route_by by = choose(&c);
    vx_err err = by == VX_ROUTE_NOWHERE ? vx_errinfo_set(&cause, VX_ERR_NOT_READY,
                                                         "there is no model on the device and no cloud is set up")
                                        : try_both(&c, by, &by, &cause);
    if (err != VX_OK)
        by = VX_ROUTE_NOWHERE;
    tell(&c, ": %s", ends[by]);
    *ret_report = (vx_route_report){.by = by, .pressure = pressure, .elapsed_ms = vx_ms_since(start_ns)};
    memcpy(ret_report->reason, c.story, sizeof ret_report->reason);
    if (err != VX_OK && info && info->code == VX_OK) {
        *info = cause;
        (void)vx_errinfo_set(info, err, "%s", vx_err_sentence(err)); /* for a cause that said nothing */
    }
    return err;
}
