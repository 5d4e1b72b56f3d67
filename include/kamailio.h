/*
 * What this module knows of Kamailio's memory: its own declarations of the few structures
 * the two sides share, named in this project's words. Layouts are those of x86-64 Linux.
 *
 * Only what is the same in every supported series stands here; offsets that moved between
 * series are rows in src/host/kamailio/series.rs. `make abi-check KAMAILIO_SRC=...` compares
 * both with a real source tree. Structures called `..._prefix` are longer in the host.
 */
#ifndef MSRP_CONFERENCE_KAMAILIO_H
#define MSRP_CONFERENCE_KAMAILIO_H

/* A counted string; never NUL-terminated by promise. */
struct kamailio_text {
    char *s;
    int len;
};

/* The table the loader looks up by the name `exports`. */
struct kamailio_exports {
    const char *name;
    unsigned int open_flags;
    void *commands;
    void *parameters;
    void *rpc_methods;
    void *variables;
    void *response;
    void *init;
    void *init_child;
    void *destroy;
};

struct kamailio_command {
    const char *name;
    void *function;
    int parameter_count;
    void *fixup;
    void *release;
    unsigned int routes;
};

struct kamailio_parameter {
    const char *name;
    unsigned int kind;
    void *target;
};

/* A function of the scripting languages. */
struct kamailio_kemi {
    struct kamailio_text module;
    struct kamailio_text name;
    int result;
    void *function;
    int parameters[6];
};

struct kamailio_counter {
    void *handle;
    const char *name;
    int flags;
    void *read;
    void *argument;
    const char *description;
};

/* The start of a loaded module's record. */
struct kamailio_module_prefix {
    char *path;
    void *handle;
};

/* The start of a SIP message, the same in all series up to the list of reply lumps. */
struct kamailio_address {
    unsigned int family;
    unsigned int length;
    unsigned char octets[16];
};

/* How a message was received. */
struct kamailio_reception {
    struct kamailio_address source;
    struct kamailio_address destination;
    unsigned short source_port;
    unsigned short destination_port;
    int unused_before[3];
    unsigned char socket_address[128];
    void *socket;
    int flags;
    char protocol;
};

struct kamailio_message_prefix {
    unsigned int id;
    int process;
    unsigned char unused_before[24];
    short kind;
    short line_flags;
    int first_line_length;
    struct kamailio_text method; /* of a request */
    struct kamailio_text uri;
    struct kamailio_text protocol;
    unsigned int method_code;
    unsigned char unused_headers[420];
    struct kamailio_reception reception;
    char *buffer;
    unsigned int length;
    struct kamailio_text new_uri;
    unsigned char unused_after[816];
    void *reply_lumps;
};

/* A piece of a reply in the making. */
struct kamailio_reply_lump {
    struct kamailio_text text;
    int flags;
    struct kamailio_reply_lump *next;
};

/* The start of one of the host's sockets. */
struct kamailio_socket_prefix {
    int descriptor;
    int index;
    struct kamailio_text name;
    struct kamailio_address address;
    struct kamailio_text address_text;
    struct kamailio_text port_text;
    unsigned char unused[152];
    unsigned short port;
    char protocol;
};

/* The start of a transaction; its request: see the series. */
struct kamailio_transaction_prefix {
    unsigned char unused[16];
    unsigned int hash;
    unsigned int label;
};

struct kamailio_sequence {
    unsigned int value;
    unsigned char is_set;
};

/* A dialog as tm's client side wants it; ours live on the stack for one call. */
struct kamailio_dialog {
    struct kamailio_text call_id;
    struct kamailio_text remote_tag;
    struct kamailio_text local_tag;
    struct kamailio_sequence local_sequence;
    struct kamailio_sequence remote_sequence;
    struct kamailio_text local_uri;
    struct kamailio_text remote_uri;
    struct kamailio_text remote_target;
    struct kamailio_text destination_uri;
    struct kamailio_text local_name;
    struct kamailio_text remote_name;
    unsigned char secure;
    int state;
    void *route_set;
    unsigned char hooks[64];
    void *send_socket;
    unsigned char unused[64]; /* zeros, should the host's be longer one day */
};

/* A request tm sends for us; the tail, which grew over time, stays zero. */
struct kamailio_request {
    struct kamailio_text *method;
    struct kamailio_text *headers;
    struct kamailio_text *body;
    struct kamailio_text *socket;
    struct kamailio_text *socket_name;
    struct kamailio_dialog *dialog;
    int events;
    void *callback;
    void *argument;
    struct kamailio_text *call_id;
    unsigned char unused[176];
};

/* What tm hands to a callback. */
struct kamailio_event {
    void *request;
    void *response;
    void **argument;
    int code;
    unsigned short flags;
    unsigned short branch;
    void *buffer;
    void *destination;
    struct kamailio_text sent;
};

/* How a management command of ours reads its arguments and writes its answer. */
struct kamailio_rpc {
    void *fault;
    void *send;
    void *add;
    void *scan;
    void *print;
    void *add_to_struct;
    void *add_to_array;
    void *scan_struct;
    void *print_to_struct;
    void *capabilities;
    void *delay;
    void *end_delayed;
};

/* A management command; the documentation is a list ended by a null pointer. */
struct kamailio_rpc_method {
    const char *name;
    void *function;
    const char **documentation;
    unsigned int flags;
};

/* A pseudo-variable of ours. */
struct kamailio_variable {
    struct kamailio_text name;
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
struct kamailio_variable_parameter_prefix {
    int kind;
    void *release;
    void *inner;
};

struct kamailio_variable_use_prefix {
    int kind;
    void *get;
    void *set;
    struct kamailio_variable_parameter_prefix parameter;
};

/* The routes of one kind: lists of actions by number. */
struct kamailio_routes_prefix {
    void **actions;
};

/* What a log engine of the host's own wants to know about a line. */
struct kamailio_log_record {
    int facility;
    int level;
    const char *level_name;
    const char *file;
    int line;
    const char *module;
    const char *function;
    const char *location;
    int process;
    int index;
};

#endif
