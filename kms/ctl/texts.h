/* SPDX-License-Identifier: Apache-2.0 */
/* What each command's --help says between its usage line and its options. */
#pragma once

extern const char text_init[], text_status[], text_wait[], text_seal[], text_unseal[];
extern const char text_whoami[], text_doctor[], text_metrics[], text_completion[], text_version[];
extern const char text_slot_list[], text_slot_check[], text_slot_add[], text_slot_remove[];
extern const char text_root_rotate[], text_backup_create[], text_backup_list[];
extern const char text_backup_verify[], text_backup_restore[], text_backup_rehearse[];
extern const char text_key_create[], text_key_list[], text_key_show[], text_key_rotate[];
extern const char text_key_suspend[], text_key_resume[], text_key_deactivate[];
extern const char text_key_compromise[], text_key_destroy[], text_key_cancel_destroy[];
extern const char text_issue[], text_wrap[], text_unwrap[], text_rewrap[], text_mac[];
extern const char text_random[], text_encrypt[], text_decrypt[], text_inspect[];
extern const char text_audit_tail[], text_audit_show[];
extern const char text_policy_check[], text_policy_explain[], text_policy_diff[];
