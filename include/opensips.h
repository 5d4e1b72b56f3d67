/*
 * What this module knows of OpenSIPS' memory: its own declarations of the few structures
 * the two sides share, named in this project's words. Layouts are those of x86-64 Linux.
 *
 * Only what is the same in every supported series stands here; offsets that moved between
 * series are rows in src/host/opensips/series.rs. `make abi-check OPENSIPS_SRC=...` compares
 * both with a real source tree. Structures called `..._prefix` are longer in the host.
 */
#ifndef MSRP_CONFERENCE_OPENSIPS_H
#define MSRP_CONFERENCE_OPENSIPS_H

/* A counted string; never NUL-terminated by promise. */
struct opensips_text {
    char *s;
    int len;
};

/* What the loader compares with the core's own strings. */
struct opensips_build {
    const char *version;
    const char *compile_flags;
    const char *revision_kind;
    const char *revision;
};

/* The table the loader looks up by the name `exports`. */
struct opensips_exports {
    const char *name;
    int kind;
    struct opensips_build build;
    unsigned int open_flags;
    void *loaded;
    void *dependencies;
    void *commands;
    void *asynchronous_commands;
    void *parameters;
    void *statistics;
    void *management;
    void *variables;
    void *transformations;
    void *processes;
    void *before_init;
    void *init;
    void *response;
    void *destroy;
    void *init_child;
    void *reload_acknowledged;
};

struct opensips_command_parameter {
    int flags;
    void *fixup;
    void *release;
};

/* A script function; a parameter with flags 0 ends the list. */
struct opensips_command {
    const char *name;
    void *function;
    struct opensips_command_parameter parameters[9];
    int routes;
};

struct opensips_parameter {
    const char *name;
    unsigned int kind;
    void *target;
};

/* A process the host forks for us. */
struct opensips_process {
    const char *name;
    void *before_fork;
    void *after_fork;
    void *run;
    unsigned int count;
    unsigned int flags;
};

struct opensips_statistic {
    const char *name;
    unsigned short flags;
    void *value;
};

struct opensips_dependency {
    int kind;
    const char *name;
    unsigned int action;
};

/* `by_parameter` ends with a pair of null pointers. */
struct opensips_dependencies {
    struct opensips_dependency modules[10];
    void *by_parameter[2];
};

/* The start of a SIP message. Its buffer and its reception record: see the series. */
struct opensips_message_prefix {
    unsigned int id;
    unsigned int unused;
    int kind;
    int first_line_length;
    struct opensips_text method; /* of a request */
    struct opensips_text uri;
    struct opensips_text protocol;
    int method_code;
};

struct opensips_address {
    unsigned int family;
    unsigned int length;
    unsigned char octets[16];
};

/* How a message was received. */
struct opensips_reception {
    struct opensips_address source;
    struct opensips_address destination;
    unsigned short source_port;
    unsigned short destination_port;
    int protocol;
    unsigned char unused[40];
    void *socket;
};

/* The start of a transaction. */
struct opensips_transaction_prefix {
    unsigned char unused[16];
    unsigned int hash;
    unsigned int label;
    unsigned char between[216];
    void *request; /* tm's copy, in shared memory */
};

struct opensips_sequence {
    unsigned int value;
    unsigned char is_set;
};

/* A dialog as tm's client side wants it; ours live on the stack for one call. */
struct opensips_dialog {
    struct opensips_text call_id;
    struct opensips_text remote_tag;
    struct opensips_text local_tag;
    struct opensips_sequence local_sequence;
    struct opensips_sequence remote_sequence;
    struct opensips_text local_uri;
    struct opensips_text remote_uri;
    struct opensips_text outbound_proxy;
    unsigned int forced_address[7];
    struct opensips_text remote_target;
    struct opensips_text local_name;
    struct opensips_text remote_name;
    unsigned int transaction_flags;
    int state;
    void *route_set;
    unsigned char hooks[64];
    void *send_socket;
    void *preferred_socket;
    unsigned short max_forwards_enforced;
    unsigned short max_forwards;
    void *context;
    void *variables;
    void *created;
    void *created_argument;
    unsigned char unused[64]; /* zeros, should the host's be longer one day */
};

/* What tm hands to a callback. */
struct opensips_event {
    void *request;
    void *response;
    int code;
    void **argument;
    void *extra[2];
};

/* A management command: the table of recipes is larger in the host, see the series. */
struct opensips_management_prefix {
    const char *name;
    const char *help;
    unsigned int flags;
    void *init;
};

/* The arguments of a management command: a JSON object or array, or null. */
struct opensips_arguments {
    void *item;
    void *names;
};

/* A JSON value. */
struct opensips_json {
    struct opensips_json *next;
    struct opensips_json *previous;
    struct opensips_json *child;
    int kind;
    char *text;
    int integer;
    double number;
    char *name;
};

/* A pseudo-variable of ours. */
struct opensips_variable {
    struct opensips_text name;
    int kind;
    void *get;
    void *set;
    void *parse_name;
    void *parse_index;
    void *init;
    int init_argument;
};

/* The start of what the host makes of a pseudo-variable in a script. Only we look at
 * `inner`, which is what `parse_name` made of the name in parentheses. */
struct opensips_variable_parameter_prefix {
    int kind;
    void *inner;
};

struct opensips_variable_use_prefix {
    int kind;
    void *get;
    void *set;
    struct opensips_variable_parameter_prefix parameter;
};

struct opensips_variable_value {
    struct opensips_text text;
    int integer;
    int flags;
};

/* The functions of tm, in the order in which it fills them in. */
struct opensips_tm {
    void *register_callback;
    void *relay;
    void *check_transaction;
    void *new_transaction;
    void *reply;
    void *reply_with_body;
    void *generate_to_tag;
    void *is_local;
    void *transaction_ids;
    void *look_up_ids;
    void *add_blind_branch;
    void *reply_unlocked;
    void *request_within;
    void *request_outside;
    void *request;
    void *new_dialog_client;
    void *new_automatic_dialog_client;
    void *add_dialog_extra;
    void *dialog_response;
    void *release_dialog;
    void *print_dialog;
    void *current_transaction;
    void *set_current_transaction;
    void *acknowledged_transaction;
    void *picked_branch;
    void *set_remote_transaction;
    void *release_reference;
    void *take_reference;
    void *look_up_cancelled;
    void *cancel_transaction;
    void *release_transaction;
    void *set_kept_reason;
    /* Later slots differ between series and are not used. */
    void *unused[96];
};

#endif
