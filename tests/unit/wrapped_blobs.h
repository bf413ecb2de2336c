/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One wrapped key of each algorithm, made by another implementation (Python's cryptography) from
 * the description of the format.
 */
#pragma once

#include "kms/base/types.h"

/* Master key bits 00 01 … 1f, id 10 11 … 1f, version 3; data key 40 41 … 5f; context call=123. */
static const char *const wrapped_blobs[ALG_COUNT] = {
	[ALG_XAES_256_GCM] = "01010000101112131415161718191a1b1c1d1e1f03000000"
	                     "808182838485868788898a8b8c8d8e8f9091929394959697"
	                     "ab96f84124e54f04d84663c01ee554ad689327f36e94869deb9a32b31f002f82"
	                     "a36c85d8b1202d8feb1cd06e14b12c09",
	[ALG_AES_256_GCM] = "01020000101112131415161718191a1b1c1d1e1f03000000"
	                    "808182838485868788898a8b"
	                    "a7fee10f6135a059473207af4558e09d72f7a801a91b18ce26c311db6711376d"
	                    "0cfded27f933ede40cfbdf3c661cbe05",
	[ALG_AES_256_KWP] = "01030000101112131415161718191a1b1c1d1e1f03000000"
	                    "6d10efa7ee3023460945c8a9886e7101353d66337100c5ff"
	                    "2bcb08bf790e9e202eaa28c31d721d87",
};
