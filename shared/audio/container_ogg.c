/* container_ogg.c - Ogg files: every page whole, in order, and up to the last one.
 * Owns:   the page walk. Does not: decode.
 * libogg drops a page whose CRC is wrong, and libsndfile takes whatever page comes last for the end: both shorten the
 * recording without a word. The walk sees every flipped bit and every missing page.
 */
#include <string.h>

#include "shared/audio/container.h"
#include "shared/base/bytes.h"

#define PAGE_HEADER 27
#define FLAG_FIRST  0x02
#define FLAG_LAST   0x04

/* CRC-32 with polynomial 0x04c11db7, most significant bit first, start 0: RFC 3533. The table is made per file, 256
 * times 8 steps against some 4,000 bytes in a page, rather than kept as a global. */
static void crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ ((crc & 0x80000000u) ? 0x04c11db7u : 0);
        table[i] = crc;
    }
}

static uint32_t crc_of(const uint32_t table[256], uint32_t crc, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        crc = (crc << 8) ^ table[(crc >> 24) ^ data[i]];
    return crc;
}

/* Bytes of the page at data, header included; 0 if it is not one, or not whole. */
static size_t page_len(const uint8_t *data, size_t n)
{
    if (n < PAGE_HEADER || memcmp(data, "OggS", 5) != 0) /* the fifth byte is version 0 */
        return 0;
    size_t len = PAGE_HEADER + (size_t)data[26];
    if (n < len)
        return 0;
    for (size_t i = PAGE_HEADER, end = len; i < end; i++)
        len += data[i];
    return n < len ? 0 : len;
}

static int page_is_intact(const uint32_t table[256], const uint8_t *page, size_t len)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc_of(table, 0, page, 22); /* the CRC's own field counts as zeros */
    crc = crc_of(table, crc, zeros, 4);
    crc = crc_of(table, crc, page + 26, len - 26);
    return crc == vx_le32(page + 22);
}

/* The first packet says which codec it is. */
static vx_err check_codec(const uint8_t *page, size_t len, vx_errinfo *info)
{
    const uint8_t *packet = page + PAGE_HEADER + page[26];
    size_t n = len - PAGE_HEADER - page[26];
    if (n >= 8 && (memcmp(packet, "OpusHead", 8) == 0 || memcmp(packet, "\x01vorbis", 7) == 0))
        return VX_OK;
    return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT, "the Ogg file holds neither Vorbis nor Opus");
}

vx_err vx_container_ogg(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info)
{
    uint32_t table[256];
    crc_table(table);
    uint32_t serial = 0, number = 0;
    int flags = 0;
    for (size_t at = 0, len; at < n; at += len, number++) {
        const uint8_t *page = data + at;
        len = page_len(page, n - at);
        if (len == 0 || !page_is_intact(table, page, len))
            return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)at, 0,
                                     "the Ogg page at byte %zu is damaged or cut off", at);
        flags = page[5];
        if (at == 0) {
            serial = vx_le32(page + 14);
            number = vx_le32(page + 18);
            vx_err err = check_codec(page, len, info);
            if (err != VX_OK)
                return err;
        } else if (vx_le32(page + 14) != serial || (flags & FLAG_FIRST)) {
            return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                                  "the Ogg file holds several streams (video, or recordings joined); send one");
        } else if (vx_le32(page + 18) != number) {
            return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)at, 0,
                                     "pages are missing before byte %zu of the Ogg file", at);
        }
    }
    if (!(flags & FLAG_LAST))
        return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)n, 0,
                                 "the Ogg file is cut off: its last page is missing");
    *ret = (vx_container){.body = data, .body_len = n};
    return VX_OK;
}
