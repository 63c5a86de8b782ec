/* fuzz_auth.c - a setting and, behind a newline, an Authorization header: settings are refused without an echo, and no
 * header opens a door that its token's own pair does not stand at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/auth.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static char *copy(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    require(text != NULL);
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    return text;
}

/* The header was let in as `name`: the same token and name as a setting of their own must let it in, too. */
static void check_pair(const char *header, const char *name)
{
    char pair[VX_AUTH_PAIR_CAP], token[512];
    vx_auth *auth = NULL;
    const char *again;
    if (strlen(header) >= sizeof token || sscanf(header + 7, "%511s", token) != 1 ||
        vx_auth_pair(name, token, pair, NULL) != VX_OK)
        return;
    require(vx_auth_create(pair, &auth, NULL) == VX_OK);
    require(vx_auth_check(auth, header, &again) == VX_OK && strcmp(again, name) == 0);
    vx_auth_destroy(auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t first = line ? (size_t)(line - data) : size;
    char *setting = copy(data, first);
    char *header = line ? copy(line + 1, size - first - 1) : NULL;
    vx_auth *auth = NULL;
    vx_errinfo info = {0};
    const char *name = NULL;
    if (setting[0] != '@' && vx_auth_create(setting, &auth, &info) != VX_OK) {
        require(info.code == VX_ERR_OPTION_VALUE && auth == NULL);
        require(strlen(setting) < 64 || !strstr(info.text, setting));
    }
    if (auth && vx_auth_check(auth, header, &name) == VX_OK && vx_auth_is_on(auth))
        check_pair(header, name);
    vx_auth_destroy(auth);
    free(setting);
    free(header);
    return 0;
}
