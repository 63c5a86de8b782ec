/* service_text.c - what a systemd user unit and a LaunchAgent plist of the agent say. */
#include <string.h>

#include "edge/agent/service.h"
#include "shared/base/utf8.h"

/* ---- quoting ---------------------------------------------------------------------------------------------------- */

/* A word of ExecStart: in double quotes, with what systemd would expand there doubled: % everywhere, $ in every word but
 * the program's. */
static vx_err put_word(vx_buf *out, const char *text, bool is_program)
{
    vx_err err = vx_buf_append(out, "\"", 1);
    for (; err == VX_OK && *text; text++) {
        const char twice[2] = {*text, *text}, escaped[2] = {'\\', *text};
        if (*text == '%' || (*text == '$' && !is_program))
            err = vx_buf_append(out, twice, 2);
        else if (*text == '"' || *text == '\\')
            err = vx_buf_append(out, escaped, 2);
        else
            err = vx_buf_append(out, text, 1);
    }
    return err == VX_OK ? vx_buf_append(out, "\"", 1) : err;
}

static vx_err put_xml(vx_buf *out, const char *text)
{
    vx_err err = VX_OK;
    for (; err == VX_OK && *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        err = entity ? vx_buf_append(out, entity, strlen(entity)) : vx_buf_append(out, text, 1);
    }
    return err;
}

/* A line break would end the setting, and begin another; both formats are UTF-8. */
static bool is_plain(const char *path)
{
    uint32_t code;
    for (size_t left = strlen(path), n; left > 0; path += n, left -= n) {
        n = vx_utf8_next((const uint8_t *)path, left, &code);
        if (n == 0 || code < 0x20 || code == 0x7f)
            return false;
    }
    return true;
}

/* ---- systemd ---------------------------------------------------------------------------------------------------- */

static const char unit_head[] = "# Written by voxlock agent install; voxlock agent remove takes it away.\n"
                                "[Unit]\n"
                                "Description=voxlock: unlocks the screen by voice\n"
                                "After=graphical-session.target pipewire.service pulseaudio.service\n"
                                "StartLimitIntervalSec=300\n"
                                "StartLimitBurst=5\n"
                                "\n"
                                "[Service]\n"
                                "Type=simple\n"
                                "ExecStart=";

static const char unit_tail[] =
    "\n"
    "ExecReload=/bin/kill -HUP $MAINPID\n"
    "Restart=on-failure\n"
    "RestartSec=2\n"
    "TimeoutStopSec=10\n"
    "UMask=0077\n"
    "LimitCORE=0\n"
    "\n"
    "# No ProtectHome, PrivateTmp and the like: for a user they need a user namespace, in which root, who asks for "
    "PAM, is\n"
    "# nobody. No MemoryDenyWriteExecute: the library of matrix products writes its kernels at run time.\n"
    "NoNewPrivileges=yes\n"
    "LockPersonality=yes\n"
    "RestrictNamespaces=yes\n"
    "RestrictSUIDSGID=yes\n"
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    "SystemCallArchitectures=native\n"
    "SystemCallFilter=@system-service\n"
    "SystemCallErrorNumber=EPERM\n"
    "\n"
    "[Install]\n"
    "WantedBy=default.target\n";

static vx_err put_unit(const vx_service *s, vx_buf *out)
{
    vx_err err = vx_buf_append(out, unit_head, sizeof unit_head - 1);
    if (err == VX_OK)
        err = put_word(out, s->program, true);
    if (err == VX_OK)
        err = vx_buf_printf(out, " agent run");
    if (err == VX_OK && s->config[0])
        err = vx_buf_printf(out, " --config ");
    if (err == VX_OK && s->config[0])
        err = put_word(out, s->config, false);
    return err == VX_OK ? vx_buf_append(out, unit_tail, sizeof unit_tail - 1) : err;
}

/* ---- launchd ---------------------------------------------------------------------------------------------------- */

static const char plist_head[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
    "<!-- Written by voxlock agent install; voxlock agent remove takes it away. -->\n"
    "<plist version=\"1.0\">\n"
    "<dict>\n"
    "    <key>Label</key>\n"
    "    <string>" VX_SERVICE_LABEL "</string>\n"
    "    <key>ProgramArguments</key>\n"
    "    <array>\n";

/* Aqua: the microphone, the session's lock state and the events that unlock it belong to the graphical session alone.
 * Interactive: a background process is throttled, and somebody stands before the screen and waits. */
static const char plist_tail[] = "    </array>\n"
                                 "    <key>LimitLoadToSessionType</key>\n"
                                 "    <string>Aqua</string>\n"
                                 "    <key>RunAtLoad</key>\n"
                                 "    <true/>\n"
                                 "    <key>KeepAlive</key>\n"
                                 "    <dict>\n"
                                 "        <key>SuccessfulExit</key>\n"
                                 "        <false/>\n"
                                 "    </dict>\n"
                                 "    <key>ThrottleInterval</key>\n"
                                 "    <integer>10</integer>\n"
                                 "    <key>ProcessType</key>\n"
                                 "    <string>Interactive</string>\n"
                                 "    <key>ExitTimeOut</key>\n"
                                 "    <integer>10</integer>\n"
                                 "    <key>Umask</key>\n"
                                 "    <integer>63</integer>\n"
                                 "    <key>HardResourceLimits</key>\n"
                                 "    <dict>\n"
                                 "        <key>Core</key>\n"
                                 "        <integer>0</integer>\n"
                                 "    </dict>\n"
                                 "</dict>\n"
                                 "</plist>\n";

static vx_err put_argument(vx_buf *out, const char *text)
{
    vx_err err = vx_buf_printf(out, "        <string>");
    if (err == VX_OK)
        err = put_xml(out, text);
    return err == VX_OK ? vx_buf_printf(out, "</string>\n") : err;
}

static vx_err put_plist(const vx_service *s, vx_buf *out)
{
    const char *const arguments[] = {s->program, "agent", "run", "--config", s->config};
    const size_t n = s->config[0] ? 5 : 3;
    vx_err err = vx_buf_append(out, plist_head, sizeof plist_head - 1);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = put_argument(out, arguments[i]);
    return err == VX_OK ? vx_buf_append(out, plist_tail, sizeof plist_tail - 1) : err;
}

vx_err vx_service_text(const vx_service *service, vx_buf *out, vx_errinfo *info)
{
    if (!is_plain(service->program) || !is_plain(service->config))
        return vx_errinfo_set(info, VX_ERR_ARG,
                              "a path with a line break, or one that is not UTF-8, cannot be in a service");
    /* systemd refuses such a unit, however they are escaped. */
    if (service->kind == VX_SERVICE_SYSTEMD && strpbrk(service->program, "\"'\\"))
        return vx_errinfo_set(info, VX_ERR_ARG, "systemd starts no program with quotes or backslashes in its path");
    return service->kind == VX_SERVICE_SYSTEMD ? put_unit(service, out) : put_plist(service, out);
}
