/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of shares, 2 of 3, as the first version wrote it; it was opened by other means, written in
 * another language from docs/formats.md. It must open for ever.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	VECTOR_K = 2,
	VECTOR_N = 3
};

/* The root is 80 81 … 9f, the instance 10 11 … 1f. */
static const uint8_t vector_root[32] = { 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
	0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
	0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f };
static const uint8_t vector_instance[16] = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
	0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f };
static const char vector_blob[] = "0102037b9d4a6f5c600ea6d3993cd0463f87b9276abbb13e0c2d7b83ee9d5f3a"
                                  "42567f95b9b2f07a640ed46fb07a0d76aa605d903930572105f7fc3d92bd0fd8"
                                  "b869a924a0bf12808079744d6c97945b757d5738c65ace525dc6bbb05283f7f9"
                                  "96503141b6baeea559cb9ef3731b8501a0e227edd48ad490b01555015d6ce671"
                                  "8b3c5e8b0b6c72c79c3c0a7d48ef00b1a9e75ea8ca3fdcd27638931b084093";
static const char *const vector_texts[VECTOR_N] = {
	"KMS1Q9AE6JN0QGPSR5KY2FMX7L925NW74MAXK85TZ2ELJYVAAURTH9VYTNKGGU286NNE26GCDE",
	"KMS1Q9AE6JN0QGPS9L0JLL03TQHFKU3E05DJMJLZXYVZNCQTEXEQCDFKXTQ2KDSXTZTL6UTW8X",
	"KMS1Q9AE6JN0QGPSXY0QDKUV5GFPF7QTCV47P6X2GPLFN0LXKJCERJ3CSU4AZEXX60TA2UMATY",
};
