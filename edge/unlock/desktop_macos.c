/* desktop_macos.c - the macOS lock screen: its state from the window server's session dictionary, its field filled by
 * posted key events. Compiled to nothing elsewhere.
 * Owns:   those calls. Does not: know an order (unlock.c), touch authorization rules or plug-ins, read the password.
 * Source: Apple's documentation of CGSessionCopyCurrentDictionary, CGEventCreateKeyboardEvent,
 *         IOPMAssertionDeclareUserActivity, AXIsProcessTrusted, CGPreflightPostEventAccess. "CGSSessionScreenIsLocked" is
 *         in no header: it has been in the dictionary of a locked session since OS X 10.8. Were it renamed, every screen
 *         would look open, and nothing would be typed.
 */
#if defined(__APPLE__)

#include <ApplicationServices/ApplicationServices.h>
#include <IOKit/pwr_mgt/IOPMLib.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysctl.h>
#include <time.h>
#include <unistd.h>

#include "edge/unlock/desktop.h"
#include "shared/base/clock.h"

/* Positions on every Apple keyboard: kVK_Return and kVK_Delete of Carbon's Events.h. */
enum { KEY_RETURN = 36, KEY_BACKSPACE = 51, KEY_ANY = 0 };

typedef struct {
    CGEventSourceRef source;
    IOPMAssertionID activity;
} desk;

/* ---- state ----------------------------------------------------------------------------------------------------------- */

/* Booleans of this dictionary come as CFBoolean or as numbers, by version. Absent is false. */
static bool is_true(CFDictionaryRef session, CFStringRef key)
{
    const CFTypeRef value = CFDictionaryGetValue(session, key);
    int number = 0;
    if (!value)
        return false;
    if (CFGetTypeID(value) == CFBooleanGetTypeID())
        return CFBooleanGetValue((CFBooleanRef)value);
    return CFGetTypeID(value) == CFNumberGetTypeID() &&
           CFNumberGetValue((CFNumberRef)value, kCFNumberIntType, &number) && number != 0;
}

static bool is_own(CFDictionaryRef session)
{
    const CFTypeRef value = CFDictionaryGetValue(session, kCGSessionUserIDKey);
    int64_t uid = -1;
    return value && CFGetTypeID(value) == CFNumberGetTypeID() &&
           CFNumberGetValue((CFNumberRef)value, kCFNumberSInt64Type, &uid) && uid == (int64_t)getuid();
}

/* No dictionary: no window server session (ssh, a daemon). Not on the console: another user is in front, or a switch is
 * under way. */
static vx_lock_state state_of(void *arg)
{
    (void)arg;
    CFDictionaryRef session = CGSessionCopyCurrentDictionary();
    if (!session)
        return VX_LOCK_UNKNOWN;
    vx_lock_state state = VX_LOCK_UNKNOWN;
    if (is_own(session) && is_true(session, kCGSessionOnConsoleKey) && is_true(session, kCGSessionLoginDoneKey))
        state = is_true(session, CFSTR("CGSSessionScreenIsLocked")) ? VX_LOCK_LOCKED : VX_LOCK_UNLOCKED;
    CFRelease(session);
    return state;
}

static vx_unlock_method method(void *arg, char ret_why[VX_DESKTOP_WHY_CAP])
{
    const desk *d = arg;
    const char *why = "";
    bool may_post = true;
    if (__builtin_available(macOS 10.15, *))
        may_post = CGPreflightPostEventAccess();
    CFDictionaryRef session = CGSessionCopyCurrentDictionary();
    if (!session)
        why = "no login session to unlock: run voxlock in your desktop session, not over ssh or as a daemon";
    else if (!AXIsProcessTrusted() || !may_post)
        why = "macOS does not let voxlock send keys: allow it in System Settings, Privacy & Security, Accessibility "
              "(in a terminal, the terminal), then start it anew";
    else if (!d->source)
        why = "macOS gives no source for key events";
    if (session)
        CFRelease(session);
    snprintf(ret_why, VX_DESKTOP_WHY_CAP, "%s", why);
    return why[0] ? VX_UNLOCK_NONE : VX_UNLOCK_TYPE;
}

