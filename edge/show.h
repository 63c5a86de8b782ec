/* show.h - a JSON document as a person reads it on a terminal.
 * Owns:   headings, aligned rows, tables. Does not: know what the document is about.
 */
#ifndef VX_EDGE_SHOW_H
#define VX_EDGE_SHOW_H

#include <jansson.h>

#include "shared/base/bytes.h"

/* Appends the document as text: a heading for each key of the root; below it a row for each key of an object, or a table
 * with a column for each key of an array's first object. Keys lose their underscores, and what could steer a terminal is
 * replaced.
 * root   [in] object of objects and of arrays of flat objects
 * Errors NOMEM */
VX_MUST_CHECK vx_err vx_show(const json_t *root, vx_buf *out);

#endif
