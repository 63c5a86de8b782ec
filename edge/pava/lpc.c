/* lpc.c - see lpc.h. */
#include "edge/pava/lpc.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Laguerre's method needs 4 to 8 steps here; a walk that needs more than these goes in circles. */
enum { STEPS = 25, POLISH = 2 };
/* Zeros closer to the real axis than this are on it: a resonance of less than a millionth of the band is none. */
#define ON_AXIS 1e-6

typedef struct {
    double re, im;
} number;

static number times(number a, number b)
{
    return (number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static double square(number a)
{
    return a.re * a.re + a.im * a.im;
}

/* a / b, b not 0. */
static number over(number a, number b)
{
    const double s = 1 / square(b);
    return (number){(a.re * b.re + a.im * b.im) * s, (a.im * b.re - a.re * b.im) * s};
}

/* The root with its real part not negative. */
static number root(number a)
{
    const double size = sqrt(square(a)), large = sqrt(0.5 * (size + fabs(a.re)));
    if (!(large > 0))
        return (number){0, 0};
    const double small = 0.5 * a.im / large;
    return a.re >= 0 ? (number){large, small} : (number){fabs(small), copysign(large, a.im)};
}

bool vx_lpc_solve(const double *r, int order, double *ret_a, double *ret_error)
{
    double a[VX_LPC_MAX + 1] = {1}, error = r[0];
    if (order < 1 || order > VX_LPC_MAX || !(r[0] > 0) || !isfinite(r[0]))
        return false;
    for (int i = 1; i <= order; i++) {
        double next = r[i];
        for (int j = 1; j < i; j++)
            next += a[j] * r[i - j];
        const double k = -next / error;
        for (int j = 1; j <= i / 2; j++) {
            const double low = a[j], high = a[i - j];
            a[j] = low + k * high;
            a[i - j] = high + k * low;
        }
        a[i] = k;
        error *= 1 - k * k;
        /* Written so that NaN fails. Below this share what is left is rounding. */
        if (!(fabs(k) < 1 && error > r[0] * 1e-12))
            return false;
    }
    memcpy(ret_a, a, ((size_t)order + 1) * sizeof *a);
    *ret_error = error / r[0];
    return true;
}

/* The polynomial c[0] z^n + ... + c[n] at z, its derivative, and half the second one. */
static void evaluate(const double *c, int n, number z, number ret[3])
{
    number p = {c[0], 0}, d = {0, 0}, h = {0, 0};
    for (int i = 1; i <= n; i++) {
        h = times(h, z), h.re += d.re, h.im += d.im;
        d = times(d, z), d.re += p.re, d.im += p.im;
        p = times(p, z), p.re += c[i];
    }
    ret[0] = p, ret[1] = d, ret[2] = h;
}

/* Walks z to a zero. */
static bool walk(const double *c, int n, number *z)
{
    for (int step = 0; step < STEPS; step++) {
        number v[3];
        evaluate(c, n, *z, v);
        /* |z| stays around 1 or below, so the coefficients' sum bounds the rounding of p. */
        double bound = 0;
        for (int i = 0; i <= n; i++)
            bound += fabs(c[i]);
        if (!(square(v[0]) > DBL_EPSILON * DBL_EPSILON * bound * bound))
            return isfinite(square(v[0]));
        const number g = over(v[1], v[0]), g2 = times(g, g), half = over(v[2], v[0]);
        const number s = root(
            (number){(n - 1) * (n * (g2.re - 2 * half.re) - g2.re), (n - 1) * (n * (g2.im - 2 * half.im) - g2.im)});
        const number plus = {g.re + s.re, g.im + s.im}, minus = {g.re - s.re, g.im - s.im};
        const number longer = square(plus) > square(minus) ? plus : minus;
        number move = square(longer) > 0 ? over((number){n, 0}, longer) : (number){0.5, 0.5};
        *z = (number){z->re - move.re, z->im - move.im};
        if (!(square(move) > 1e-28)) /* 1e-14: of the unit circle */
            return isfinite(square(*z));
    }
    return false;
}

/* From 0 the walk leads, nearly always, to the smallest zero. But where zeros form a ring around it, as those of a uniform
 * tube nearly do, steps from the middle lead far out and back again for ever; then it starts near the ring. */
static bool search(const double *c, int n, number *ret_z)
{
    static const number STARTS[] = {{0, 0}, {0.6, 0.6}, {-0.7, 0.5}, {0.1, 0.95}};
    for (size_t i = 0; i < sizeof STARTS / sizeof *STARTS; i++) {
        number z = STARTS[i];
        if (walk(c, n, &z)) {
            *ret_z = z;
            return true;
        }
    }
    return false;
}

/* Divides c, of degree n, by the zero and, when it is off the axis, by its conjugate. Returns the degree left. */
static int deflate(double *c, int n, number z)
{
    const bool pair = z.im > 0;
    const double b = pair ? 2 * z.re : z.re, q = pair ? -square(z) : 0; /* z^2 - b z - q, or z - b */
    c[1] += b * c[0];
    for (int i = 2; i < n; i++)
        c[i] += b * c[i - 1] + q * c[i - 2];
    return n - (pair ? 2 : 1);
}

static void polish(const double *a, int order, number *z)
{
    for (int step = 0; step < POLISH; step++) {
        number v[3];
        evaluate(a, order, *z, v);
        const number move = square(v[1]) > 0 ? over(v[0], v[1]) : (number){0, 0};
        if (square(move) < 1e-4 * z->im * z->im) /* of two zeros that all but touch, Newton's step is of no use */
            *z = (number){z->re - move.re, z->im - move.im};
    }
}

int vx_lpc_poles(const double *a, int order, double *ret_re, double *ret_im)
{
    double c[VX_LPC_MAX + 1];
    number found[VX_LPC_MAX / 2];
    int n_found = 0;
    if (order < 1 || order > VX_LPC_MAX)
        return -1;
    memcpy(c, a, ((size_t)order + 1) * sizeof *c);
    for (int n = order; n > 0;) {
        number z;
        if (!search(c, n, &z))
            return -1;
        z.im = fabs(z.im) > ON_AXIS && n > 1 ? fabs(z.im) : 0;
        n = deflate(c, n, z);
        if (z.im > 0) {
            polish(a, order, &z);
            int at = n_found++;
            for (; at > 0 && atan2(found[at - 1].im, found[at - 1].re) > atan2(z.im, z.re); at--)
                found[at] = found[at - 1];
            found[at] = z;
        }
    }
    for (int i = 0; i < n_found; i++) {
        ret_re[i] = found[i].re;
        ret_im[i] = found[i].im;
    }
    return n_found;
}
