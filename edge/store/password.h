/* password.h - the login password, kept by the system's keyring because its owner asked for the unlock that needs it.
 * Owns:   put, get, test, forget: Keychain (macOS) and the Secret Service (Linux). There is no file for it: where no keyring
 *         is, no password is kept. No keyring opens a window for it, and none is waited for longer than 5 s.
 */
#ifndef VX_EDGE_STORE_PASSWORD_H
#define VX_EDGE_STORE_PASSWORD_H

#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* password [in] UTF-8, 1 to 1024 bytes, no control characters; read back before it counts as kept. Where that fails nothing
 *          is left of it, as far as the keyring obeys
 * Errors   RANGE, STORE_KEY (no keyring, locked, or it refuses; info says which and what to do), NOMEM */
VX_MUST_CHECK vx_err vx_password_put(const char *password, vx_errinfo *info);
/* ret [out] appended, zero behind it not counted; the caller wipes. Errors: NOT_FOUND (none is kept), STORE_KEY, NOMEM,
 * and OVERFLOW where ret has a limit. */
VX_MUST_CHECK vx_err vx_password_get(vx_buf *ret, vx_errinfo *info);
/* That it could be read now: called while the screen is open, so that a keyring that locks itself is found out before it
 * matters. Errors: as vx_password_get. */
VX_MUST_CHECK vx_err vx_password_test(vx_errinfo *info);
/* Absent is no error. Errors: STORE_KEY, NOMEM. */
VX_MUST_CHECK vx_err vx_password_forget(vx_errinfo *info);

#endif
