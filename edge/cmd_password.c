/* cmd_password.c - voxlock password: the login password, where the lock screen has to be typed into.
 * Owns:   reading it, from a terminal without showing it. Does not: keep it (store/password.h).
 */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "edge/cmd.h"
#include "edge/store/password.h"
#include "edge/unlock/desktop.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"

enum { MAX_LINE = 2048 };

/* One line of the terminal. Echo is off, and so are its signals: an interrupt would leave it off. Ctrl-C is a character
 * then, and one that no password holds. ret_line [out] wiped by the caller */
static vx_err ask_for(const char *prompt, char ret_line[MAX_LINE], vx_errinfo *info)
{
    struct termios shown, hidden;
    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return vx_errinfo_set(info, VX_ERR_IO, "the terminal cannot be asked not to show what is typed");
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
        return vx_errinfo_set(info, VX_ERR_IO, "the terminal cannot be asked not to show what is typed");
    dprintf(STDERR_FILENO, "%s", prompt);
    const ssize_t n = read(STDIN_FILENO, ret_line, MAX_LINE - 1);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    dprintf(STDERR_FILENO, "\n");
    if (n <= 0)
        return vx_errinfo_set(info, VX_ERR_IO, "nothing was typed");
    ret_line[n] = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return VX_OK;
}

/* Twice, since one slip would be typed at every lock screen to come. ret_line [out] wiped by the caller */
static vx_err read_terminal(char ret_line[MAX_LINE], vx_errinfo *info)
{
    char again[MAX_LINE] = "";
    vx_err err = ask_for("Login password (it is not shown): ", ret_line, info);
    if (err == VX_OK)
        err = ask_for("Once more: ", again, info);
    if (err == VX_OK && strcmp(again, ret_line) != 0)
        err = vx_errinfo_set(info, VX_ERR_RANGE, "those were two different passwords: nothing is kept");
    vx_wipe(again, sizeof again);
    return err;
}

static vx_err read_stdin(char ret_line[MAX_LINE], vx_errinfo *info)
{
    vx_buf text = {0};
    vx_err err = vx_file_read("-", MAX_LINE - 1, &text, info);
    if (err == VX_OK) {
        memcpy(ret_line, text.data ? (const char *)text.data : "", text.len);
        ret_line[text.len] = '\0';
        ret_line[strcspn(ret_line, "\r\n")] = '\0';
    }
    vx_buf_wipe_done(&text);
    return err;
}

/* A password that no unlock needs is not kept. */
static vx_err is_needed(vx_errinfo *info)
{
    vx_desktop desktop;
    vx_err err = vx_desktop_open(&desktop, info);
    if (err != VX_OK)
        return err;
    if (!desktop.type)
        err = vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "%s unlocks without a password: none is kept", desktop.system);
    desktop.close(desktop.arg);
    return err;
}

static vx_err keep(vx_errinfo *info)
{
    char password[MAX_LINE] = "";
    vx_err err = is_needed(info);
    if (err == VX_OK)
        err = isatty(STDIN_FILENO) ? read_terminal(password, info) : read_stdin(password, info);
    if (err == VX_OK)
        err = vx_password_put(password, info);
    vx_wipe(password, sizeof password);
    return err;
}

static int run(const vx_cmd_call *call)
{
    static const struct {
        const char *name;
        vx_err (*act)(vx_errinfo *info);
        const char *done;
    } actions[] = {
        {"keep", keep, "kept, and it can be read back; voxlock password forget removes it"},
        {"test", vx_password_test, "a login password is kept and can be read now"},
        {"forget", vx_password_forget, "no login password is kept"},
    };
    vx_errinfo info = {0};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(call->operands[0], actions[i].name) != 0)
            continue;
        const vx_err err = actions[i].act(&info);
        if (err != VX_OK)
            return vx_cmd_fail("password", err, &info);
        dprintf(STDERR_FILENO, "voxlock: %s\n", actions[i].done);
        return VX_EXIT_OK;
    }
    return vx_cmd_misused("password: '%s' is not one of keep, test, forget", call->operands[0]);
}

const vx_cmd vx_cmd_password = {
    .name = "password",
    .usage = "keep|test|forget",
    .help =
        "Keep the login password in the system's keyring, for lock screens that have to be typed into (macOS); read "
        "from the terminal, or the first line of standard input.",
    .actions = "keep|test|forget",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
