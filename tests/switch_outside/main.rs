//! The switch outside the proxy (DESIGN §6, §1 flow 4): both ends of the control protocol
//! together, in this process and with the real `msrp-switchd`. The focus is played by the test.

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
