/* cors.h - which web pages may call the service (Fetch standard, CORS). Off unless configured. */
#ifndef VX_CLOUD_CORS_H
#define VX_CLOUD_CORS_H

#include <stdbool.h>

/* True if origin is one of the comma-separated origins of VOXLOCK_CORS_ORIGINS, compared exactly; or if that is "*".
 * origin may be NULL. */
bool vx_cors_allows(const char *origins, const char *origin);

#endif
