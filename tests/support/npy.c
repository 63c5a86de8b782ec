/* npy.c - reads little-endian float32 .npy files.
 * Owns:   the header's three fields and the size check. Does not: use the project's code, which it helps to test.
 * Source: numpy.lib.format, versions 1.0 to 3.0.
 */
#include "tests/support/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 4096

/* "'shape': (301, 80)" -> 2 dimensions; false if it is not a tuple of 1 .. NPY_MAX_DIMS sizes. */
static bool parse_shape(const char *header, npy *array)
{
    const char *at = strstr(header, "'shape': (");
    if (at == NULL)
        return false;
    at += strlen("'shape': (");
    array->n_values = 1;
    while (*at != ')') {
        char *end = NULL;
        unsigned long size = strtoul(at, &end, 10);
        if (end == at || size == 0 || size > 1000000 || array->n_dims == NPY_MAX_DIMS)
            return false;
        array->shape[array->n_dims++] = size;
        array->n_values *= size;
        at = end + strspn(end, ", ");
    }
    return array->n_dims > 0;
}

/* Reads magic, version and the Python dictionary, and leaves the file at the first value. */
static bool read_header(FILE *file, npy *array)
{
    unsigned char start[10];
    char header[HEADER_MAX + 1];
    if (fread(start, 1, sizeof start, file) != sizeof start || memcmp(start, "\x93NUMPY", 6) != 0)
        return false;
    size_t len = (size_t)start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) { /* versions 2 and 3 have two more bytes of length, zero for any header this short */
        unsigned char more[2];
        if (fread(more, 1, sizeof more, file) != sizeof more || more[0] != 0 || more[1] != 0)
            return false;
    }
    if (len > HEADER_MAX || fread(header, 1, len, file) != len)
        return false;
    header[len] = '\0';
    return strstr(header, "'descr': '<f4'") != NULL && strstr(header, "'fortran_order': False") != NULL &&
           parse_shape(header, array);
}

bool npy_load(const char *path, npy *ret)
{
    npy array = {0};
    bool ok = false;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "# %s: %s\n", path, strerror(errno));
        return false;
    }
    if (!read_header(file, &array)) {
        fprintf(stderr, "# %s: not a little-endian float32 row-major .npy file\n", path);
        goto out;
    }
    array.data = malloc(array.n_values * sizeof *array.data);
    if (array.data == NULL || fread(array.data, sizeof *array.data, array.n_values, file) != array.n_values ||
        fgetc(file) != EOF) {
        fprintf(stderr, "# %s: does not hold the %zu values its header states\n", path, array.n_values);
        goto out;
    }
    *ret = array;
    ok = true;
out:
    if (!ok)
        npy_done(&array);
    fclose(file);
    return ok;
}

void npy_done(npy *array)
{
    free(array->data);
    *array = (npy){0};
}
