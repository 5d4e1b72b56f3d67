//! The switch outside the proxy (docs/msrp-switchd.md): both ends of the control protocol together,
//! in this process and with the real `msrp-switchd`. The test plays the focus.

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../tls/certificates.rs"]
mod certificates;
mod ends;
mod history;
mod hostile;
mod member;
mod program;
mod proxy;
mod quarantine;
mod silent;
mod stage;
