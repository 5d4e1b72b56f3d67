/*
 * Compares the declarations in include/ with the headers of a real host: `make abi-check`.
 * What is the same in every series is asserted while this compiles. What differs is printed,
 * one `name value` a line, and compared with the rows of series.rs by abi_check.sh.
 *
 * Compiled with -DOF_OPENSIPS or -DOF_KAMAILIO and the host's own flags. Never part of the
 * module.
 */
#include <stddef.h>
#include <stdio.h>

#define SIZE_OF(type, field) sizeof(((type *)0)->field)

/* The same place and the same size. */
#define SAME(ours, our_field, theirs, their_field) \
    _Static_assert(offsetof(struct ours, our_field) == offsetof(theirs, their_field), \
            #ours "." #our_field ": its place is not that of " #theirs "." #their_field); \
    _Static_assert(SIZE_OF(struct ours, our_field) == SIZE_OF(theirs, their_field), \
            #ours "." #our_field ": its size is not that of " #theirs "." #their_field)

/* The same place; ours is opaque or a part of theirs. */
#define SAME_PLACE(ours, our_field, theirs, their_field) \
    _Static_assert(offsetof(struct ours, our_field) == offsetof(theirs, their_field), \
            #ours "." #our_field ": its place is not that of " #theirs "." #their_field)

#define WHOLE(ours, theirs) \
    _Static_assert(sizeof(struct ours) == sizeof(theirs), #ours ": its size is not that of " #theirs)

#define NUMBER(ours, theirs) \
    _Static_assert((ours) == (theirs), #theirs " is not " #ours)

#define ROW(name, value) printf("%s %zu\n", name, (size_t)(value))

#ifdef OF_OPENSIPS

#include "sr_module.h"
#include "pt.h"
#include "ipc.h"
#include "pvar.h"
#include "mod_fix.h"
#include "mi/mi.h"
#include "evi/evi_params.h"
#include "socket_info.h"
#include "status_report.h"
#include "parser/msg_parser.h"
#include "modules/tm/tm_load.h"
#include "modules/tm/dlg.h"
#include "modules/tm/h_table.h"
#include "modules/tm/t_hooks.h"
#include "modules/tm/t_lookup.h"
#include "../include/opensips.h"

SAME(opensips_management_prefix, name, mi_export_t, name);
SAME(opensips_management_prefix, help, mi_export_t, help);
SAME(opensips_management_prefix, flags, mi_export_t, flags);
SAME(opensips_management_prefix, init, mi_export_t, init_f);
_Static_assert(offsetof(mi_recipe_t, params) == sizeof(void *), "recipe: a function, then names");

SAME_PLACE(opensips_arguments, item, mi_params_t, item);
SAME_PLACE(opensips_arguments, names, mi_params_t, list);
WHOLE(opensips_arguments, mi_params_t);

SAME(opensips_json, next, cJSON, next);
SAME(opensips_json, child, cJSON, child);
SAME(opensips_json, kind, cJSON, type);
SAME(opensips_json, text, cJSON, valuestring);
SAME(opensips_json, integer, cJSON, valueint);
SAME(opensips_json, number, cJSON, valuedouble);
SAME(opensips_json, name, cJSON, string);
WHOLE(opensips_json, cJSON);
NUMBER(8, cJSON_Number);
NUMBER(16, cJSON_String);

SAME(opensips_variable, name, pv_export_t, name);
SAME(opensips_variable, kind, pv_export_t, type);
SAME(opensips_variable, get, pv_export_t, getf);
SAME(opensips_variable, set, pv_export_t, setf);
SAME(opensips_variable, parse_name, pv_export_t, parse_name);
SAME(opensips_variable, parse_index, pv_export_t, parse_index);
SAME(opensips_variable, init, pv_export_t, init_param);
SAME(opensips_variable, init_argument, pv_export_t, iparam);
WHOLE(opensips_variable, pv_export_t);
SAME(opensips_variable_use_prefix, get, pv_spec_t, getf);
SAME_PLACE(opensips_variable_use_prefix, parameter.kind, pv_spec_t, pvp.pvn.type);
SAME_PLACE(opensips_variable_use_prefix, parameter.inner, pv_spec_t, pvp.pvn.u.dname);
SAME_PLACE(opensips_variable_parameter_prefix, inner, pv_param_t, pvn.u.dname);
SAME(opensips_variable_value, text, pv_value_t, rs);
SAME(opensips_variable_value, integer, pv_value_t, ri);
SAME(opensips_variable_value, flags, pv_value_t, flags);
WHOLE(opensips_variable_value, pv_value_t);
NUMBER(1, PV_VAL_NULL);
NUMBER(4, PV_VAL_STR);
NUMBER(8, PV_VAL_INT);
NUMBER(16, PV_TYPE_INT);
NUMBER(1, EVI_INT_VAL);
NUMBER(2, EVI_STR_VAL);

SAME(opensips_text, s, str, s);
SAME(opensips_text, len, str, len);
WHOLE(opensips_text, str);

SAME(opensips_exports, name, struct module_exports, name);
SAME(opensips_exports, kind, struct module_exports, type);
SAME(opensips_exports, build, struct module_exports, ver_info);
SAME(opensips_exports, build.version, struct module_exports, ver_info.version);
SAME(opensips_exports, build.compile_flags, struct module_exports, ver_info.compile_flags);
SAME(opensips_exports, build.revision_kind, struct module_exports, ver_info.scm.type);
SAME(opensips_exports, build.revision, struct module_exports, ver_info.scm.rev);
SAME(opensips_exports, open_flags, struct module_exports, dlflags);
SAME(opensips_exports, loaded, struct module_exports, load_f);
SAME(opensips_exports, dependencies, struct module_exports, deps);
SAME(opensips_exports, commands, struct module_exports, cmds);
SAME(opensips_exports, parameters, struct module_exports, params);
SAME(opensips_exports, statistics, struct module_exports, stats);
SAME(opensips_exports, processes, struct module_exports, procs);
SAME(opensips_exports, init, struct module_exports, init_f);
SAME(opensips_exports, destroy, struct module_exports, destroy_f);
SAME(opensips_exports, reload_acknowledged, struct module_exports, reload_ack_f);
SAME(opensips_exports, management, struct module_exports, mi_cmds);
SAME(opensips_exports, variables, struct module_exports, items);
WHOLE(opensips_exports, struct module_exports);
NUMBER(1, MOD_TYPE_DEFAULT);

SAME(opensips_command, name, cmd_export_t, name);
SAME(opensips_command, function, cmd_export_t, function);
SAME(opensips_command, parameters, cmd_export_t, params);
SAME(opensips_command, routes, cmd_export_t, flags);
WHOLE(opensips_command, cmd_export_t);
SAME(opensips_command_parameter, flags, struct cmd_param, flags);
WHOLE(opensips_command_parameter, struct cmd_param);
NUMBER(2, CMD_PARAM_STR);
NUMBER(16, CMD_PARAM_OPT);
NUMBER(1, REQUEST_ROUTE);

SAME(opensips_parameter, name, param_export_t, name);
SAME(opensips_parameter, kind, param_export_t, type);
SAME(opensips_parameter, target, param_export_t, param_pointer);
WHOLE(opensips_parameter, param_export_t);
NUMBER(1, STR_PARAM);
NUMBER(2, INT_PARAM);
NUMBER(1u << 31, USE_FUNC_PARAM);

SAME(opensips_process, name, proc_export_t, name);
SAME(opensips_process, before_fork, proc_export_t, pre_fork_function);
SAME(opensips_process, after_fork, proc_export_t, post_fork_function);
SAME(opensips_process, run, proc_export_t, function);
SAME(opensips_process, count, proc_export_t, no);
SAME(opensips_process, flags, proc_export_t, flags);
WHOLE(opensips_process, proc_export_t);
NUMBER(2, PROC_FLAG_HAS_IPC);
NUMBER(4, PROC_FLAG_NEEDS_SCRIPT);
NUMBER(-2, STATE_TERMINATING);

SAME(opensips_statistic, name, stat_export_t, name);
SAME(opensips_statistic, flags, stat_export_t, flags);
SAME(opensips_statistic, value, stat_export_t, stat_pointer);
WHOLE(opensips_statistic, stat_export_t);
NUMBER(8, STAT_IS_FUNC);
NUMBER(1, STAT_NO_RESET);

SAME(opensips_dependency, kind, module_dependency_t, mod_type);
SAME(opensips_dependency, name, module_dependency_t, mod_name);
SAME(opensips_dependency, action, module_dependency_t, type);
WHOLE(opensips_dependency, module_dependency_t);
SAME(opensips_dependencies, modules, dep_export_t, md);
SAME_PLACE(opensips_dependencies, by_parameter, dep_export_t, mpd);
NUMBER(4, DEP_ABORT);

SAME(opensips_message_prefix, id, struct sip_msg, id);
SAME(opensips_message_prefix, kind, struct sip_msg, first_line.type);
SAME(opensips_message_prefix, first_line_length, struct sip_msg, first_line.len);
SAME(opensips_message_prefix, method, struct sip_msg, first_line.u.request.method);
SAME(opensips_message_prefix, uri, struct sip_msg, first_line.u.request.uri);
SAME(opensips_message_prefix, protocol, struct sip_msg, first_line.u.request.version);
NUMBER(1, SIP_REQUEST);

SAME(opensips_reception, source, struct receive_info, src_ip);
SAME(opensips_reception, source.family, struct receive_info, src_ip.af);
SAME(opensips_reception, source.octets, struct receive_info, src_ip.u);
SAME(opensips_reception, destination, struct receive_info, dst_ip);
SAME(opensips_reception, source_port, struct receive_info, src_port);
SAME(opensips_reception, destination_port, struct receive_info, dst_port);
SAME(opensips_reception, protocol, struct receive_info, proto);
SAME(opensips_reception, socket, struct receive_info, bind_address);
NUMBER(2, PROTO_TCP);
NUMBER(3, PROTO_TLS);
NUMBER(5, PROTO_WS);
NUMBER(6, PROTO_WSS);

SAME(opensips_transaction_prefix, hash, struct cell, hash_index);
SAME(opensips_transaction_prefix, label, struct cell, label);
SAME(opensips_transaction_prefix, request, struct cell, uas.request);

SAME(opensips_dialog, call_id, dlg_t, id.call_id);
SAME(opensips_dialog, remote_tag, dlg_t, id.rem_tag);
SAME(opensips_dialog, local_tag, dlg_t, id.loc_tag);
SAME(opensips_dialog, local_sequence, dlg_t, loc_seq);
SAME(opensips_dialog, remote_sequence, dlg_t, rem_seq);
SAME(opensips_dialog, local_uri, dlg_t, loc_uri);
SAME(opensips_dialog, remote_uri, dlg_t, rem_uri);
SAME(opensips_dialog, outbound_proxy, dlg_t, obp);
SAME(opensips_dialog, forced_address, dlg_t, forced_to_su);
SAME(opensips_dialog, remote_target, dlg_t, rem_target);
SAME(opensips_dialog, transaction_flags, dlg_t, T_flags);
SAME(opensips_dialog, state, dlg_t, state);
SAME(opensips_dialog, route_set, dlg_t, route_set);
SAME(opensips_dialog, hooks, dlg_t, hooks);
SAME(opensips_dialog, send_socket, dlg_t, send_sock);
SAME(opensips_dialog, preferred_socket, dlg_t, pref_sock);
SAME(opensips_dialog, created_argument, dlg_t, t_created_cb_param);
WHOLE(opensips_dialog, dlg_t);
NUMBER(2, DLG_CONFIRMED);

SAME(opensips_event, request, struct tmcb_params, req);
SAME(opensips_event, response, struct tmcb_params, rpl);
SAME(opensips_event, code, struct tmcb_params, code);
SAME(opensips_event, argument, struct tmcb_params, param);
NUMBER(1 << 8, TMCB_LOCAL_COMPLETED);
NUMBER(1 << 9, TMCB_LOCAL_RESPONSE_OUT);
NUMBER(1 << 11, TMCB_TRANS_CANCELLED);
NUMBER(64, T_PASS_PROVISIONAL_FLAG);
NUMBER(1, REQ_FWDED);

SAME(opensips_tm, register_callback, struct tm_binds, register_tmcb);
SAME(opensips_tm, new_transaction, struct tm_binds, t_newtran);
SAME(opensips_tm, reply, struct tm_binds, t_reply);
SAME(opensips_tm, reply_with_body, struct tm_binds, t_reply_with_body);
SAME(opensips_tm, look_up_ids, struct tm_binds, t_lookup_ident);
SAME(opensips_tm, request_within, struct tm_binds, t_request_within);
SAME(opensips_tm, current_transaction, struct tm_binds, t_gett);
SAME(opensips_tm, release_reference, struct tm_binds, unref_cell);
SAME(opensips_tm, look_up_cancelled, struct tm_binds, t_lookup_original_t);
SAME(opensips_tm, cancel_transaction, struct tm_binds, t_cancel_trans);
SAME(opensips_tm, set_kept_reason, struct tm_binds, t_setkr);
/* Functions of tm by name; that of $T_fr_timeout stands in no header. */
_Static_assert(__builtin_types_compatible_p(__typeof__(set_t), void(struct cell *)), "set_t");
_Static_assert(
    __builtin_types_compatible_p(pv_setf_t, int (*)(struct sip_msg *, pv_param_t *, int, pv_value_t *)),
    "pv_setf_t");
_Static_assert(sizeof(struct tm_binds) <= sizeof(struct opensips_tm), "tm's table is longer");

int main(void)
{
    printf("release %s\n", VERSION);
    ROW("message_reception", offsetof(struct sip_msg, rcv));
    ROW("message_buffer", offsetof(struct sip_msg, buf));
    ROW("message_length", offsetof(struct sip_msg, len));
    ROW("message_new_uri", offsetof(struct sip_msg, new_uri));
    ROW("process_size", sizeof(struct process_table));
    ROW("process_pipe", offsetof(struct process_table, ipc_pipe));
    ROW("socket_address", offsetof(struct socket_info, address_str));
    ROW("socket_port", offsetof(struct socket_info, port_no));
    ROW("socket_advertised_name", offsetof(struct socket_info, adv_name_str));
    ROW("socket_advertised_port", offsetof(struct socket_info, adv_port_str));
    ROW("management_size", sizeof(mi_export_t));
    ROW("management_recipes", offsetof(mi_export_t, recipes));
    ROW("management_recipe_size", sizeof(mi_recipe_t));
#ifdef MAX_MI_ALIASES
    ROW("management_aliases", offsetof(mi_export_t, aliases));
#else
    ROW("management_aliases", 0);
#endif
    return 0;
}

#endif

#ifdef OF_KAMAILIO

#include "core/sr_module.h"
#include "core/counters.h"
#include "core/dprint.h"
#include "core/ip_addr.h"
#include "core/kemi.h"
#include "core/pvar.h"
#include "core/route.h"
#include "core/rpc.h"
#include "core/data_lump_rpl.h"
#include "core/parser/msg_parser.h"
#include "modules/tm/tm_load.h"
#include "modules/tm/dlg.h"
#include "modules/tm/h_table.h"
#include "modules/tm/t_hooks.h"
#include "modules/tm/uac.h"
#include "modules/tm/t_lookup.h"
#include "../include/kamailio.h"

/* A function of tm by name. */
_Static_assert(
    __builtin_types_compatible_p(__typeof__(t_set_fr), int(struct sip_msg *, unsigned int, unsigned int)),
    "t_set_fr");

SAME(kamailio_rpc, fault, rpc_t, fault);
SAME(kamailio_rpc, send, rpc_t, send);
SAME(kamailio_rpc, add, rpc_t, add);
SAME(kamailio_rpc, scan, rpc_t, scan);
SAME(kamailio_rpc, add_to_struct, rpc_t, struct_add);
SAME(kamailio_rpc, add_to_array, rpc_t, array_add);
WHOLE(kamailio_rpc, rpc_t);
SAME(kamailio_rpc_method, name, rpc_export_t, name);
SAME(kamailio_rpc_method, function, rpc_export_t, function);
SAME(kamailio_rpc_method, documentation, rpc_export_t, doc_str);
SAME(kamailio_rpc_method, flags, rpc_export_t, flags);
WHOLE(kamailio_rpc_method, rpc_export_t);
NUMBER(1, RET_ARRAY);

SAME(kamailio_variable, name, pv_export_t, name);
SAME(kamailio_variable, kind, pv_export_t, type);
SAME(kamailio_variable, get, pv_export_t, getf);
SAME(kamailio_variable, set, pv_export_t, setf);
SAME(kamailio_variable, parse_name, pv_export_t, parse_name);
SAME(kamailio_variable, parse_index, pv_export_t, parse_index);
SAME(kamailio_variable, init, pv_export_t, init_param);
SAME(kamailio_variable, init_argument, pv_export_t, iparam);
WHOLE(kamailio_variable, pv_export_t);
SAME(kamailio_variable_use_prefix, get, pv_spec_t, getf);
SAME_PLACE(kamailio_variable_use_prefix, parameter.kind, pv_spec_t, pvp.pvn.type);
SAME_PLACE(kamailio_variable_use_prefix, parameter.release, pv_spec_t, pvp.pvn.nfree);
SAME_PLACE(kamailio_variable_use_prefix, parameter.inner, pv_spec_t, pvp.pvn.u.dname);
SAME_PLACE(kamailio_variable_parameter_prefix, inner, pv_param_t, pvn.u.dname);
_Static_assert(offsetof(pv_value_t, rs) == 0, "a value begins with its text");
_Static_assert(offsetof(pv_value_t, ri) == 16, "its number follows the text");
NUMBER(1, PV_VAL_NULL);
NUMBER(4, PV_VAL_STR);
NUMBER(8, PV_VAL_INT);
NUMBER(16, PV_TYPE_INT);
SAME_PLACE(kamailio_routes_prefix, actions, struct route_list, rlist);
NUMBER(513, EVENT_ROUTE);
_Static_assert(sizeof(struct run_act_ctx) <= 512, "a run of a route is larger than our room for it");

SAME(kamailio_text, s, str, s);
SAME(kamailio_text, len, str, len);
WHOLE(kamailio_text, str);

SAME(kamailio_exports, name, struct module_exports, name);
SAME(kamailio_exports, open_flags, struct module_exports, dlflags);
SAME(kamailio_exports, commands, struct module_exports, cmds);
SAME(kamailio_exports, parameters, struct module_exports, params);
SAME(kamailio_exports, rpc_methods, struct module_exports, rpc_methods);
SAME(kamailio_exports, variables, struct module_exports, pv_items);
SAME(kamailio_exports, response, struct module_exports, response_f);
SAME(kamailio_exports, init, struct module_exports, init_mod_f);
SAME(kamailio_exports, init_child, struct module_exports, init_child_f);
SAME(kamailio_exports, destroy, struct module_exports, destroy_mod_f);
WHOLE(kamailio_exports, struct module_exports);

SAME(kamailio_command, name, cmd_export_t, name);
SAME(kamailio_command, function, cmd_export_t, function);
SAME(kamailio_command, parameter_count, cmd_export_t, param_no);
SAME(kamailio_command, fixup, cmd_export_t, fixup);
SAME(kamailio_command, release, cmd_export_t, free_fixup);
SAME(kamailio_command, routes, cmd_export_t, flags);
WHOLE(kamailio_command, cmd_export_t);
NUMBER(1, REQUEST_ROUTE);

SAME(kamailio_parameter, name, param_export_t, name);
SAME(kamailio_parameter, kind, param_export_t, type);
SAME(kamailio_parameter, target, param_export_t, param_pointer);
WHOLE(kamailio_parameter, param_export_t);
NUMBER(1, PARAM_STRING);
NUMBER(2, PARAM_INT);
NUMBER(4, PARAM_STR);
NUMBER(1u << 31, (unsigned int)PARAM_USE_FUNC);

SAME(kamailio_kemi, module, sr_kemi_t, mname);
SAME(kamailio_kemi, name, sr_kemi_t, fname);
SAME(kamailio_kemi, result, sr_kemi_t, rtype);
SAME(kamailio_kemi, function, sr_kemi_t, func);
SAME(kamailio_kemi, parameters, sr_kemi_t, ptypes);
WHOLE(kamailio_kemi, sr_kemi_t);
NUMBER(0, SR_KEMIP_NONE);
NUMBER(1, SR_KEMIP_INT);
NUMBER(2, SR_KEMIP_STR);

SAME(kamailio_counter, handle, counter_def_t, handle);
SAME(kamailio_counter, name, counter_def_t, name);
SAME(kamailio_counter, flags, counter_def_t, flags);
SAME(kamailio_counter, read, counter_def_t, get_cbk);
SAME(kamailio_counter, argument, counter_def_t, get_cbk_param);
SAME(kamailio_counter, description, counter_def_t, descr);
WHOLE(kamailio_counter, counter_def_t);
_Static_assert(sizeof(counter_handle_t) == 2, "a counter's handle is not two octets");

SAME(kamailio_module_prefix, path, struct sr_module, path);
SAME(kamailio_module_prefix, handle, struct sr_module, handle);

SAME(kamailio_message_prefix, id, struct sip_msg, id);
SAME(kamailio_message_prefix, kind, struct sip_msg, first_line.type);
SAME(kamailio_message_prefix, first_line_length, struct sip_msg, first_line.len);
SAME(kamailio_message_prefix, method, struct sip_msg, first_line.u.request.method);
SAME(kamailio_message_prefix, uri, struct sip_msg, first_line.u.request.uri);
SAME(kamailio_message_prefix, reception, struct sip_msg, rcv);
SAME(kamailio_message_prefix, buffer, struct sip_msg, buf);
SAME(kamailio_message_prefix, length, struct sip_msg, len);
SAME(kamailio_message_prefix, new_uri, struct sip_msg, new_uri);
SAME(kamailio_message_prefix, reply_lumps, struct sip_msg, reply_lump);
NUMBER(1, SIP_REQUEST);

SAME(kamailio_reception, source, struct receive_info, src_ip);
SAME(kamailio_reception, source.family, struct receive_info, src_ip.af);
SAME(kamailio_reception, source.octets, struct receive_info, src_ip.u);
SAME(kamailio_reception, source_port, struct receive_info, src_port);
SAME(kamailio_reception, socket_address, struct receive_info, src_su);
SAME(kamailio_reception, socket, struct receive_info, bind_address);
SAME(kamailio_reception, protocol, struct receive_info, proto);
WHOLE(kamailio_reception, struct receive_info);
NUMBER(2, PROTO_TCP);
NUMBER(3, PROTO_TLS);
NUMBER(5, PROTO_WS);
NUMBER(6, PROTO_WSS);

SAME(kamailio_reply_lump, text, struct lump_rpl, text);
SAME(kamailio_reply_lump, flags, struct lump_rpl, flags);
SAME(kamailio_reply_lump, next, struct lump_rpl, next);
WHOLE(kamailio_reply_lump, struct lump_rpl);
NUMBER(2, LUMP_RPL_HDR);
NUMBER(4, LUMP_RPL_BODY);

SAME(kamailio_socket_prefix, name, struct socket_info, name);
SAME(kamailio_socket_prefix, address, struct socket_info, address);
SAME(kamailio_socket_prefix, address_text, struct socket_info, address_str);
SAME(kamailio_socket_prefix, port, struct socket_info, port_no);
SAME(kamailio_socket_prefix, protocol, struct socket_info, proto);

SAME(kamailio_transaction_prefix, hash, struct cell, hash_index);
SAME(kamailio_transaction_prefix, label, struct cell, label);

SAME(kamailio_dialog, call_id, dlg_t, id.call_id);
SAME(kamailio_dialog, remote_tag, dlg_t, id.rem_tag);
SAME(kamailio_dialog, local_tag, dlg_t, id.loc_tag);
SAME(kamailio_dialog, local_sequence, dlg_t, loc_seq);
SAME_PLACE(kamailio_dialog, local_uri, dlg_t, loc_uri);
SAME(kamailio_dialog, remote_uri, dlg_t, rem_uri);
SAME(kamailio_dialog, remote_target, dlg_t, rem_target);
SAME(kamailio_dialog, destination_uri, dlg_t, dst_uri);
SAME(kamailio_dialog, secure, dlg_t, secure);
SAME(kamailio_dialog, state, dlg_t, state);
SAME(kamailio_dialog, route_set, dlg_t, route_set);
SAME(kamailio_dialog, hooks, dlg_t, hooks);
SAME(kamailio_dialog, send_socket, dlg_t, send_sock);
_Static_assert(sizeof(dlg_t) == sizeof(struct kamailio_dialog),
        "the dialog has grown: the tail of ours would be read beyond its end");
NUMBER(2, DLG_CONFIRMED);

SAME(kamailio_request, method, uac_req_t, method);
SAME(kamailio_request, headers, uac_req_t, headers);
SAME(kamailio_request, body, uac_req_t, body);
SAME(kamailio_request, dialog, uac_req_t, dialog);
SAME(kamailio_request, events, uac_req_t, cb_flags);
SAME(kamailio_request, callback, uac_req_t, cb);
SAME(kamailio_request, argument, uac_req_t, cbp);
SAME(kamailio_request, call_id, uac_req_t, callid);
_Static_assert(sizeof(uac_req_t) <= sizeof(struct kamailio_request), "tm's request is longer");

SAME(kamailio_event, response, struct tmcb_params, rpl);
SAME(kamailio_event, argument, struct tmcb_params, param);
SAME(kamailio_event, code, struct tmcb_params, code);
NUMBER(1 << 10, TMCB_LOCAL_COMPLETED);
NUMBER(1 << 14, TMCB_LOCAL_RESPONSE_IN);
NUMBER(1 << 18, TMCB_E2ECANCEL_IN);

SAME(kamailio_log_record, facility, ksr_logdata_t, v_facility);
SAME(kamailio_log_record, level_name, ksr_logdata_t, v_lname);
SAME(kamailio_log_record, module, ksr_logdata_t, v_mname);
SAME(kamailio_log_record, location, ksr_logdata_t, v_locinfo);
SAME(kamailio_log_record, index, ksr_logdata_t, v_pidx);
WHOLE(kamailio_log_record, ksr_logdata_t);

_Static_assert(offsetof(struct cell, uas.end_request)
                       == offsetof(struct cell, uas.request) + sizeof(void *),
        "the end of a transaction's request does not follow it");

int main(void)
{
    printf("release %s\n", VERSION);
    ROW("message_size", sizeof(struct sip_msg));
    ROW("transaction_request", offsetof(struct cell, uas.request));
    ROW("variable_flags", offsetof(pv_value_t, flags));
    return 0;
}

#endif
