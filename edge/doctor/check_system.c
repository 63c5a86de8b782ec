/* check_system.c - room on the disk, and memory. */
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "edge/doctor/doctor.h"
#include "edge/route/memory.h"

/* A profile of ten recordings takes 1 MB; an update of the store needs as much again for its log. */
#define LEAST_BYTES  (20.0 * 1024 * 1024)
#define ENOUGH_BYTES (200.0 * 1024 * 1024)

/* The folder, or the nearest above it that is there. */
static bool measure_disk(const char *folder, double *ret_free)
{
    char path[PATH_MAX];
    struct statvfs fs;
    const size_t len = strlen(folder);
    if (len >= sizeof path)
        return false;
    memcpy(path, folder, len + 1);
    while (statvfs(path, &fs) != 0) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            return false;
        *slash = '\0';
    }
    *ret_free = (double)fs.f_bavail * (double)fs.f_frsize;
    return true;
}

void vx_check_disk(vx_patient *patient, vx_finding *finding)
{
    double free_bytes = 0;
    if (!measure_disk(patient->data_folder, &free_bytes))
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "the system does not tell how much room is left");
    else
        vx_found(finding,
                 free_bytes < LEAST_BYTES    ? VX_CHECK_FAILED
                 : free_bytes < ENOUGH_BYTES ? VX_CHECK_WARNING
                                             : VX_CHECK_OK,
                 free_bytes < ENOUGH_BYTES ? "make room: an attempt that cannot be recorded unlocks nothing" : NULL,
                 "%.1f GB free where the profiles lie", free_bytes / 1e9);
}

void vx_check_memory(vx_patient *patient, vx_finding *finding)
{
    vx_memory memory;
    vx_errinfo info = {0};
    const bool has_cloud = *vx_option_text(patient->options, "VOXLOCK_CLOUD_ENDPOINT") != '\0';
    const double most = vx_option_real(patient->options, "VOXLOCK_CLOUD_PRESSURE");
    const vx_err err = vx_memory_read(&memory, &info);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_WARNING, "the device computes as if memory were free", err, &info);
    else if (memory.pressure >= most)
        vx_found(finding, VX_CHECK_WARNING, has_cloud ? NULL : "end something large, or set up VOXLOCK_CLOUD_ENDPOINT",
                 "%.0f %% in use: %s", 100 * memory.pressure,
                 has_cloud ? "the cloud is asked first" : "the device computes all the same, and may be slow");
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%.0f %% in use; the cloud would be asked from %.0f %%",
                 100 * memory.pressure, 100 * most);
}
