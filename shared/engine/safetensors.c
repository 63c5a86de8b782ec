/* safetensors.c - the index of a safetensors file that lies in memory.
 * Owns:   the header's syntax and every check that makes the tensors safe to read. Does not: map files, copy or
 *         convert values, know which tensors a network needs.
 * Source: github.com/huggingface/safetensors, README "Format": u64 header length, JSON header, data without holes.
 */
#include "shared/engine/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/json.h"

#define LENGTH_BYTES     8
#define MAX_HEADER_BYTES ((size_t)16 << 20)
/* SpeechBrain's ECAPA has 200 tensors. 65,536 would be as safe, and as useless. */
#define MAX_TENSORS      16384
/* A tensor of 4 dimensions is 14 values (key, object, 3 keys, dtype, 2 arrays, 4 sizes, 2 offsets); the 15th leaves
 * room for metadata. */
#define MAX_JSON_VALUES  (MAX_TENSORS * 15)
#define MAX_JSON_DEPTH   3
#define METADATA_KEY     "__metadata__"

struct vx_safetensors {
    size_t n_tensors;
    vx_tensor *tensors;        /* [n_tensors] in order of their data */
    const vx_tensor **by_name; /* [n_tensors] sorted by strcmp */
    char *names;               /* every name, each with its terminator */
};

/* The part of the file behind the header, which the offsets count from. */
typedef struct {
    const uint8_t *start;
    size_t len;
    size_t file_offset;
} data_area;

static const struct {
    const char *name;
    vx_dtype dtype;
    size_t bytes;
} dtypes[] = {
    {"F32", VX_DTYPE_F32, 4}, {"F16", VX_DTYPE_F16, 2}, {"BF16", VX_DTYPE_BF16, 2}, {"I8", VX_DTYPE_I8, 1},
    {"U8", VX_DTYPE_U8, 1},   {"I16", VX_DTYPE_I16, 2}, {"I32", VX_DTYPE_I32, 4},   {"I64", VX_DTYPE_I64, 8},
};

static vx_err corrupt(vx_errinfo *info, const char *name, const char *what)
{
    return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, LENGTH_BYTES, 0, "tensor '%.100s': %s", name, what);
}

static bool read_size(const json_t *value, size_t *ret)
{
    json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || (uint64_t)n > SIZE_MAX)
        return false;
    *ret = (size_t)n;
    return true;
}

static vx_err read_shape(const json_t *array, vx_tensor *t, vx_errinfo *info)
{
    size_t n_dims = json_array_size(array);

    if (!json_is_array(array))
        return corrupt(info, t->name, "'shape' is not an array");
    if (n_dims > VX_TENSOR_MAX_DIMS)
        return corrupt(info, t->name, "more than 4 dimensions");
    t->n_dims = (int)n_dims;
    t->n_values = 1;
    for (size_t i = 0; i < n_dims; i++) {
        if (!read_size(json_array_get(array, i), &t->shape[i]))
            return corrupt(info, t->name, "a dimension is not a whole number from 0");
        if (!vx_size_mul(t->n_values, t->shape[i], &t->n_values))
            return corrupt(info, t->name, "the product of the dimensions overflows");
    }
    return VX_OK;
}

/* Fills all of t but its name. */
static vx_err read_tensor(const json_t *entry, const data_area *data, vx_tensor *t, vx_errinfo *info)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t i = 0, begin, end, bytes;
    vx_err err;

    if (json_object_size(entry) != 3 || !dtype || json_array_size(offsets) != 2)
        return corrupt(info, t->name, "not an object of dtype, shape and two data_offsets");
    while (i < sizeof dtypes / sizeof *dtypes && strcmp(dtype, dtypes[i].name) != 0)
        i++;
    if (i == sizeof dtypes / sizeof *dtypes)
        return corrupt(info, t->name, "unknown dtype");
    t->dtype = dtypes[i].dtype;

    err = read_shape(json_object_get(entry, "shape"), t, info);
    if (err)
        return err;
    if (!vx_size_mul(t->n_values, dtypes[i].bytes, &bytes))
        return corrupt(info, t->name, "its size in bytes overflows");
    if (!read_size(json_array_get(offsets, 0), &begin) || !read_size(json_array_get(offsets, 1), &end))
        return corrupt(info, t->name, "a data offset is not a whole number from 0");
    if (begin > end || end > data->len)
        return corrupt(info, t->name, "the data offsets lie outside the file");
    if (end - begin != bytes)
        return corrupt(info, t->name, "the data offsets do not fit dtype and shape");
    if ((uintptr_t)(data->start + begin) % dtypes[i].bytes != 0)
        return corrupt(info, t->name, "the data is not aligned to the value size");
    t->data = data->start + begin;
    t->bytes = bytes;
    return VX_OK;
}

static vx_err read_metadata(json_t *metadata, vx_errinfo *info)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return corrupt(info, METADATA_KEY, "not an object");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return corrupt(info, METADATA_KEY, "holds a value that is not text");
    }
    return VX_OK;
}

/* Empty tensors have no bytes to order them by; their end puts them before the tensor that starts where they lie. */
static int compare_data(const void *a, const void *b)
{
    const vx_tensor *x = a, *y = b;
    uintptr_t x_begin = (uintptr_t)x->data, y_begin = (uintptr_t)y->data;

    if (x_begin != y_begin)
        return x_begin < y_begin ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
    const vx_tensor *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static int compare_key(const void *key, const void *element)
{
    const vx_tensor *const *t = element;

    return strcmp(key, (*t)->name);
}

/* In order of their data, every tensor starts where the one before ended: neither overlap nor hole. */
static vx_err check_coverage(const vx_safetensors *file, const data_area *data, vx_errinfo *info)
{
    size_t next = 0;

    for (size_t i = 0; i < file->n_tensors; i++) {
        const vx_tensor *t = &file->tensors[i];
        size_t begin = (size_t)((const uint8_t *)t->data - data->start);

        if (begin != next)
            return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, (int64_t)(data->file_offset + begin), 0,
                                     "tensor '%.100s' %s", t->name,
                                     begin < next ? "overlaps another" : "has a hole before it");
        next = begin + t->bytes;
    }
    if (next != data->len)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, (int64_t)(data->file_offset + next), 0,
                                 "%zu bytes at the end belong to no tensor", data->len - next);
    return VX_OK;
}

