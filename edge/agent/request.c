/* request.c - one line of a client to a request. */
#include "edge/agent/request.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/json.h"

static const vx_json_limits limits = {.max_depth = 4, .max_values = 32};

static vx_err read_op(const json_t *root, vx_agent_op *ret, vx_errinfo *info)
{
    static const char *const names[] = {"status", "unlock", "reload"};
    const char *text = NULL;
    size_t len = 0;
    const vx_err err = vx_json_text(root, "op", true, &text, &len, info);
    if (err != VX_OK)
        return err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (vx_agent_op)i;
            return VX_OK;
        }
    return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "'op' must be status, unlock or reload");
}

static vx_err read_purpose(const json_t *root, const char **ret, vx_errinfo *info)
{
    const char *text = "screen";
    size_t len = 0;
    const vx_err err = vx_json_text(root, "purpose", false, &text, &len, info);
    if (err != VX_OK)
        return err;
    const bool pam = strcmp(text, "pam") == 0;
    if (!pam && strcmp(text, "screen") != 0)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "'purpose' must be screen or pam");
    *ret = pam ? "pam" : "screen";
    return VX_OK;
}

vx_err vx_agent_request_parse(const char *text, size_t len, vx_agent_request *ret, vx_errinfo *info)
{
    json_t *root = NULL;
    vx_agent_request r = {0};
    int64_t timeout_ms = VX_AGENT_DEFAULT_MS;
    vx_err err = vx_json_parse(text, len, limits, &root, info);
    if (err == VX_OK && !json_is_object(root))
        err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "a request is a JSON object");
    if (err == VX_OK)
        err = read_op(root, &r.op, info);
    if (err == VX_OK && r.op == VX_ASK_UNLOCK)
        err = read_purpose(root, &r.purpose, info);
    if (err == VX_OK)
        err = vx_json_int(root, "timeout_ms", false, VX_AGENT_LEAST_MS, VX_AGENT_MOST_MS, &timeout_ms, info);
    json_decref(root);
    if (err != VX_OK)
        return err;
    r.timeout_ms = (int)timeout_ms;
    *ret = r;
    return VX_OK;
}
