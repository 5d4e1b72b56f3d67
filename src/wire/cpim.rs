//! Message/CPIM (RFC 3862): read tolerantly, forwarded byte for byte, so there is no
//! writer for what passes through; `compose` is for what we say ourselves.
