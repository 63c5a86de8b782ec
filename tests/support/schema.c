/* schema.c - the JSON Schema keywords of our own document. */
#include "tests/support/schema.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const json_t *document;
    char place[256]; /* of the value at hand, "embedding[3]" */
    char *why;
    size_t cap;
} check;

static bool holds(check *c, const json_t *schema, const json_t *value);

static bool wrong(check *c, const char *what)
{
    snprintf(c->why, c->cap, "%s: %s", c->place[0] ? c->place : "the value", what);
    return false;
}

/* Steps into a part of the value, checks it, and steps back. */
static bool part_holds(check *c, const json_t *schema, const json_t *value, const char *step)
{
    const size_t len = strlen(c->place);
    snprintf(c->place + len, sizeof c->place - len, "%s", step);
    const bool ok = holds(c, schema, value);
    c->place[len] = '\0';
    return ok;
}

const json_t *schema_follow(const json_t *document, const json_t *node)
{
    const char *ref;
    while (node && (ref = json_string_value(json_object_get(node, "$ref")))) {
        char path[256];
        node = strncmp(ref, "#/", 2) == 0 ? document : NULL;
        snprintf(path, sizeof path, "%s", ref + (node ? 2 : 0));
        char *rest = path, *step;
        while (node && (step = strsep(&rest, "/")))
            node = json_object_get(node, step);
    }
    return node;
}

static bool is_type(const char *type, const json_t *value)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value);
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool type_holds(check *c, const json_t *types, const json_t *value)
{
    size_t i;
    json_t *type;
    if (json_is_string(types))
        return is_type(json_string_value(types), value) || wrong(c, "has another type");
    json_array_foreach((json_t *)types, i, type)
    {
        if (is_type(json_string_value(type), value))
            return true;
    }
    return wrong(c, "has none of the types");
}

static bool matches(const char *pattern, const char *text)
{
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    const bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static bool object_holds(check *c, const json_t *required, const json_t *properties, const json_t *value)
{
    size_t i;
    json_t *name, *part;
    const char *key;
    char step[80];
    json_array_foreach((json_t *)required, i, name)
    {
        if (!json_object_get(value, json_string_value(name))) {
            snprintf(step, sizeof step, "lacks '%s'", json_string_value(name));
            return wrong(c, step);
        }
    }
    json_object_foreach((json_t *)value, key, part)
    {
        const json_t *schema = json_object_get(properties, key);
        snprintf(step, sizeof step, ".%s", key);
        if (properties && !schema)
            return part_holds(c, NULL, part, step);
        if (schema && !part_holds(c, schema, part, step))
            return false;
    }
    return true;
}

/* Of an object whose members have names of the data's own. */
static bool values_hold(check *c, const json_t *schema, const json_t *value)
{
    const char *key;
    json_t *part;
    char step[80];
    json_object_foreach((json_t *)value, key, part)
    {
        snprintf(step, sizeof step, ".%s", key);
        if (!part_holds(c, schema, part, step))
            return false;
    }
    return true;
}

static bool items_hold(check *c, const json_t *schema, const json_t *value)
{
    size_t i;
    json_t *item;
    char step[32];
    json_array_foreach((json_t *)value, i, item)
    {
        snprintf(step, sizeof step, "[%zu]", i);
        if (!part_holds(c, schema, item, step))
            return false;
    }
    return true;
}

/* most: of oneOf, only one may hold. */
static bool some_hold(check *c, const json_t *schemas, const json_t *value, size_t most)
{
    size_t i, n = 0;
    json_t *schema;
    json_array_foreach((json_t *)schemas, i, schema) n += holds(c, schema, value);
    return n >= 1 && n <= most ? true : n ? wrong(c, "more than one of oneOf holds") : false;
}

/* oneOf beside properties only says which of them go together. */
static bool one_combination(check *c, const json_t *schemas, const json_t *value)
{
    size_t i, n = 0;
    json_t *schema;
    json_array_foreach((json_t *)schemas, i, schema) n +=
        object_holds(c, json_object_get(schema, "required"), NULL, value);
    return n == 1 || wrong(c, "not exactly one of oneOf holds");
}

static bool keyword_holds(check *c, const json_t *schema, const char *key, const json_t *rule, const json_t *value)
{
    static const char *const notes[] = {"description", "format",  "contentEncoding",
                                        "default",     "summary", "required" /* with properties */};
    size_t i;
    json_t *choice;
    for (i = 0; i < sizeof notes / sizeof *notes; i++) {
        if (strcmp(key, notes[i]) == 0 && (strcmp(key, "required") != 0 || json_object_get(schema, "properties")))
            return true;
    }
    if (strcmp(key, "type") == 0)
        return type_holds(c, rule, value);
    if (strcmp(key, "const") == 0)
        return json_equal(rule, value) || wrong(c, "is not the constant");
    if (strcmp(key, "enum") == 0) {
        json_array_foreach((json_t *)rule, i, choice)
        {
            if (json_equal(choice, value))
                return true;
        }
        return wrong(c, "is not in the list");
    }
    if (strcmp(key, "pattern") == 0)
        return !json_is_string(value) || matches(json_string_value(rule), json_string_value(value)) ||
               wrong(c, "does not match the pattern");
    if (strcmp(key, "minimum") == 0)
        return !json_is_number(value) || json_number_value(value) >= json_number_value(rule) ||
               wrong(c, "is too small");
    if (strcmp(key, "maximum") == 0)
        return !json_is_number(value) || json_number_value(value) <= json_number_value(rule) ||
               wrong(c, "is too large");
    if (strcmp(key, "minItems") == 0)
        return !json_is_array(value) || (json_int_t)json_array_size(value) >= json_integer_value(rule) ||
               wrong(c, "has too few items");
    if (strcmp(key, "maxItems") == 0)
        return !json_is_array(value) || (json_int_t)json_array_size(value) <= json_integer_value(rule) ||
               wrong(c, "has too many items");
    if (strcmp(key, "items") == 0)
        return !json_is_array(value) || items_hold(c, rule, value);
    if (strcmp(key, "properties") == 0)
        return !json_is_object(value) || object_holds(c, json_object_get(schema, "required"), rule, value);
    if (strcmp(key, "additionalProperties") == 0) /* in place of properties, not beside them */
        return !json_is_object(value) || values_hold(c, rule, value);
    if (strcmp(key, "anyOf") == 0)
        return some_hold(c, rule, value, json_array_size(rule));
    if (strcmp(key, "oneOf") == 0)
        return json_object_get(schema, "properties") ? one_combination(c, rule, value) : some_hold(c, rule, value, 1);
    return wrong(c, "its schema has a keyword that this check does not know");
}

static bool holds(check *c, const json_t *schema, const json_t *value)
{
    const char *key;
    json_t *rule;
    schema = schema_follow(c->document, schema);
    if (!schema)
        return wrong(c, "is not documented");
    json_object_foreach((json_t *)schema, key, rule)
    {
        if (!keyword_holds(c, schema, key, rule, value))
            return false;
    }
    return true;
}

bool schema_holds(const json_t *document, const json_t *schema, const json_t *value, char *ret_why, size_t cap)
{
    check c = {.document = document, .why = ret_why, .cap = cap};
    return holds(&c, schema, value);
}
