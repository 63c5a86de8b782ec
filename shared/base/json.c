/* json.c - checked access to parsed JSON.
 * Owns:   the sentences about fields. Does not: parse (json_parse.c) or write (json_write.c).
 */
#include "shared/base/json.h"

#include <math.h>

#include "shared/base/clock.h"

/* Whole numbers up to here are exact as double. */
#define VX_JSON_EXACT 9007199254740992.0

/* Finds a field. *ret is NULL when an optional one is absent or null. */
static vx_err find(const json_t *obj, const char *key, bool required, const json_t **ret, vx_errinfo *info)
{
    if (!json_is_object(obj))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "an object with the field '%s' was expected", key);
    const json_t *value = json_object_get(obj, key);
    if (json_is_null(value))
        value = NULL;
    if (!value && required)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' is required", key);
    *ret = value;
    return VX_OK;
}

vx_err vx_json_text(const json_t *obj, const char *key, bool required, const char **ret, size_t *ret_len,
                    vx_errinfo *info)
{
    const json_t *value = NULL;
    vx_err err = find(obj, key, required, &value, info);

    if (err != VX_OK || !value)
        return err;
    if (!json_is_string(value))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be a string", key);
    *ret = json_string_value(value);
    if (ret_len)
        *ret_len = json_string_length(value);
    return VX_OK;
}

/* JSON has one kind of number: 16000.0 is as whole as 16000, and some clients write it so. */
static bool whole_number(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || fabs(real) > VX_JSON_EXACT || real != floor(real))
        return false;
    *ret = (int64_t)real;
    return true;
}

vx_err vx_json_int(const json_t *obj, const char *key, bool required, int64_t min, int64_t max, int64_t *ret,
                   vx_errinfo *info)
{
    const json_t *value = NULL;
    vx_err err = find(obj, key, required, &value, info);
    int64_t number;

    if (err != VX_OK || !value)
        return err;
    if (!whole_number(value, &number) || number < min || number > max)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be a whole number from %lld to %lld", key,
                              (long long)min, (long long)max);
    *ret = number;
    return VX_OK;
}

vx_err vx_json_real(const json_t *obj, const char *key, bool required, double min, double max, double *ret,
                    vx_errinfo *info)
{
    const json_t *value = NULL;
    vx_err err = find(obj, key, required, &value, info);

    if (err != VX_OK || !value)
        return err;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be a number from %g to %g", key, min, max);
    *ret = number;
    return VX_OK;
}

vx_err vx_json_bool(const json_t *obj, const char *key, bool required, bool *ret, vx_errinfo *info)
{
    const json_t *value = NULL;
    vx_err err = find(obj, key, required, &value, info);

    if (err != VX_OK || !value)
        return err;
    if (!json_is_boolean(value))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be true or false", key);
    *ret = json_is_true(value);
    return VX_OK;
}

vx_err vx_json_floats(const json_t *array, const char *what, size_t n, float *ret, vx_errinfo *info)
{
    if (!json_is_array(array) || json_array_size(array) != n)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "%s must be an array of %zu numbers", what, n);
    /* Checked before anything is written: a caller's vector is never half replaced. */
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_number(value) || !isfinite((float)json_number_value(value)))
            return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "%s must hold only finite numbers; number %zu is not one",
                                  what, i + 1);
    }
    for (size_t i = 0; i < n; i++)
        ret[i] = (float)json_number_value(json_array_get(array, i));
    return VX_OK;
}

json_t *vx_json_shown(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_string("(not UTF-8)");
}

json_t *vx_json_time(int64_t wall_ms)
{
    char text[VX_TIMESTAMP_CAP];
    if (wall_ms == 0)
        return json_null();
    vx_timestamp_of(wall_ms, text);
    return json_string(text);
}

json_t *vx_json_from_floats(const float *values, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < n; i++) {
        if (json_array_append_new(array, json_real((double)values[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}
