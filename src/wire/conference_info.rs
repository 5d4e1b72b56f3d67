//! `application/conference-info+xml` (RFC 4575): the document as a value, writing it full
//! or partial, reading it, and applying a partial one (§4.6).
