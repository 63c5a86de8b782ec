/* svg.c - a square with axes, curves in it, and a legend beside it. */
#include "edge/report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

enum { CURVES_MAX = 12, SIDE = 400, LEFT = 60, TOP = 40, LEGEND = 240, BOTTOM = 56, BINS = 40 };

/* Colours that people with any sight of colour tell apart (P. Tol's muted scheme), and black. */
static const char *const colours[CURVES_MAX] = {"#332288", "#cc6677", "#117733", "#ddaa33", "#88ccee", "#aa4499",
                                                "#44aa99", "#999933", "#882255", "#666666", "#000000", "#ee7733"};

static void escaped(vx_text *t, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<': vx_text_put(t, "&lt;"); break;
        case '>': vx_text_put(t, "&gt;"); break;
        case '&': vx_text_put(t, "&amp;"); break;
        default: vx_text_char(t, *text);
        }
}

static void begin(vx_text *t, const char *title)
{
    vx_text_put(t,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
                "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"%d\" y=\"22\" "
                "font-size=\"14\">",
                LEFT + SIDE + LEGEND, TOP + SIDE + BOTTOM, LEFT);
    escaped(t, title);
    vx_text_put(t, "</text>\n<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"black\"/>\n",
                LEFT, TOP, SIDE, SIDE);
}

/* x, y [in] 0 to 1 of the square, from its lower left corner */
static double across(double x)
{
    return LEFT + SIDE * x;
}
static double up(double y)
{
    return TOP + SIDE * (1 - y);
}

static void tick(vx_text *t, bool horizontal, double at, const char *label)
{
    if (horizontal)
        vx_text_put(t,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#dddddd\"/><text x=\"%.1f\" y=\"%d\" "
                    "text-anchor=\"middle\">%s</text>\n",
                    across(at), across(at), TOP, TOP + SIDE, across(at), TOP + SIDE + 16, label);
    else
        vx_text_put(t,
                    "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/><text x=\"%d\" y=\"%.1f\" "
                    "text-anchor=\"end\">%s</text>\n",
                    LEFT, LEFT + SIDE, up(at), up(at), LEFT - 6, up(at) + 4, label);
}