static vx_err wake(void *arg, vx_errinfo *info)
{
    desk *d = arg;
    /* The same assertion each time: a second declaration prolongs the first. */
    const IOReturn status =
        IOPMAssertionDeclareUserActivity(CFSTR("voxlock: unlocking"), kIOPMUserActiveLocal, &d->activity);
    if (status != kIOReturnSuccess)
        return vx_errinfo_set(info, VX_ERR_IO, "user activity is not accepted (status 0x%x)", (unsigned)status);
    return VX_OK;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

/* Down and up. Flags are cleared, or a modifier that the person holds would make a command of it. n_units 0: the key itself
 */
static vx_err post(const desk *d, CGKeyCode code, const UniChar *units, size_t n_units, vx_errinfo *info)
{
    CGEventRef down = CGEventCreateKeyboardEvent(d->source, code, true);
    CGEventRef up = CGEventCreateKeyboardEvent(d->source, code, false);
    vx_err err = VX_OK;
    if (down && up) {
        if (n_units > 0) {
            CGEventKeyboardSetUnicodeString(down, n_units, units);
            CGEventKeyboardSetUnicodeString(up, n_units, units);
        }
        CGEventSetFlags(down, 0);
        CGEventSetFlags(up, 0);
        CGEventPost(kCGHIDEventTap, down);
        CGEventPost(kCGHIDEventTap, up);
    } else {
        err = vx_errinfo_set(info, VX_ERR_NOMEM, "macOS makes no key event");
    }
    if (down)
        CFRelease(down);
    if (up)
        CFRelease(up);
    return err;
}

static vx_err erase(void *arg, vx_errinfo *info)
{
    return post(arg, KEY_BACKSPACE, NULL, 0, info);
}

/* By the character, not by its place on a keyboard: the layout of the lock screen need not be the user's. */
static vx_err type(void *arg, uint32_t code_point, vx_errinfo *info)
{
    UniChar units[2] = {(UniChar)code_point, 0};
    size_t n = 1;
    if (code_point > 0xffff) {
        units[0] = (UniChar)(0xd800 + ((code_point - 0x10000) >> 10));
        units[1] = (UniChar)(0xdc00 + (code_point & 0x3ff));
        n = 2;
    }
    return post(arg, KEY_ANY, units, n, info);
}

static vx_err enter(void *arg, vx_errinfo *info)
{
    return post(arg, KEY_RETURN, NULL, 0, info);
}

/* ---- the rest -------------------------------------------------------------------------------------------------------- */

static void sleep_ms(void *arg, int ms)
{
    (void)arg;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static uint64_t now_ns(void *arg)
{
    (void)arg;
    return vx_now_ns();
}

static void close_desk(void *arg)
{
    desk *d = arg;
    if (d->activity != kIOPMNullAssertionID)
        IOPMAssertionRelease(d->activity);
    if (d->source)
        CFRelease(d->source);
    free(d);
}

/* Whether posted keys reach the lock screen is a matter of the build: so it is named in what did not work. */
static void name_build(char *ret_system, size_t cap)
{
    char version[32] = "", build[32] = "";
    size_t version_cap = sizeof version - 1, build_cap = sizeof build - 1;
    if (sysctlbyname("kern.osproductversion", version, &version_cap, NULL, 0) != 0)
        version[0] = '\0';
    if (sysctlbyname("kern.osversion", build, &build_cap, NULL, 0) != 0)
        build[0] = '\0';
    snprintf(ret_system, cap, "macOS %s (%s)", version, build);
}

vx_err vx_desktop_open(vx_desktop *ret_desktop, vx_errinfo *info)
{
    (void)info;
    desk *d = calloc(1, sizeof *d);
    if (!d)
        return VX_ERR_NOMEM;
    d->activity = kIOPMNullAssertionID;
    d->source = CGEventSourceCreate(kCGEventSourceStatePrivate);
    *ret_desktop = (vx_desktop){.name = "macos",
                                .arg = d,
                                .method = method,
                                .state = state_of,
                                .wake = wake,
                                .erase = erase,
                                .type = type,
                                .enter = enter,
                                .sleep_ms = sleep_ms,
                                .now_ns = now_ns,
                                .close = close_desk};
    name_build(ret_desktop->system, sizeof ret_desktop->system);
    return VX_OK;
}

#endif
