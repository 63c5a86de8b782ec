/* surroundings.c - what is seen of the place, hashed so that it can be kept.
 * Owns:   the keyed hash. Does not: look (surroundings_proc.c, surroundings_macos.c), judge (context.c).
 */
#include "edge/evidence/surroundings.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "edge/evidence/context.h"

bool vx_hardware_address_tells(const uint8_t address[VX_HARDWARE_ADDRESS])
{
    static const uint8_t nobody[VX_HARDWARE_ADDRESS] = {0}, hidden[VX_HARDWARE_ADDRESS] = {2};
    return (address[0] & 1) == 0 && memcmp(address, nobody, sizeof nobody) != 0 &&
           memcmp(address, hidden, sizeof hidden) != 0;
}

/* HMAC-SHA-256 under the salt, cut to a key; a letter in front keeps the kinds apart. False: there is no such hash. */
static bool hash(const vx_places *salted, char kind, const void *data, size_t len, uint8_t ret_key[VX_PLACE_KEY])
{
    uint8_t message[1 + VX_MICROPHONE_CAP], digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (len >= sizeof message)
        return false;
    message[0] = (uint8_t)kind;
    memcpy(message + 1, data, len);
    const bool done = HMAC(EVP_sha256(), salted->salt, sizeof salted->salt, message, 1 + len, digest, &n) != NULL;
    if (done)
        memcpy(ret_key, digest, VX_PLACE_KEY);
    vx_wipe(message, sizeof message);
    vx_wipe(digest, sizeof digest);
    return done;
}

void vx_surroundings_read(const vx_places *salted, const char *microphone, vx_surroundings *ret)
{
    vx_sight sight;
    vx_surroundings now = {.since_lock_s = -1};
    vx_sight_take(&sight);
    now.displays = sight.displays;
    now.has_network = sight.has_gateway && hash(salted, 'n', sight.gateway, sizeof sight.gateway, now.network);
    now.has_device = microphone[0] != '\0' && hash(salted, 'd', microphone, strlen(microphone), now.device);
    vx_wipe(&sight, sizeof sight);
    *ret = now;
}
