/* media.h - what Content-Type and Accept say, as far as this service cares. */
#ifndef VX_CLOUD_MEDIA_H
#define VX_CLOUD_MEDIA_H

#include <stdbool.h>

typedef enum {
    VX_MEDIA_JSON,   /* application/json, text/json, anything +json */
    VX_MEDIA_RAW,    /* audio/anything, application/octet-stream: the bytes of a recording */
    VX_MEDIA_UNSAID, /* no type, or the one that curl -d and old clients send whatever the body is */
    VX_MEDIA_OTHER,
} vx_media;

/* content_type may be NULL; parameters (charset) are ignored. */
vx_media vx_media_of(const char *content_type);
/* True if the first choice of an Accept header is application/octet-stream. NULL is fine. */
bool vx_media_prefers_octets(const char *accept);

#endif
