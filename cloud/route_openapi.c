/* route_openapi.c - GET /openapi.json: the contract, compiled in and served as written. */
#include "cloud/routes.h"

static const uint8_t DOCUMENT[] = {
#include "openapi_json.inc"
};

vx_err vx_route_openapi(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)service, (void)request, (void)info;
    reply->status = 200;
    reply->content_type = "application/json";
    reply->fixed = DOCUMENT;
    reply->fixed_len = sizeof DOCUMENT;
    return VX_OK;
}
