/* route_prewarm.c - GET or POST /api/ml/prewarm: answers when the model is loaded and has run. */
#include "cloud/answer.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"

/* Nothing is left to do once the model serves: the self-test has run an inference before that. */
vx_err vx_route_prewarm(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    vx_service_view view;
    vx_err err = vx_service_wait_ready(service, request->deadline_ns, info);
    if (err)
        return err;
    vx_service_view_get(service, &view);
    json_t *root = json_object();
    int bad = json_object_set_new(root, "success", json_true());
    bad |= json_object_set_new(root, "status", json_string("warm"));
    bad |= json_object_set_new(root, "ecapa_ready", json_true());
    bad |= json_object_set_new(root, "startup_state", json_string(vx_startup_name(view.state)));
    bad |= json_object_set_new(root, "load_time_ms", vx_answer_rounded(view.load_ms));
    bad |= json_object_set_new(root, "warmup_ms", vx_answer_rounded(view.warmup_ms));
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(vx_ms_since(request->complete_ns)));
    bad |= json_object_set_new(root, "error", json_null());
    bad |= json_object_set_new(root, "request_id", json_string(request->id));
    return vx_answer_send(reply, root, bad);
}
