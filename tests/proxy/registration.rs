//! Clients register before they call: each example handles that as RFC 3261 §10.3 demands.

use std::fs;
use std::net::TcpStream;

use msrp_conference::wire::sip::NameAddr;

use crate::certificates::{Authority, Folder};
use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::host::Host;
use crate::harness::on_every_host;
use crate::harness::plan::{Plan, root};

/// The modules that an example loads from the host's folder; transports are built into OpenSIPS.
fn modules(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with("loadmodule"));
    let names = lines.filter_map(|line| line.split('"').nth(1)?.strip_suffix(".so"));
    names
        .filter(|name| *name != "msrp_conference" && !name.starts_with("proto_"))
        .collect()
}

/// Examples without passwords; those with accounts are in `identity`.
fn open_examples(host: &Host) -> Vec<String> {
    let folder = root().join("cfg-examples").join(host.family.as_str());
    let all = fs::read_dir(folder).expect("examples").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        (name.into_owned(), fs::read_to_string(&path).expect("text"))
    });
    let runs = |(name, text): &(String, String)| {
        name != "authenticated" && host.has_modules(&modules(text))
    };
    all.filter(runs).map(|(name, _)| name).collect()
}

/// A registration as JsSIP makes it.
struct JsSip {
    agent: Agent,
    user: String,
    host: String,
}

impl JsSip {
    fn new(agent: Agent) -> Self {
        let (user, host) = (unique(), unique());
        Self { agent, user, host }
    }

    /// Registers for this many seconds; returns its own Contact in the answer, from which JsSIP
    /// learns that it is registered.
    fn registers(&self, expires: u32) -> Option<NameAddr> {
        let Self { agent, user, host } = self;
        let contact = format!(
            "<sip:{user}@{host}.invalid;transport=ws>;+sip.ice;reg-id=1;\
             +sip.instance=\"<urn:uuid:1f9d3a4e-6a0c-4a57-9c0e-8f6f1b0f4a11>\";expires={expires}"
        );
        let methods = "INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY";
        let draft = agent
            .draft("REGISTER", "sip:127.0.0.1")
            .set("To", "<sip:alice@127.0.0.1>")
            .set("Contact", contact)
            .set("Expires", expires.to_string())
            .set("Allow", methods)
            .set("Supported", "path,gruu,outbound");
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "REGISTER");
        let contacts = answer.headers.elements("Contact").into_iter();
        let mut contacts = contacts.map(|it| it.parse::<NameAddr>().expect("a Contact"));
        contacts.find(|it| it.uri.starts_with(&format!("sip:{user}@")))
    }

    fn comes_and_goes(&self) {
        let contact = self.registers(600).expect("its Contact in the 200");
        let expires = contact.params.value("expires");
        let expires: u32 = expires.and_then(|it| it.parse().ok()).expect("an expiry");
        assert!((1..=600).contains(&expires), "{expires}");
        // JsSIP would use that as its Contact, and its requests would come to the proxy.
        for name in ["pub-gruu", "temp-gruu"] {
            assert!(!contact.params.has(name), "{name}");
        }
        assert_eq!(self.registers(0), None, "it is still there");
    }
}

#[test]
fn jssip_registers_in_each_example() {
    on_every_host(|host| {
        let files = Folder::new();
        for example in open_examples(host) {
            let mut plan = Plan::new(host).example(&example);
            if example == "tls" {
                let own = files.files(&Authority::new().certify(&["127.0.0.1"]));
                plan = plan
                    .parameter("tls_certificate", own.certificate.display())
                    .parameter("tls_private_key", own.private_key.display());
            }
            let port = plan.http;
            let proxy = plan.start();
            let agent = if example == "browser" {
                let page = TcpStream::connect(("127.0.0.1", port)).expect("connect");
                Agent::over("alice", page, Transport::Ws)
            } else {
                Agent::new("alice", proxy.sip, Transport::Tcp)
            };
            JsSip::new(agent).comes_and_goes();
            proxy.stop();
        }
    });
}
