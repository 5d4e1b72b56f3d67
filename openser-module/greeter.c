/*
 * An example of a module that binds to msrp_conference, for both proxies: it greets whoever
 * joins a room, and its script function tries the rest of the interface. Compiled against
 * nothing but our own headers:
 *
 *   cc -shared -fPIC -Wl,-Bsymbolic -Iinclude -o greeter.so openser-module/greeter.c
 *
 * An ordinary module is for one proxy and includes its headers: then what is below the line
 * is its ordinary table of exports.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "kamailio.h"
#include "msrp_conference.h"
#include "opensips.h"

static struct msrp_conference_api conference;

static void told(const struct msrp_conference_event *event, void *argument)
{
    char text[256];

    if (strcmp(event->name, "join") != 0)
        return;
    snprintf(text, sizeof(text), "%s, %s!", (const char *)argument, event->user);
    conference.say(event->room, text);
}

static void *find(const char *name);

static int init(void)
{
    load_msrp_conference_f load;

    *(void **)&load = find("load_msrp_conference");
    conference.size = sizeof(conference);
    if (!load || load(&conference) != 0)
        return -1;
    return conference.listen(told, "Welcome", 0) == 0 ? 0 : -1;
}

/* Makes a room, looks it up, speaks into it, and is refused what is not there. */
static int greeter_try(void *message, char *unused, char *unused_too)
{
    const char *room = "sip:greeted@127.0.0.1";
    struct msrp_conference_room found;

    if (conference.create("sip:greeted@127.0.0.1;locked=yes") != 0)
        return -1;
    if (conference.create(room) != 409)
        return -2;
    if (conference.look_up(room, &found) != 0 || !found.lasting || !found.locked)
        return -3;
    if (found.participants != 0 || conference.say(room, "nobody hears this") != 0)
        return -4;
    if (conference.look_up("sip:nowhere@127.0.0.1", &found) != 404)
        return -5;
    if (conference.expel(room, "sip:nobody@127.0.0.1") != 404)
        return -6;
    if (conference.look_up("no room", &found) != 400)
        return -7;
    /* The conference process has been forked without knowing of this one. */
    if (conference.listen(told, "Too late", 0) != 409)
        return -8;
    return 1;
}

/* ------------------------------------------------------------------------------------------ */

/* Kamailio's loader compares both with its own; any loaded module has them. */
char *module_version;
char *module_flags;

union {
    struct kamailio_exports kamailio;
    struct opensips_exports opensips;
} exports;

/* A table of OpenSIPS' own, with the strings its loader compares; NULL in Kamailio. */
static const struct opensips_exports *opensips;

static void *find(const char *name)
{
    void *(*in_kamailio)(const char *, int, int);
    void *(*in_opensips)(const char *, int);
    void *function = dlsym(RTLD_DEFAULT, "find_export");

    *(void **)&in_kamailio = function;
    *(void **)&in_opensips = function;
    if (!function)
        return NULL;
    return opensips ? in_opensips(name, 0) : in_kamailio(name, -1, 0);
}

static void fill_for_opensips(void)
{
    static struct opensips_command commands[2];

    commands[0].name = "greeter_try";
    commands[0].function = (void *)greeter_try;
    commands[0].routes = 1;
    exports.opensips.name = "greeter";
    exports.opensips.kind = 1;
    exports.opensips.build = opensips->build;
    exports.opensips.commands = commands;
    exports.opensips.init = (void *)init;
}

static void fill_for_kamailio(void)
{
    static struct kamailio_command commands[2];
    struct kamailio_module_prefix *(*loaded)(void);
    struct kamailio_module_prefix *first;
    char **text;

    *(void **)&loaded = dlsym(RTLD_DEFAULT, "get_loaded_modules");
    if (!loaded || !(first = loaded()))
        return;
    if ((text = dlsym(first->handle, "module_version")))
        module_version = *text;
    if ((text = dlsym(first->handle, "module_flags")))
        module_flags = *text;
    commands[0].name = "greeter_try";
    commands[0].function = (void *)greeter_try;
    commands[0].routes = 1;
    exports.kamailio.name = "greeter";
    exports.kamailio.commands = commands;
    exports.kamailio.init = (void *)init;
}

__attribute__((constructor)) static void fill(void)
{
    if ((opensips = dlsym(RTLD_DEFAULT, "proto_udp_exports")))
        fill_for_opensips();
    else
        fill_for_kamailio();
}
