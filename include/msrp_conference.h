/*
 * The C interface of msrp_conference for other modules of the same proxy.
 * Written by cbindgen from src/host/api.rs: UPDATE_HEADER=1 cargo test --test management header
 */

#ifndef MSRP_CONFERENCE_H
#define MSRP_CONFERENCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 What is known of a room.
 */
struct msrp_conference_room {
  /*
   Users who are in.
   */
  uint64_t participants;
  /*
   Subscriptions to the conference event package.
   */
  uint64_t subscribers;
  /*
   Messages its participants have sent.
   */
  uint64_t messages;
  /*
   1: only moderators come in.
   */
  int locked;
  /*
   1: it outlives its participants.
   */
  int lasting;
};

/*
 Something that happened in a room. Texts are good until the callback returns; what an event
 has not is NULL or 0.
 */
struct msrp_conference_event {
  /*
   The name of the event, as in docs/events.md.
   */
  const char *name;
  /*
   The room's URI.
   */
  const char *room;
  /*
   The user's address of record.
   */
  const char *user;
  /*
   join: the name to show.
   */
  const char *display;
  /*
   join: "participant", "moderator" or "observer".
   */
  const char *role;
  /*
   leave: "departed", "booted", "failed" or "busy".
   */
  const char *method;
  /*
   message: the wrapped content type.
   */
  const char *content_type;
  /*
   message: its octets, CPIM headers included.
   */
  uint64_t size;
  /*
   message: 1 when it was for one participant.
   */
  int is_private;
};

/*
 Called in the conference process, on its main thread, for every event. It must not wait.
 */
typedef void (*msrp_conference_told)(const struct msrp_conference_event *event, void *argument);

/*
 The functions. Each returns 0, or a code like SIP's: 400 what was given is not understood,
 404 there is no such room or user, 409 it exists already (`listen`: it is too late), 503 the
 conference process is busy, 504 it did not answer within two seconds, 500 anything else.

 A worker that calls one waits for the answer. In the conference process (a callback) nothing
 waits: what was ordered is carried out right after the callback, and 0 only says that it
 was understood; `look_up` gives 503 there.
 */
struct msrp_conference_api {
  /*
   In: how large the caller's structure is, `sizeof(struct msrp_conference_api)`.
   */
  size_t size;
  /*
   What is known of a room. Any process, after the fork.
   */
  int (*look_up)(const char *room, struct msrp_conference_room *found);
  /*
   Makes a room that lasts; `room` may bear the options of modparam `room`.
   */
  int (*create)(const char *room);
  /*
   Tells everybody in a room something, in its name.
   */
  int (*say)(const char *room, const char *text);
  /*
   Takes a user out of a room.
   */
  int (*expel)(const char *room, const char *user);
  /*
   Registers a callback; of messages it is told only if `messages` is not 0. In `mod_init`:
   after the fork the conference process would never know of it, which gives 409.
   */
  int (*listen)(msrp_conference_told told, void *argument, int messages);
};

/*
 What `find_export("load_msrp_conference", …)` gives: fills the functions in. Returns 0, or -1
 when the caller's structure is of another release.
 */
typedef int (*load_msrp_conference_f)(struct msrp_conference_api *api);

#ifdef __cplusplus
}
#endif

#endif
