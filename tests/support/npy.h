/* npy.h - reads the reference vectors of tests/data: little-endian float32 arrays in NumPy's .npy format.
 * Owns:   that one flavour of the format. Does not: byte-swap, read Fortran order or any other type.
 */
#ifndef VX_TESTS_NPY_H
#define VX_TESTS_NPY_H

#include <stdbool.h>
#include <stddef.h>

#define NPY_MAX_DIMS 4

typedef struct {
    float *data; /* [n_values] row-major, owned */
    int n_dims;
    size_t shape[NPY_MAX_DIMS];
    size_t n_values;
} npy;

/* Reads a whole file; false, with the reason on stderr, if that cannot be done. ret is then untouched. */
bool npy_load(const char *path, npy *ret);
/* Frees and zeroes; all-zero is fine. */
void npy_done(npy *array);

#endif
