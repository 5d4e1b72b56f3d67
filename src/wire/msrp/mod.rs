//! MSRP (RFC 4975): URIs, heads, an incremental decoder, an encoder. No sockets, no sessions.
