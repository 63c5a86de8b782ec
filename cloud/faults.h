/* faults.h - faults on purpose, for the tests of the service. Only in a build with VX_FAULTS (the program
 * voxlock-cloud-faults); in the product these are constants that the compiler removes.
 * The faults in force are read, each time, from the file that VOXLOCK_TEST_FAULTS names, so that a test can change them
 * while the service runs: words of "engine" (inference fails), "memory" (inference finds no memory), "slow" (inference
 * takes 300 ms longer), "stuck" (3 s longer).
 */
#ifndef VX_CLOUD_FAULTS_H
#define VX_CLOUD_FAULTS_H

#include "shared/base/err.h"
#include "shared/base/options.h"

#if defined(VX_FAULTS)
void vx_faults_use(const vx_options *options);
/* Called where an inference begins. */
vx_err vx_fault_inference(void);
#else
static inline void vx_faults_use(const vx_options *options)
{
    (void)options;
}
static inline vx_err vx_fault_inference(void)
{
    return VX_OK;
}
#endif

#endif