static vx_err allocate(vx_safetensors *file, json_t *header, size_t n_tensors)
{
    /* The header's text bounds the names, so their sum cannot overflow. */
    size_t names_bytes = 0;
    const char *key;
    json_t *value;

    json_object_foreach(header, key, value) names_bytes += strlen(key) + 1;
    file->tensors = calloc(n_tensors + 1, sizeof *file->tensors);
    file->by_name = calloc(n_tensors + 1, sizeof *file->by_name);
    file->names = malloc(names_bytes + 1);
    return file->tensors && file->by_name && file->names ? VX_OK : VX_ERR_NOMEM;
}

static vx_err read_entries(vx_safetensors *file, json_t *header, const data_area *data, vx_errinfo *info)
{
    char *name = file->names;
    const char *key;
    json_t *entry;

    json_object_foreach(header, key, entry)
    {
        size_t len = strlen(key) + 1;
        vx_tensor *t;
        vx_err err;

        if (strcmp(key, METADATA_KEY) == 0) {
            err = read_metadata(entry, info);
        } else {
            t = &file->tensors[file->n_tensors++];
            t->name = memcpy(name, key, len);
            name += len;
            err = read_tensor(entry, data, t, info);
        }
        if (err)
            return err;
    }
    return VX_OK;
}

static vx_err build_index(vx_safetensors *file, json_t *header, const data_area *data, vx_errinfo *info)
{
    size_t n = json_object_size(header) - (json_object_get(header, METADATA_KEY) ? 1 : 0);
    vx_err err;

    if (n > MAX_TENSORS)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, LENGTH_BYTES, 0, "more than %d tensors",
                                 MAX_TENSORS);
    err = allocate(file, header, n);
    if (err)
        return vx_errinfo_set(info, err, "no memory for the index of %zu tensors", n);
    err = read_entries(file, header, data, info);
    if (err)
        return err;
    qsort(file->tensors, n, sizeof *file->tensors, compare_data);
    /* Only now do the tensors keep their place. */
    for (size_t i = 0; i < n; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, n, sizeof *file->by_name, compare_name);
    return check_coverage(file, data, info);
}

static vx_err parse_header(const uint8_t *file, size_t n, json_t **ret_header, data_area *ret_data, vx_errinfo *info)
{
    const vx_json_limits limits = {MAX_JSON_DEPTH, MAX_JSON_VALUES};
    vx_errinfo cause = {0};
    uint64_t header_len;
    json_t *header;
    vx_err err;

    if (n < LENGTH_BYTES)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, 0, 0, "%zu bytes are too few for safetensors", n);
    header_len = vx_le64(file);
    if (header_len > MAX_HEADER_BYTES || header_len > n - LENGTH_BYTES)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, 0, 0,
                                 "the header is said to take %llu bytes, which is over 16 MiB or the file's end",
                                 (unsigned long long)header_len);
    err = vx_json_parse((const char *)file + LENGTH_BYTES, (size_t)header_len, limits, &header, &cause);
    if (err)
        return vx_errinfo_set_at(info, err == VX_ERR_NOMEM ? err : VX_ERR_MODEL_CORRUPT, NULL,
                                 LENGTH_BYTES + (cause.offset > 0 ? cause.offset : 0), 0, "header: %s",
                                 vx_errinfo_text(&cause, err));
    if (!json_is_object(header)) {
        json_decref(header);
        return vx_errinfo_set_at(info, VX_ERR_MODEL_CORRUPT, NULL, LENGTH_BYTES, 0, "the header is not an object");
    }
    *ret_header = header;
    ret_data->file_offset = LENGTH_BYTES + (size_t)header_len;
    ret_data->start = file + ret_data->file_offset;
    ret_data->len = n - ret_data->file_offset;
    return VX_OK;
}

vx_err vx_safetensors_open(const void *data, size_t n, vx_safetensors **ret_file, vx_errinfo *info)
{
    vx_safetensors *file = NULL;
    json_t *header = NULL;
    data_area area = {0};
    vx_err err;

    err = parse_header(data, n, &header, &area, info);
    if (err)
        goto out;
    file = calloc(1, sizeof *file);
    if (!file) {
        err = vx_errinfo_set(info, VX_ERR_NOMEM, "no memory for the index of a safetensors file");
        goto out;
    }
    err = build_index(file, header, &area, info);
    if (err)
        goto out;
    *ret_file = file;
    file = NULL;
out:
    vx_safetensors_close(file);
    json_decref(header);
    return err;
}

void vx_safetensors_close(vx_safetensors *file)
{
    if (!file)
        return;
    free(file->names);
    free(file->by_name);
    free(file->tensors);
    free(file);
}

const vx_tensor *vx_safetensors_find(const vx_safetensors *file, const char *name)
{
    const vx_tensor **found = bsearch(name, file->by_name, file->n_tensors, sizeof *file->by_name, compare_key);

    return found ? *found : NULL;
}

size_t vx_safetensors_count(const vx_safetensors *file)
{
    return file->n_tensors;
}

const vx_tensor *vx_safetensors_at(const vx_safetensors *file, size_t i)
{
    return i < file->n_tensors ? &file->tensors[i] : NULL;
}
