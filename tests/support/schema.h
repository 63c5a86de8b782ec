/* schema.h - checks a JSON value against a schema of an OpenAPI 3.1 document.
 * Owns:   the part of JSON Schema that cloud/openapi.json uses; a keyword it does not know fails, so that no rule of the
 *         document goes unchecked. Stricter than JSON Schema in one thing: an object whose schema names properties may
 *         hold no others, so that nothing is answered that is not documented.
 */
#ifndef VX_TESTS_SCHEMA_H
#define VX_TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* document [in] the whole document, where "$ref": "#/..." leads
 * ret_why  [out] on false: the place in the value, and what is wrong there */
bool schema_holds(const json_t *document, const json_t *schema, const json_t *value, char *ret_why, size_t cap);
/* What a node says, or what its $ref leads to. Borrowed; NULL when the reference leads nowhere. */
const json_t *schema_follow(const json_t *document, const json_t *node);

#endif
