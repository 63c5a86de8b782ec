/* keyring_macos.c - Keychain as a keyring; on other systems there is none.
 * Owns:   the one generic password an entry is. Does not: wait (keyring_call.c bounds it).
 * Source: Apple's documentation of SecItemAdd, SecItemCopyMatching, SecItemDelete (Security framework).
 *
 * The login keychain, since the data-protection keychain is closed to programs without an entitlement, as everything that
 * is built from source is. kSecUseAuthenticationUIFail: an error instead of a window.
 */
#include "edge/store/keyring_private.h"

#if defined(__APPLE__)

#include <Security/Security.h>
#include <stdio.h>
#include <string.h>

#define SERVICE CFSTR("voxlock")

/* Matches the entry of a store; NULL when memory is out. */
static CFMutableDictionaryRef query_of(const char *key_id)
{
    CFMutableDictionaryRef query =
        CFDictionaryCreateMutable(NULL, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
    CFStringRef account = CFStringCreateWithCString(NULL, key_id, kCFStringEncodingUTF8);
    if (query && account) {
        CFDictionarySetValue(query, kSecClass, kSecClassGenericPassword);
        CFDictionarySetValue(query, kSecAttrService, SERVICE);
        CFDictionarySetValue(query, kSecAttrAccount, account);
        CFDictionarySetValue(query, kSecUseAuthenticationUI, kSecUseAuthenticationUIFail);
    } else if (query) {
        CFRelease(query);
        query = NULL;
    }
    if (account)
        CFRelease(account);
    return query;
}

static vx_err told(OSStatus status, char *ret_why)
{
    switch (status) {
    case errSecSuccess: return VX_OK;
    case errSecItemNotFound: return VX_ERR_NOT_FOUND;
    case errSecAllocate: return VX_ERR_NOMEM;
    /* A window would be needed, and is not wanted: the keychain is locked, or another build of this program made the entry. */
    case errSecInteractionNotAllowed:
        snprintf(ret_why, VX_KEYRING_WHY_CAP,
                 "it wants to ask you first (-25308): unlock the login keychain in Keychain Access, and keep the entry "
                 "anew if voxlock was rebuilt");
        return VX_ERR_STORE_KEY;
    case errSecAuthFailed:
        snprintf(ret_why, VX_KEYRING_WHY_CAP, "it does not let this program in: open Keychain Access");
        return VX_ERR_STORE_KEY;
    case errSecNoSuchKeychain:
    case errSecNoDefaultKeychain:
    case errSecNotAvailable:
        snprintf(ret_why, VX_KEYRING_WHY_CAP, "there is none for this user (status %d)", (int)status);
        return VX_ERR_UNSUPPORTED;
    default: snprintf(ret_why, VX_KEYRING_WHY_CAP, "it refuses (status %d)", (int)status); return VX_ERR_STORE_KEY;
    }
}

static vx_err get(const char *key_id, char *ret_secret, char *ret_why)
{
    CFMutableDictionaryRef query = query_of(key_id);
    CFTypeRef found = NULL;
    if (!query)
        return VX_ERR_NOMEM;
    CFDictionarySetValue(query, kSecReturnData, kCFBooleanTrue);
    CFDictionarySetValue(query, kSecMatchLimit, kSecMatchLimitOne);
    vx_err err = told(SecItemCopyMatching(query, &found), ret_why);
    CFRelease(query);
    if (err == VX_OK) {
        CFDataRef data = (CFDataRef)found;
        CFIndex n = CFDataGetLength(data);
        const size_t kept = n > 0 && n < VX_KEYRING_TEXT_CAP ? (size_t)n : 0;
        memcpy(ret_secret, CFDataGetBytePtr(data), kept);
        ret_secret[kept] = '\0';
        CFRelease(found);
    }
    return err;
}

static vx_err drop(const char *key_id, char *ret_why)
{
    CFMutableDictionaryRef query = query_of(key_id);
    if (!query)
        return VX_ERR_NOMEM;
    vx_err err = told(SecItemDelete(query), ret_why);
    CFRelease(query);
    return err;
}

static vx_err put(const char *key_id, const char *secret, char *ret_why)
{
    CFDataRef data = CFDataCreate(NULL, (const UInt8 *)secret, (CFIndex)strlen(secret));
    CFStringRef label = CFStringCreateWithCString(NULL, vx_keyring_label(key_id), kCFStringEncodingUTF8);
    CFMutableDictionaryRef item = query_of(key_id);
    vx_err err = VX_ERR_NOMEM;
    if (!data || !label || !item)
        goto out;
    CFDictionarySetValue(item, kSecAttrLabel, label);
    CFDictionarySetValue(item, kSecValueData, data);
    OSStatus status = SecItemAdd(item, NULL);
    if (status == errSecDuplicateItem) {
        err = drop(key_id, ret_why);
        if (err != VX_OK)
            goto out;
        status = SecItemAdd(item, NULL);
    }
    err = told(status, ret_why);
out:
    if (item)
        CFRelease(item);
    if (label)
        CFRelease(label);
    if (data)
        CFRelease(data);
    return err;
}

const vx_keyring_backend *vx_keyring_keychain(void)
{
    static const vx_keyring_backend backend = {
        .abi = VX_KEYRING_ABI, .name = "Keychain", .get = get, .put = put, .drop = drop};
    return &backend;
}

#else

const vx_keyring_backend *vx_keyring_keychain(void)
{
    return NULL;
}

#endif
