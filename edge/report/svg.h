/* svg.h - plots that a browser shows: DET curves and histograms of scores.
 * Owns:   axes, scales, colours, text. Does not: know what is plotted.
 */
#ifndef VX_EDGE_REPORT_SVG_H
#define VX_EDGE_REPORT_SVG_H

#include <stddef.h>

#include "edge/report/rates.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef struct {
    const char *name; /* what people read; escaped */
    const vx_det_point *points;
    size_t n;
} vx_svg_curve;
/* Both axes by the normal deviate, from 0.1 to 60 %, as DET curves are drawn. At most 12 curves. Appended to out.
 * Errors: NOMEM, RANGE (more curves). */
VX_MUST_CHECK vx_err vx_svg_det(const char *title, const vx_svg_curve *curves, size_t n, vx_buf *out);

typedef struct {
    const char *name;
    const double *values; /* finite or not; those that are not are counted in the legend */
    size_t n;
} vx_svg_series;
/* Shares of values by 40 bins between low and high; what lies outside is in the outermost. At most 12 series.
 * axis [in] what the values are */
VX_MUST_CHECK vx_err vx_svg_histogram(const char *title, const char *axis, double low, double high,
                                      const vx_svg_series *series, size_t n, vx_buf *out);

#endif
