/* json_wipe.h - makes jansson wipe what it frees.
 * Requests hold recordings and voiceprints inside JSON, and jansson copies them into strings and numbers of its own.
 */
#ifndef VX_CLOUD_JSON_WIPE_H
#define VX_CLOUD_JSON_WIPE_H

/* Sets jansson's allocator for the whole process. Once, by main, before anything uses jansson. */
void vx_json_wipe_install(void);

#endif
