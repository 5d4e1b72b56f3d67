/*
 * Compares the declarations in include/ and the function types and numbers in src/host with the
 * headers of a real host: `make abi-check`. What is the same in every series is asserted while
 * this compiles. What differs is printed, one `name value` a line, and compared with the rows of
 * series.rs by abi_check.sh. tests/abi.rs holds the function types and numbers of src/host
 * against the rows here, so that none is missing and none says something else.
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

/* The constant of src/host, its value, and what the host calls it. */
#define NUMBER(name, ours, theirs) \
    _Static_assert((ours) == (theirs), #theirs " is not " #ours ", which " #name " is")

/* The same for one that is beyond all of the host's own. */
#define ABOVE(name, ours, theirs) \
    _Static_assert((ours) > (theirs), #name ", " #ours ", is not above " #theirs)

/* Rows of function types begin with the type's name in src/host; `-` is one that is called by
 * other means. Then the host's function, its result and its arguments. */
#define IS(what, result, arguments) __builtin_types_compatible_p(__typeof__(what), result arguments)

#define FUNCTION(type, name, result, arguments) \
    _Static_assert(IS(name, result, arguments), #name " is not " #result " " #arguments)

/* The same with two forms, which differ in what no call sees: where const stands. */
#define EITHER(type, name, result, arguments, other_result, other_arguments) \
    _Static_assert(IS(name, result, arguments) || IS(name, other_result, other_arguments), \
            #name " is neither " #result " " #arguments " nor " #other_result " " #other_arguments)

/* A pointer to a function in one of the host's structures. */
#define SLOT(type, structure, field, result, arguments) \
    _Static_assert(IS(*((structure *)0)->field, result, arguments), \
            #structure "." #field " is not " #result " " #arguments)

/* The same for a function of ours, which may take fewer arguments than the host gives. */
#define CALLED(type, structure, field, result, arguments) SLOT(type, structure, field, result, arguments)

/* The type of a function. */
#define TYPE(type, theirs, result, arguments) \
    _Static_assert(IS(theirs, result, arguments), #theirs " is not " #result " " #arguments)

/* A variable. */
#define VARIABLE(name, type) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(name), type), #name " is not " #type)

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
#include "modules/tm/t_msgbuilder.h"
#include "modules/tm/uac.h"
#include "action.h"
#include "context.h"
#include "dprint.h"
#include "error.h"
#include "evi/evi_modules.h"
#include "mi/item.h"
#include "net/net_tcp.h"
#include "forward.h"
#include "statistics.h"
#include "undeclared.h"
#include "../include/opensips.h"

/* const since 3.5. */
#define SOCKET __typeof__(*(__typeof__(grep_sock_info_ext(0, 0, 0, 0)))0)

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
NUMBER(JSON_NUMBER, 8, cJSON_Number);
NUMBER(JSON_KINDS, 0xff, 0x3ff & ~(cJSON_IsReference | cJSON_StringIsConst));
NUMBER(JSON_TEXT, 16, cJSON_String);

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
NUMBER(NOTHING, 1, PV_VAL_NULL);
NUMBER(TEXTUAL, 4, PV_VAL_STR);
NUMBER(NUMERIC, 8, PV_VAL_INT);
NUMBER(NUMBER, 8, PV_VAL_INT);
NUMBER(COUNTS_AS_NUMBER, 16, PV_TYPE_INT);
ABOVE(OWN_VARIABLE, 1000, PVT_EXTRA);
NUMBER(EVENT_NUMBER, 1, EVI_INT_VAL);
NUMBER(EVENT_TEXT, 2, EVI_STR_VAL);

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
NUMBER(ORDINARY_MODULE, 1, MOD_TYPE_DEFAULT);

SAME(opensips_command, name, cmd_export_t, name);
SAME(opensips_command, function, cmd_export_t, function);
SAME(opensips_command, parameters, cmd_export_t, params);
SAME(opensips_command, routes, cmd_export_t, flags);
WHOLE(opensips_command, cmd_export_t);
SAME(opensips_command_parameter, flags, struct cmd_param, flags);
WHOLE(opensips_command_parameter, struct cmd_param);
NUMBER(OPTIONAL_TEXT, 2 | 16, CMD_PARAM_STR | CMD_PARAM_OPT);
NUMBER(REQUEST_ROUTE, 1, REQUEST_ROUTE);

SAME(opensips_parameter, name, param_export_t, name);
SAME(opensips_parameter, kind, param_export_t, type);
SAME(opensips_parameter, target, param_export_t, param_pointer);
WHOLE(opensips_parameter, param_export_t);
NUMBER(TEXT, 1, STR_PARAM);
NUMBER(INTEGER, 2, INT_PARAM);
NUMBER(BY_FUNCTION, 1u << 31, USE_FUNC_PARAM);

SAME(opensips_process, name, proc_export_t, name);
SAME(opensips_process, before_fork, proc_export_t, pre_fork_function);
SAME(opensips_process, after_fork, proc_export_t, post_fork_function);
SAME(opensips_process, run, proc_export_t, function);
SAME(opensips_process, count, proc_export_t, no);
SAME(opensips_process, flags, proc_export_t, flags);
WHOLE(opensips_process, proc_export_t);
NUMBER(PROCESS_IS_PREPARED, 1, PROC_FLAG_INITCHILD);
NUMBER(PROCESS_HAS_PIPE, 2, PROC_FLAG_HAS_IPC);
NUMBER(PROCESS_NEEDS_SCRIPT, 4, PROC_FLAG_NEEDS_SCRIPT);
NUMBER(TERMINATING, -2, STATE_TERMINATING);

SAME(opensips_statistic, name, stat_export_t, name);
SAME(opensips_statistic, flags, stat_export_t, flags);
SAME(opensips_statistic, value, stat_export_t, stat_pointer);
WHOLE(opensips_statistic, stat_export_t);
NUMBER(STATISTIC_FUNCTION, 8 | 1, STAT_IS_FUNC | STAT_NO_RESET);

SAME(opensips_dependency, kind, module_dependency_t, mod_type);
SAME(opensips_dependency, name, module_dependency_t, mod_name);
SAME(opensips_dependency, action, module_dependency_t, type);
WHOLE(opensips_dependency, module_dependency_t);
SAME(opensips_dependencies, modules, dep_export_t, md);
SAME_PLACE(opensips_dependencies, by_parameter, dep_export_t, mpd);
NUMBER(REQUIRED, 4, DEP_ABORT);

SAME(opensips_message_prefix, id, struct sip_msg, id);
SAME(opensips_message_prefix, kind, struct sip_msg, first_line.type);
SAME(opensips_message_prefix, first_line_length, struct sip_msg, first_line.len);
SAME(opensips_message_prefix, method, struct sip_msg, first_line.u.request.method);
SAME(opensips_message_prefix, uri, struct sip_msg, first_line.u.request.uri);
SAME(opensips_message_prefix, protocol, struct sip_msg, first_line.u.request.version);
NUMBER(REQUEST, 1, SIP_REQUEST);
NUMBER(RESPONSE, 2, SIP_REPLY);

SAME(opensips_reception, source, struct receive_info, src_ip);
SAME(opensips_reception, source.family, struct receive_info, src_ip.af);
SAME(opensips_reception, source.octets, struct receive_info, src_ip.u);
SAME(opensips_reception, destination, struct receive_info, dst_ip);
SAME(opensips_reception, source_port, struct receive_info, src_port);
SAME(opensips_reception, destination_port, struct receive_info, dst_port);
SAME(opensips_reception, protocol, struct receive_info, proto);
SAME(opensips_reception, socket, struct receive_info, bind_address);
NUMBER(udp, 1, PROTO_UDP);
NUMBER(tcp, 2, PROTO_TCP);
NUMBER(tls, 3, PROTO_TLS);
NUMBER(sctp, 4, PROTO_SCTP);
NUMBER(ws, 5, PROTO_WS);
NUMBER(wss, 6, PROTO_WSS);

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
_Static_assert(sizeof(dlg_t) == offsetof(struct opensips_dialog, unused),
        "the dialog has grown: fields behind ours");
NUMBER(CONFIRMED, 2, DLG_CONFIRMED);
NUMBER(new, 0, DLG_NEW);

SAME(opensips_event, request, struct tmcb_params, req);
SAME(opensips_event, response, struct tmcb_params, rpl);
SAME(opensips_event, code, struct tmcb_params, code);
SAME(opensips_event, argument, struct tmcb_params, param);
NUMBER(LOCAL_COMPLETED, 1 << 8, TMCB_LOCAL_COMPLETED);
NUMBER(CANCELLED, 1 << 11, TMCB_TRANS_CANCELLED);
NUMBER(PASS_PROVISIONAL, 64, T_PASS_PROVISIONAL_FLAG);
NUMBER(FORWARDED, 1, REQ_FWDED);
NUMBER(FAKED_RESPONSE, -1, (long)FAKED_REPLY);
NUMBER(NO_TRANSACTION, -1, (long)T_UNDEFINED);
NUMBER(OUT_OF_MEMORY, -2, E_OUT_OF_MEM);
NUMBER(script, -10, E_SCRIPT);

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
_Static_assert(sizeof(struct tm_binds) <= sizeof(struct opensips_tm), "tm's table is longer");

/* The core. */
FUNCTION(FindExport, find_export, cmd_function, (const char *, int));
EITHER(FindSocket, grep_sock_info_ext,
        struct socket_info *, (str *, unsigned short, unsigned short, int),
        const struct socket_info *, (str *, unsigned short, unsigned short, int));
FUNCTION(ParseFormat, pv_parse_format, int, (const str *, pv_elem_p *));
FUNCTION(PrintFormat, pv_printf, int, (struct sip_msg *, pv_elem_p, char *, int *));
FUNCTION(NumberValue, pv_get_uintval, int,
        (struct sip_msg *, pv_param_t *, pv_value_t *, unsigned int));
VARIABLE(route_type, int);
FUNCTION(HandleJob, ipc_handle_job, void, (int));
FUNCTION(SendJob, ipc_send_rpc, int, (int, ipc_rpc_f *, void *));
TYPE(Job, ipc_rpc_f, void, (int, void *));
FUNCTION(DispatchJob, ipc_dispatch_rpc, int, (ipc_rpc_f *, void *));
VARIABLE(ipc_shared_fd_read, int);
EITHER(CoreStatus, sr_get_core_status, int, (void), enum sr_core_states, (void));
FUNCTION(MakeMessage, get_dummy_sip_msg, struct sip_msg *, (void));
FUNCTION(ReleaseMessage, release_dummy_sip_msg, void, (struct sip_msg *));
FUNCTION(SetRequestUri, set_ruri, int, (struct sip_msg *, str *));
FUNCTION(PushContext, push_new_global_context, int, (void));
FUNCTION(PopContext, pop_pushed_global_context, int, (void));
/* 4.0 gives no file: it takes the null there for one in the socket's place. */
EITHER(FindConnection, tcp_conn_get,
        int, (unsigned int, struct ip_addr *, int, enum sip_protos, void *,
                struct tcp_connection **, int *, SOCKET *),
        int, (unsigned int, struct ip_addr *, int, enum sip_protos, void *,
                struct tcp_connection **, SOCKET *));
FUNCTION(ReleaseConnection, tcp_conn_release, void, (struct tcp_connection *, int));
EITHER(DefaultSocket, get_send_socket,
        SOCKET *, (struct sip_msg *, union sockaddr_union *, int),
        SOCKET *, (struct sip_msg *, const union sockaddr_union *, int));
/* The core reads one of our addresses, a sockaddr_storage. */
_Static_assert(sizeof(union sockaddr_union) <= 128, "an address is longer than sockaddr_storage");
VARIABLE(pt, struct process_table *);
VARIABLE(process_no, int);

EITHER(Dprint, dprint,
        void, (int, int, char *, const char *, char *, char *, char *, ...),
        void, (int, int, const char *, const char *, char *, char *, char *, ...));
VARIABLE(log_level, int *);
VARIABLE(log_facility, int);
VARIABLE(log_prefix, char *);
NUMBER(Error, -1, L_ERR);
NUMBER(Warning, 1, L_WARN);
NUMBER(Notice, 2, L_NOTICE);
NUMBER(Info, 3, L_INFO);
NUMBER(Debug, 4, L_DBG);

/* The event interface. */
FUNCTION(PublishEvent, evi_publish_event, event_id_t, (str));
FUNCTION(ProbeEvent, evi_probe_event, int, (event_id_t));
FUNCTION(NewDetails, evi_get_params, evi_params_p, (void));
FUNCTION(AddDetail, evi_param_add, int, (evi_params_p, const str *, const void *, int));
FUNCTION(RaiseEvent, evi_raise_event, int, (event_id_t, evi_params_t *));
_Static_assert(IS(event_id_t, int, ), "the number of an event is no int");

/* Management. */
FUNCTION(BeginAnswer, init_mi_result_object, mi_response_t *, (mi_item_t **));
FUNCTION(BeginAnswer, init_mi_result_array, mi_response_t *, (mi_item_t **));
FUNCTION(AnswerText, init_mi_result_string, mi_response_t *, (const char *, int));
FUNCTION(AnswerError, init_mi_error_extra, mi_response_t *,
        (int, const char *, int, const char *, int));
FUNCTION(AddText, add_mi_string, int, (mi_item_t *, char *, int, const char *, int));
FUNCTION(AddNumber, add_mi_number, int, (mi_item_t *, char *, int, double));
FUNCTION(AddFlag, add_mi_bool, int, (mi_item_t *, char *, int, int));
FUNCTION(AddNull, add_mi_null, int, (mi_item_t *, char *, int));
FUNCTION(AddItem, add_mi_object, mi_item_t *, (mi_item_t *, char *, int));
FUNCTION(AddItem, add_mi_array, mi_item_t *, (mi_item_t *, char *, int));
_Static_assert(MAX_MI_RECIPES > 4 && MAX_MI_PARAMS > 4, "fewer recipes or names than we have");

/* tm. */
TYPE(LoadTm, __typeof__(*(load_tm_f)0), int, (struct tm_binds *));
FUNCTION(NewTransaction, t_newtran, int, (struct sip_msg *, int));
FUNCTION(CompleteCopy, update_cloned_msg_from_msg, int, (struct sip_msg *, struct sip_msg *));
FUNCTION(Reply, t_reply, int, (struct cell *, struct sip_msg *, unsigned int, const str *));
EITHER(ReplyWithBody, t_reply_with_body,
        int, (struct cell *, unsigned int, str *, str *, str *, str *),
        int, (struct cell *, unsigned int, const str *, const str *, const str *, const str *));
FUNCTION(LookUpIds, t_lookup_ident, int, (struct cell **, unsigned int, unsigned int));
FUNCTION(RequestWithin, req_within, int,
        (str *, str *, str *, dlg_t *, transaction_cb, void *, release_tmcb_param));
FUNCTION(CurrentTransaction, get_t, struct cell *, (void));
FUNCTION(SetCurrentTransaction, set_t, void, (struct cell *));
FUNCTION(SetVariable, pv_set_tm_fr_timeout, int,
        (struct sip_msg *, pv_param_t *, int, pv_value_t *));
FUNCTION(ReleaseReference, t_unref_cell, void, (struct cell *));
FUNCTION(LookUpCancelled, t_lookupOriginalT, struct cell *, (struct sip_msg *));
SLOT(CancelTransaction, struct tm_binds, t_cancel_trans, int, (struct cell *, str *));
FUNCTION(SetKeptReason, set_kr, void, (enum kill_reason));
FUNCTION(RegisterCallback, register_tmcb, int,
        (struct sip_msg *, struct cell *, int, transaction_cb, void *, release_tmcb_param));
TYPE(Callback, transaction_cb, void, (struct cell *, int, struct tmcb_params *));
EITHER(MakeDialog, new_auto_dlg_uac,
        int, (str *, str *, str *, str *, struct socket_info *, dlg_t **),
        int, (str *, str *, str *, str *, const struct socket_info *, dlg_t **));
FUNCTION(ReleaseDialog, free_dlg, void, (dlg_t *));

/* What the host calls. */
CALLED(Init, struct module_exports, load_f, int, (void));
CALLED(Init, struct module_exports, init_f, int, (void));
CALLED(Destroy, struct module_exports, destroy_f, void, (void));
CALLED(ScriptFunction, cmd_export_t, function, int,
        (struct sip_msg *, void *, void *, void *, void *, void *, void *, void *, void *));
TYPE(SetParameter, __typeof__(*(param_func_t)0), int, (modparam_t, void *));
_Static_assert(IS(modparam_t, unsigned int, ), "the kind of a parameter is no unsigned int");
CALLED(BeforeFork, proc_export_t, pre_fork_function, int, (void));
CALLED(RunProcess, proc_export_t, function, void, (int));
TYPE(ReadStatistic, __typeof__(*(stat_function)0), unsigned long, (void *));
CALLED(ParseVariable, pv_export_t, parse_name, int, (pv_spec_p, const str *));
CALLED(GetVariable, pv_export_t, getf, int, (struct sip_msg *, pv_param_t *, pv_value_t *));
TYPE(ManagementCommand, mi_cmd_f, mi_response_t *, (const mi_params_t *, struct mi_handler *));

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
#include "modules/tm/t_cancel.h"
#include "modules/tm/t_fwd.h"
#include "modules/tm/t_lookup.h"
#include "modules/tm/t_reply.h"
#include "core/error.h"
#include "core/fmsg.h"
#include "core/mod_fix.h"
#include "core/receive.h"
#include "core/script_cb.h"
#include "core/tcp_conn.h"
#include "core/timer_proc.h"
#include "core/forward.h"
#include "undeclared.h"
#include "../include/kamailio.h"

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
NUMBER(RETURNS_ARRAY, 1, RET_ARRAY);

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
_Static_assert(sizeof(pv_value_t) <= 64, "a value is larger than the room for one");
ABOVE(OWN_VARIABLE, 1000, PVT_EXTRA);
SAME_PLACE(kamailio_routes_prefix, actions, struct route_list, rlist);
NUMBER(EVENT_ROUTE, 513, EVENT_ROUTE);
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
NUMBER(REQUEST_ROUTE, 1, REQUEST_ROUTE);
NUMBER(PLAIN_ROUTE, 1, REQUEST_ROUTE);
NUMBER(FAILURE_ROUTE, 2, FAILURE_ROUTE);
NUMBER(NOT_IN_SCRIPTS, -1, NO_SCRIPT);

SAME(kamailio_parameter, name, param_export_t, name);
SAME(kamailio_parameter, kind, param_export_t, type);
SAME(kamailio_parameter, target, param_export_t, param_pointer);
WHOLE(kamailio_parameter, param_export_t);
NUMBER(TEXT, 1, PARAM_STRING);
NUMBER(INTEGER, 2, PARAM_INT);
NUMBER(BY_FUNCTION, 1u << 31, (unsigned int)PARAM_USE_FUNC);

SAME(kamailio_kemi, module, sr_kemi_t, mname);
SAME(kamailio_kemi, name, sr_kemi_t, fname);
SAME(kamailio_kemi, result, sr_kemi_t, rtype);
SAME(kamailio_kemi, function, sr_kemi_t, func);
SAME(kamailio_kemi, parameters, sr_kemi_t, ptypes);
WHOLE(kamailio_kemi, sr_kemi_t);
NUMBER(KEMI_NONE, 0, SR_KEMIP_NONE);
NUMBER(KEMI_INTEGER, 1, SR_KEMIP_INT);
NUMBER(KEMI_TEXT, 2, SR_KEMIP_STR);

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
NUMBER(REQUEST, 1, SIP_REQUEST);
NUMBER(RESPONSE, 2, SIP_REPLY);

SAME(kamailio_reception, source, struct receive_info, src_ip);
SAME(kamailio_reception, source.family, struct receive_info, src_ip.af);
SAME(kamailio_reception, source.octets, struct receive_info, src_ip.u);
SAME(kamailio_reception, source_port, struct receive_info, src_port);
SAME(kamailio_reception, socket_address, struct receive_info, src_su);
SAME(kamailio_reception, socket, struct receive_info, bind_address);
SAME(kamailio_reception, protocol, struct receive_info, proto);
WHOLE(kamailio_reception, struct receive_info);
NUMBER(udp, 1, PROTO_UDP);
NUMBER(tcp, 2, PROTO_TCP);
NUMBER(tls, 3, PROTO_TLS);
NUMBER(sctp, 4, PROTO_SCTP);
NUMBER(ws, 5, PROTO_WS);
NUMBER(wss, 6, PROTO_WSS);

SAME(kamailio_reply_lump, text, struct lump_rpl, text);
SAME(kamailio_reply_lump, flags, struct lump_rpl, flags);
SAME(kamailio_reply_lump, next, struct lump_rpl, next);
WHOLE(kamailio_reply_lump, struct lump_rpl);
NUMBER(HEADER_LUMP, 2, LUMP_RPL_HDR);
NUMBER(BODY_LUMP, 4, LUMP_RPL_BODY);

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
_Static_assert(sizeof(dlg_t) == offsetof(struct kamailio_dialog, unused),
        "the dialog has grown: fields behind ours");
NUMBER(CONFIRMED, 2, DLG_CONFIRMED);
NUMBER(new, 0, DLG_NEW);

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
NUMBER(LOCAL_COMPLETED, 1 << 10, TMCB_LOCAL_COMPLETED);
NUMBER(LOCAL_RESPONSE, 1 << 14, TMCB_LOCAL_RESPONSE_IN);
NUMBER(CANCELLED, 1 << 18, TMCB_E2ECANCEL_IN);
NUMBER(FAKED_RESPONSE, -1, (long)FAKED_REPLY);
NUMBER(NO_TRANSACTION, -1, (long)T_UNDEFINED);
NUMBER(UNDEFINED_BRANCH, -1, T_BR_UNDEFINED);
NUMBER(OUT_OF_MEMORY, -2, E_OUT_OF_MEM);
NUMBER(script, -10, E_SCRIPT);
NUMBER(RANK_MAIN, 0, PROC_MAIN);
NUMBER(RANK_RPC, -2, PROC_RPC);

SAME(kamailio_log_record, facility, ksr_logdata_t, v_facility);
SAME(kamailio_log_record, level_name, ksr_logdata_t, v_lname);
SAME(kamailio_log_record, module, ksr_logdata_t, v_mname);
SAME(kamailio_log_record, location, ksr_logdata_t, v_locinfo);
SAME(kamailio_log_record, index, ksr_logdata_t, v_pidx);
WHOLE(kamailio_log_record, ksr_logdata_t);

_Static_assert(sizeof(struct sip_msg) <= 4096, "a message is larger than the room for a copy");
_Static_assert(offsetof(struct cell, uas.end_request)
                       == offsetof(struct cell, uas.request) + sizeof(void *),
        "the end of a transaction's request does not follow it");

/* The core. */
FUNCTION(FindModule, find_module_by_name, struct sr_module *, (char *));
FUNCTION(LoadedModules, get_loaded_modules, sr_module_t *, (void));
FUNCTION(FindSocket, grep_sock_info, struct socket_info *, (str *, unsigned short, unsigned short));
FUNCTION(ParseFormat, pv_parse_format, int, (str *, pv_elem_p *));
FUNCTION(PrintFormat, pv_printf, int, (sip_msg_t *, pv_elem_t *, char *, int *));
FUNCTION(FixArgument, fixup_spve_null, int, (void **, int));
FUNCTION(Argument, get_str_fparam, int, (str *, struct sip_msg *, fparam_t *));
FUNCTION(NoValue, pv_get_null, int, (struct sip_msg *, pv_param_t *, pv_value_t *));
FUNCTION(TextValue, pv_get_strval, int, (struct sip_msg *, pv_param_t *, pv_value_t *, str *));
/* 5.6 takes an int. */
EITHER(NumberValue, pv_get_intstrval,
        int, (struct sip_msg *, pv_param_t *, pv_value_t *, long, str *),
        int, (struct sip_msg *, pv_param_t *, pv_value_t *, int, str *));
FUNCTION(RegisterBasicTimers, register_basic_timers, int, (int));
FUNCTION(ForkBasicTimer, fork_basic_utimer, int, (int, char *, int, timer_function *, void *, int));
TYPE(TimerFunction, timer_function, void, (unsigned int, void *));
FUNCTION(RegisterCounters, counter_register_array, int, (const char *, counter_def_t *));
FUNCTION(AddKemi, sr_kemi_modules_add, int, (sr_kemi_t *));
FUNCTION(AddLump, add_lump_rpl2, struct lump_rpl **, (struct sip_msg *, char *, int, int));
FUNCTION(ReleaseLumps, del_nonshm_lump_rpl, void, (struct lump_rpl **));
FUNCTION(ResetEnvironment, ksr_msg_env_reset, void, (void));
FUNCTION(ScriptCallbacks, exec_pre_script_cb, int, (struct sip_msg *, enum script_cb_type));
FUNCTION(ScriptCallbacks, exec_post_script_cb, int, (struct sip_msg *, enum script_cb_type));
NUMBER(REQUEST_CALLBACKS, 1, REQUEST_CB_TYPE);
/* 5.6 asks for no protocol. */
EITHER(FindConnection, tcpconn_exists,
        int, (int, ip_addr_t *, int, ip_addr_t *, int, sip_protos_t),
        int, (int, ip_addr_t *, int, ip_addr_t *, int));
NUMBER(ANY_PROTOCOL, 0, PROTO_NONE);
FUNCTION(DefaultSocket, get_send_socket2, struct socket_info *,
        (struct socket_info *, union sockaddr_union *, int, enum ss_mismatch *));
/* The core reads one of our addresses, a sockaddr_storage. */
_Static_assert(sizeof(union sockaddr_union) <= 128, "an address is longer than sockaddr_storage");

FUNCTION(DebugLevel, get_debug_level, int, (char *, int));
FUNCTION(DebugLevel, get_debug_facility, int, (char *, int));
VARIABLE(_km_log_func, km_log_f);
TYPE(SyslogFunction, __typeof__(*(km_log_f)0), void, (int, const char *, ...));
VARIABLE(_ksr_slog_func, ksr_slog_f);
TYPE(EngineFunction, __typeof__(*(ksr_slog_f)0), void, (ksr_logdata_t *, const char *, ...));
VARIABLE(log_stderr, int);
VARIABLE(process_no, int);
NUMBER(Error, -1, L_ERR);
NUMBER(Warning, 0, L_WARN);
NUMBER(Notice, 1, L_NOTICE);
NUMBER(Info, 2, L_INFO);
NUMBER(Debug, 3, L_DBG);

/* Routes. */
FUNCTION(LookUpRoute, route_lookup, int, (struct route_list *, char *));
VARIABLE(event_rt, struct route_list);
FUNCTION(RunRoute, run_top_route, int, (struct action *, sip_msg_t *, struct run_act_ctx *));
FUNCTION(EmptyMessage, faked_msg_get_next, sip_msg_t *, (void));
VARIABLE(route_type, int);
FUNCTION(ScriptLanguage, sr_kemi_eng_get, sr_kemi_eng_t *, (void));
FUNCTION(RunFunction, sr_kemi_ctx_route, int,
        (sr_kemi_eng_t *, run_act_ctx_t *, sip_msg_t *, int, str *, str *));

/* Management. */
SLOT(RpcFault, rpc_t, fault, void, (void *, int, char *, ...));
SLOT(RpcVariadic, rpc_t, scan, int, (void *, char *, ...));
SLOT(RpcVariadic, rpc_t, add, int, (void *, char *, ...));
SLOT(RpcVariadic, rpc_t, struct_add, int, (void *, char *, ...));
SLOT(RpcVariadic, rpc_t, array_add, int, (void *, char *, ...));

/* tm. */
FUNCTION(NewTransaction, t_newtran, int, (struct sip_msg *));
FUNCTION(CurrentTransaction, get_t, struct cell *, (void));
FUNCTION(SetCurrentTransaction, set_t, void, (struct cell *, int));
FUNCTION(AddBlindBranch, add_blind_uac, int, (void));
FUNCTION(Reply, t_reply, int, (struct cell *, struct sip_msg *, unsigned int, char *));
FUNCTION(LookUpIds, t_lookup_ident, int, (struct cell **, unsigned int, unsigned int));
FUNCTION(ReleaseReference, unref_cell, void, (struct cell *));
FUNCTION(CancelledIds, t_get_canceled_ident, int,
        (struct sip_msg *, unsigned int *, unsigned int *));
FUNCTION(ReplyToTag, t_get_reply_totag, int, (struct sip_msg *, str *));
FUNCTION(SendRequest, t_uac, int, (uac_req_t *));
FUNCTION(SetTimeouts, t_set_fr, int, (struct sip_msg *, unsigned int, unsigned int));
FUNCTION(CancelBranches, cancel_all_uacs, int, (struct cell *, int));
FUNCTION(RegisterCallback, register_tmcb, int,
        (struct sip_msg *, struct cell *, int, transaction_cb, void *, release_tmcb_param));
TYPE(Callback, transaction_cb, void, (struct cell *, int, struct tmcb_params *));
FUNCTION(MakeDialog, new_dlg_uac, int, (str *, str *, unsigned int, str *, str *, dlg_t **));
FUNCTION(SetDialogTarget, set_dlg_target, int, (dlg_t *, str *, str *));
FUNCTION(ReleaseDialog, free_dlg, void, (dlg_t *));

/* What the host calls. */
CALLED(Init, struct module_exports, init_mod_f, int, (void));
CALLED(InitChild, struct module_exports, init_child_f, int, (int));
CALLED(Destroy, struct module_exports, destroy_mod_f, void, (void));
CALLED(ScriptFunction, cmd_export_t, function, int, (struct sip_msg *, char *, char *));
TYPE(SetParameter, __typeof__(*(param_func_t)0), int, (modparam_t, void *));
_Static_assert(IS(modparam_t, unsigned int, ), "the kind of a parameter is no unsigned int");
TYPE(ReadCounter, __typeof__(*(counter_cbk_f)0), counter_val_t, (counter_handle_t, void *));
_Static_assert(IS(counter_val_t, long, ), "the value of a counter is no long");
CALLED(ParseVariable, pv_export_t, parse_name, int, (pv_spec_p, str *));
CALLED(GetVariable, pv_export_t, getf, int, (struct sip_msg *, pv_param_t *, pv_value_t *));
CALLED(RpcMethod, rpc_export_t, function, void, (rpc_t *, void *));

int main(void)
{
    printf("release %s\n", VERSION);
    ROW("transaction_request", offsetof(struct cell, uas.request));
    return 0;
}

#endif