static void axis_names(vx_text *t, const char *x, const char *y)
{
    vx_text_put(t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", LEFT + SIDE / 2, TOP + SIDE + 40);
    escaped(t, x);
    vx_text_put(t, "</text>\n<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">", TOP + SIDE / 2);
    escaped(t, y);
    vx_text_put(t, "</text>\n");
}

static void legend(vx_text *t, size_t i, const char *name, size_t n_left_out)
{
    const int y = TOP + 14 + 18 * (int)i;
    vx_text_put(t,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\"/><text x=\"%d\" "
                "y=\"%d\">",
                LEFT + SIDE + 14, LEFT + SIDE + 38, y - 4, y - 4, colours[i], LEFT + SIDE + 44, y);
    escaped(t, name);
    if (n_left_out > 0)
        vx_text_put(t, " (%zu not judged)", n_left_out);
    vx_text_put(t, "</text>\n");
}

/* ---- DET ------------------------------------------------------------------------------------------------------------ */

static const double DET_LOW = 0.001, DET_HIGH = 0.6;

/* The normal deviate that a share p of a normal distribution lies below, to 4.5e-4 (Abramowitz and Stegun, 26.2.23): a
 * twentieth of a pixel. */
static double deviate(double p)
{
    const double q = fmin(p, 1 - p), s = sqrt(-2 * log(q));
    const double x =
        s - (2.515517 + s * (0.802853 + s * 0.010328)) / (1 + s * (1.432788 + s * (0.189269 + s * 0.001308)));
    return p < 0.5 ? -x : x;
}

static double det_place(double p)
{
    const double low = deviate(DET_LOW), high = deviate(DET_HIGH);
    return (deviate(fmin(fmax(p, DET_LOW), DET_HIGH)) - low) / (high - low);
}

vx_err vx_svg_det(const char *title, const vx_svg_curve *curves, size_t n, vx_buf *out)
{
    static const struct {
        double at;
        const char *label;
    } ticks[] = {{0.001, "0.1"}, {0.01, "1"}, {0.05, "5"}, {0.1, "10"}, {0.2, "20"}, {0.4, "40"}, {0.6, "60"}};
    vx_text t = {.out = out};
    if (n > CURVES_MAX)
        return VX_ERR_RANGE;
    begin(&t, title);
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        tick(&t, true, det_place(ticks[i].at), ticks[i].label);
        tick(&t, false, det_place(ticks[i].at), ticks[i].label);
    }
    axis_names(&t, "APCER: attacks taken for living voices, %", "BPCER: living voices taken for attacks, %");
    for (size_t c = 0; c < n; c++) {
        vx_text_put(&t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"", colours[c]);
        for (size_t i = 0; i < curves[c].n; i++)
            vx_text_put(&t, "%.1f,%.1f ", across(det_place(curves[c].points[i].apcer)),
                        up(det_place(curves[c].points[i].bpcer)));
        vx_text_put(&t, "\"/>\n");
        legend(&t, c, curves[c].name, 0);
    }
    vx_text_put(&t, "</svg>\n");
    return t.err;
}

/* ---- histogram ------------------------------------------------------------------------------------------------------ */

/* Shares by bin, of the finite values. Returns how many are not finite. */
static size_t count(const vx_svg_series *s, double low, double high, double ret_shares[BINS])
{
    size_t n_left_out = 0;
    memset(ret_shares, 0, BINS * sizeof *ret_shares);
    for (size_t i = 0; i < s->n; i++) {
        if (!isfinite(s->values[i])) {
            n_left_out++;
            continue;
        }
        const double at = floor((s->values[i] - low) / (high - low) * BINS);
        ret_shares[(int)fmin(fmax(at, 0), BINS - 1)] += 1;
    }
    for (int b = 0; b < BINS && s->n > n_left_out; b++)
        ret_shares[b] /= (double)(s->n - n_left_out);
    return n_left_out;
}

static void outline(vx_text *t, const char *colour, const double shares[BINS], double top)
{
    vx_text_put(t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"", colour);
    for (int b = 0; b < BINS; b++)
        vx_text_put(t, "%.1f,%.1f %.1f,%.1f ", across((double)b / BINS), up(shares[b] / top),
                    across((double)(b + 1) / BINS), up(shares[b] / top));
    vx_text_put(t, "\"/>\n");
}

vx_err vx_svg_histogram(const char *title, const char *axis, double low, double high, const vx_svg_series *series,
                        size_t n, vx_buf *out)
{
    double shares[CURVES_MAX][BINS], top = 0.01;
    size_t left_out[CURVES_MAX];
    vx_text t = {.out = out};
    if (n > CURVES_MAX || !(high > low))
        return VX_ERR_RANGE;
    for (size_t s = 0; s < n; s++) {
        left_out[s] = count(&series[s], low, high, shares[s]);
        for (int b = 0; b < BINS; b++)
            top = fmax(top, shares[s][b]);
    }
    begin(&t, title);
    for (int i = 0; i <= 4; i++) {
        char label[32];
        (void)snprintf(label, sizeof label, "%.4g", low + (high - low) * i / 4);
        tick(&t, true, i / 4.0, label);
        (void)snprintf(label, sizeof label, "%.3g", 100 * top * i / 4);
        tick(&t, false, i / 4.0, label);
    }
    axis_names(&t, axis, "share of recordings, %");
    for (size_t s = 0; s < n; s++) {
        outline(&t, colours[s], shares[s], top);
        legend(&t, s, series[s].name, left_out[s]);
    }
    vx_text_put(&t, "</svg>\n");
    return t.err;
}
