//! Disposition notifications as room traffic: RFC 5438, RFC 3862.

use super::*;

fn wanting(from: &str) -> String {
    format!(
        "From: <sip:{from}@example.com>\r\nTo: <{LOBBY}>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: 34jk324j\r\nDateTime: 2026-01-01T12:00:00-08:00\r\n\
         imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\
         Require: no.such.thing\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
    )
}

fn notification(from: &str, to: &str) -> String {
    let content = "<imdn><message-id>34jk324j</message-id><recipient-uri>im:bob@secret.example.com\
                   </recipient-uri></imdn>";
    cpim_to(from, to, content).replace(
        "text/plain\r\n",
        "message/imdn+xml\r\nContent-Disposition: notification\r\n",
    )
}

#[test]
fn p05_p10_p14_a_request_for_notifications_passes_unchanged() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = wanting("alice");
    stage.give(alice, send("alice", "tid12345", &[], &body));
    assert_eq!(stage.codes(alice), [200]);
    // No IMDN-Record-Route, no DateTime of ours, and Require is the endpoints' business.
    assert_eq!(stage.got(bob)[0].text(), body);
}

#[test]
fn p12_p15_the_switch_makes_no_notifications_of_its_own() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &wanting("alice")));
    stage.give(alice, send("alice", "tid12346", &[], &wanting("mallory")));
    assert_eq!(
        stage.codes(alice),
        [200, 403],
        "responses, and nothing else"
    );
    stage.raw(bob);
    let body = notification("bob", "sip:alice@example.com");
    stage.give(bob, send("bob", "tid12347", &[], &body));
    assert_eq!(stage.codes(bob), [200], "none about a notification");
    assert_eq!(stage.got(alice)[0].text(), body);
}

#[test]
fn p13_who_is_anonymous_is_not_named_by_his_notification() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut head = admission(LOBBY, "hidden");
    head.user = UserUri::new("sip:anonymous1@anonymous.invalid");
    head.uris = vec![head.user.clone()];
    let hidden = stage.enter(head);
    let body = notification("x", "sip:alice@example.com")
        .replace("sip:x@example.com", "sip:anonymous1@anonymous.invalid");
    stage.give(hidden, send("hidden", "tid12345", &[], &body));
    assert_eq!(stage.codes(hidden), [200]);
    let got = stage.got(alice);
    assert!(!got[0].text().contains("secret"));
    assert_eq!(got[0].text().len(), body.len());
}

#[test]
fn p13_of_the_anonymous_one_notification_of_a_kind_is_told() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let bob = stage.join("bob");
    let hidden = [1, 2, 3].map(|number| {
        let name = format!("hidden{number}");
        let mut head = admission(LOBBY, &name);
        head.user = UserUri::new(format!("sip:anonymous{number}@anonymous.invalid"));
        head.uris = vec![head.user.clone()];
        (stage.enter(head), name)
    });
    let says = |number: usize, status: &str| {
        let from = format!("sip:anonymous{number}@anonymous.invalid");
        let said = format!("<status><{status}/></status></imdn>");
        let body = notification("x", "sip:alice@example.com");
        body.replace("sip:x@example.com", &from)
            .replace("</imdn>", &said)
    };
    for status in ["delivered", "displayed"] {
        for (number, (id, name)) in hidden.iter().enumerate() {
            let tid = format!("tid{status}{number}");
            stage.give(*id, send(name, &tid, &[], &says(number + 1, status)));
            assert_eq!(
                stage.codes(*id),
                [200],
                "nobody is told that it was one of many"
            );
        }
        assert_eq!(stage.got(alice).len(), 1, "{status}");
    }
    // Notifications of members who are not anonymous pass unchanged.
    let body = notification("bob", "sip:alice@example.com");
    stage.give(bob, send("bob", "tid12347", &[], &body));
    assert_eq!(stage.got(alice)[0].text(), body);
    // Another reader, another notification.
    let body = says(2, "delivered").replace("sip:alice@", "sip:bob@");
    stage.raw(bob);
    stage.give(hidden[1].0, send("hidden2", "tid12348", &[], &body));
    assert_eq!(stage.got(bob).len(), 1);
}
