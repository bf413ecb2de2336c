/* SPDX-License-Identifier: Apache-2.0 */
/* The version of all programs here. Formats and the protocol have numbers of their own. */
#pragma once

#define KMS_VERSION "0.1.0"
