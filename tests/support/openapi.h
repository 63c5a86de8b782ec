/* openapi.h - holds answers of the service against its own document, cloud/openapi.json.
 * Owns:   what the document says of a path, a method, a status. Does not: send requests, or know a path by itself.
 */
#ifndef VX_TESTS_OPENAPI_H
#define VX_TESTS_OPENAPI_H

#include <jansson.h>

#include "tests/support/http.h"

/* The document as the repository has it. New reference. */
json_t *openapi_load(void);
/* What it says of a method on a path, HEAD being that of GET; NULL when nothing. Borrowed. */
const json_t *openapi_operation(const json_t *document, const char *path, const char *method);
/* Fails the test unless the status is documented for the operation, the content type for the status, every header that
 * is called required is there and none that is not documented, and a JSON body obeys the schema; a problem must also
 * repeat its status and the request's id. */
void openapi_check(const json_t *document, const char *path, const char *method, const http_reply *reply);
/* openapi_check on POST, and the problem's status and code; frees the reply. */
void openapi_expect_problem(const json_t *document, const char *path, http_reply *reply, int status, const char *code);

#endif
