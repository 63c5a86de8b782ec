/* base64_private.h - the vector kernels, each in a file of its own with its own compiler flags. */
#ifndef VX_BASE_BASE64_PRIVATE_H
#define VX_BASE_BASE64_PRIVATE_H

#include "shared/base/base64.h"

vx_base64_kernel vx_base64_decode_avx2, vx_base64_decode_avx512vbmi, vx_base64_decode_neon;

#endif
