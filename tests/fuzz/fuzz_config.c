/* fuzz_config.c - any config file is refused with its line, or gives values that read back as themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/options.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static char *const nothing[] = {NULL};

/* What is shown for a setting (voxlock config) must mean the same when it is set again. */
static void check_again(int program, const vx_option *option, const char *value)
{
    size_t cap = strlen(option->name) + strlen(value) + 2;
    char *variable = malloc(cap);
    const char *again, *origin;
    vx_options *o = NULL;
    int n_operands;

    require(variable != NULL);
    (void)snprintf(variable, cap, "%s=%s", option->name, value);
    char *const environ_[] = {variable, NULL};
    require(vx_options_load(program, environ_, 0, nothing, NULL, &(const char *){NULL}, &n_operands, &o, NULL) ==
            VX_OK);
    for (size_t i = 0;; i++) {
        const vx_option *other = vx_option_at(o, i, &again, &origin);
        require(other != NULL);
        if (other == option)
            break;
    }
    require(strcmp(again, value) == 0);
    vx_options_destroy(o);
    free(variable);
}

static void check_program(int program, const char *path)
{
    const char *operand = NULL, *value, *origin;
    int n_operands = -1;
    vx_options *o = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_options_load(program, nothing, 0, nothing, path, &operand, &n_operands, &o, &info);

    require(info.code == err && (err == VX_OK) == (o != NULL));
    if (err != VX_OK) {
        require((err == VX_ERR_OPTION_UNKNOWN || err == VX_ERR_OPTION_VALUE) && info.line > 0 && info.text[0] != '\0');
        return;
    }
    const vx_option *option;
    for (size_t i = 0; (option = vx_option_at(o, i, &value, &origin)) != NULL; i++) {
        require(value && origin && origin[0] != '\0');
        if (strcmp(origin, "default") != 0 && value[0] != '\0')
            check_again(program, option, value);
    }
    vx_options_destroy(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *file = tmpfile();
    char path[32];

    require(file && fwrite(data, 1, size, file) == size && fflush(file) == 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fileno(file));
    for (int program = VX_FOR_CLOUD; program <= VX_FOR_EDGE; program++) {
        /* On macOS the opened path shares this descriptor's position. */
        require(lseek(fileno(file), 0, SEEK_SET) == 0);
        check_program(program, path);
    }
    (void)fclose(file);
    return 0;
}
