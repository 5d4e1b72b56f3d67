//! The documents of the standards, and malformed or hostile ones.

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// RFC 5364 figure 3.
const RECIPIENT_LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"
          xmlns:cp="urn:ietf:params:xml:ns:copycontrol">
  <list>
    <entry uri="sip:bill@example.com" cp:copyControl="to" />
    <entry uri="sip:randy@example.net" cp:copyControl="to"
                                       cp:anonymize="true"/>
    <entry uri="sip:eddy@example.com" cp:copyControl="to"
                                      cp:anonymize="true"/>
    <entry uri="sip:joe@example.org" cp:copyControl="cc" />
    <entry uri="sip:carol@example.net" cp:copyControl="cc"
                                       cp:anonymize="true"/>
    <entry uri="sip:ted@example.net" cp:copyControl="bcc" />
    <entry uri="sip:andy@example.com" cp:copyControl="bcc" />
  </list>
</resource-lists>"#;

fn list(entries: &str) -> String {
    format!(
        r#"<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:cp="urn:ietf:params:xml:ns:copycontrol"><list>{entries}</list></resource-lists>"#
    )
}

fn uris(document: &str) -> Vec<String> {
    let entries = read(document.as_bytes()).unwrap_or_else(|e| panic!("{e}: {document}"));
    entries.into_iter().map(|entry| entry.uri).collect()
}

fn merged(lists: &[&str]) -> Vec<Recipient> {
    recipients(lists.iter().map(|list| list.as_bytes())).unwrap()
}

#[test]
fn l07_the_history_of_rfc_5364() {
    let recipients = merged(&[RECIPIENT_LIST]);
    assert_eq!(recipients.len(), 7);
    insta::assert_snapshot!(history(&recipients, None).unwrap().replace("><", ">\n<"), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:cp="urn:ietf:params:xml:ns:copycontrol">
    <list>
    <entry uri="sip:bill@example.com" cp:copyControl="to"/>
    <entry uri="sip:anonymous@anonymous.invalid" cp:copyControl="to" cp:count="2"/>
    <entry uri="sip:joe@example.org" cp:copyControl="cc"/>
    <entry uri="sip:anonymous@anonymous.invalid" cp:copyControl="cc" cp:count="1"/>
    </list>
    </resource-lists>
    "#);
}

#[test]
fn l07_the_blindly_invited_see_themselves_alone() {
    let recipients = merged(&[RECIPIENT_LIST]);
    let all = history(&recipients, None);
    assert_eq!(history(&recipients, Some("sip:bill@example.com")), all);
    let ted = history(&recipients, Some("sip:ted@example.net")).unwrap();
    let last = r#"<entry uri="sip:ted@example.net" cp:copyControl="bcc"/></list>"#;
    assert!(ted.contains(last) && !ted.contains("andy"), "{ted}");
}

#[test]
fn l07_blindness_beats_anonymity_and_leaves_nothing_to_send() {
    let entries = r#"<entry uri="sip:a@x" cp:anonymize="true"/><entry uri="sip:b@x"/>"#;
    let recipients = merged(&[&list(entries)]);
    assert_eq!(history(&recipients, None), None);
    assert_eq!(history(&[], Some("sip:a@x")), None);
    let own = history(&recipients, Some("sip:a@x")).unwrap();
    assert!(
        own.contains(r#"<entry uri="sip:a@x" cp:copyControl="bcc"/>"#),
        "{own}"
    );
}

#[test]
fn l07_a_history_names_people_but_tells_no_secrets() {
    let entries = r#"<entry uri="sips:a:pw@[2001:db8::1]:5061;x=y?Replaces=1" cp:copyControl="to">
        <display-name>A &amp; &lt;B&#x3e; "c"</display-name></entry>"#;
    let text = history(&merged(&[&list(entries)]), None).unwrap();
    assert!(
        text.contains(r#"uri="sips:a@%5B2001:db8::1%5D:5061;x=y" cp:"#),
        "{text}"
    );
    assert!(text.contains("<display-name>A &amp; &lt;B&gt; &quot;c&quot;</display-name>"));
    assert_eq!(
        read(text.as_bytes()).unwrap()[0].uri,
        "sips:a@[2001:db8::1]:5061;x=y"
    );
}

#[test]
fn l06_nothing_said_means_bcc() {
    let entries = r#"<entry uri="sip:a@x"/><entry uri="sip:b@x" copyControl="to"/>
        <entry uri="sip:c@x" cp:copyControl=" TO " cp:anonymize="1"/>
        <entry uri="sip:d@x" cp:copyControl="loud" cp:anonymize="yes"/>"#;
    let read = read(list(entries).as_bytes()).unwrap();
    let said: Vec<_> = read.iter().map(|e| (e.copy_control, e.anonymize)).collect();
    // Without its prefix the attribute is not that of RFC 5364.
    let bcc = (CopyControl::Bcc, false);
    assert_eq!(said, [bcc, bcc, (CopyControl::To, true), bcc]);
}

#[test]
fn l06_the_namespace_as_rfc_5366_writes_it() {
    let document = RECIPIENT_LIST.replace("copycontrol", "copyControl");
    assert_eq!(merged(&[&document]), merged(&[RECIPIENT_LIST]));
}

#[test]
fn l05_l06_duplicates_are_one_with_the_most_open_copy_control() {
    let first = r#"<entry uri="sip:Al@EXAMPLE.com;transport=tcp" cp:copyControl="cc"/>
        <entry uri="sip:b@x" cp:copyControl="to"/>"#;
    let second = r#"<entry uri="sip:A%6c@example.com"><display-name>Al</display-name></entry>
        <entry uri="sip:b@x" cp:anonymize="true"/><entry uri="sips:Al@example.com" cp:copyControl="to"/>
        <entry uri="sip:al@example.com"/>"#;
    let recipients = merged(&[&list(first), &list(second)]);
    let said: Vec<_> = recipients
        .iter()
        .map(|r| (r.address.as_str(), r.copy_control.as_str(), r.anonymize))
        .collect();
    assert_eq!(
        said,
        [
            ("sip:Al@example.com", "to", false),
            ("sip:b@x", "to", true),
            ("sip:al@example.com", "bcc", false),
        ]
    );
    assert_eq!(recipients[0].uri, "sip:Al@EXAMPLE.com;transport=tcp");
    assert_eq!(recipients[0].display_name.as_deref(), Some("Al"));
}

#[test]
fn l10_nested_lists_are_flat_and_references_are_passed_over() {
    let document = r#"<?xml version="1.0"?>
        <r:resource-lists xmlns:r="urn:ietf:params:xml:ns:resource-lists" xmlns:o="urn:other">
        <!-- the example of RFC 4826 §3.3 -->
        <r:list name="friends"><r:entry uri=" sip:bill@example.com "><r:display-name> Bill
            <![CDATA[Doe]]> </r:display-name><o:entry uri="sip:o@x"/></r:entry>
          <r:entry-ref ref="resource-lists/users/sip:bill@example.com/index"><r:display-name>No</r:display-name></r:entry-ref>
          <r:list name="close-friends"><r:display-name>Close Friends</r:display-name>
            <r:entry uri="sip:joe@example.com"/><r:entry/><r:entry uri=""/><entry uri="sip:unbound@x"/>
            <r:external anchor="http://127.0.0.1/x"><r:entry uri="sip:inside@x"/></r:external>
            <o:list><r:entry uri="sip:foreign@x"/></o:list>
          </r:list></r:list>
        <r:list><r:entry uri="http://example.com/"/></r:list><r:entry uri="sip:root@x"/></r:resource-lists>"#;
    let found = uris(document);
    assert_eq!(
        found,
        [
            "sip:bill@example.com",
            "sip:joe@example.com",
            "http://example.com/"
        ]
    );
    let recipients = merged(&[document]);
    assert_eq!(recipients.len(), 2);
    assert_eq!(recipients[0].display_name.as_deref(), Some("Bill Doe"));
    assert_eq!(recipients[1].display_name, None);
}

#[test]
fn an_empty_list_is_a_list() {
    assert!(uris(&list("")).is_empty());
    assert!(uris(r#"<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"/>"#).is_empty());
}

#[test]
fn what_is_no_list_is_refused() {
    let malformed = Err(ReadError::Malformed);
    let other = Err(ReadError::NotResourceLists);
    let whole = list(r#"<entry uri="sip:a@x"/>"#);
    for (document, error) in [
        (String::new(), &other),
        ("<list/>".into(), &other),
        (r#"<resource-lists xmlns="urn:x"/>"#.into(), &other),
        (whole.replace("</list>", ""), &malformed),
        (format!("{whole}{whole}"), &malformed),
        (list(r#"<entry uri="a" uri="b"/>"#), &malformed),
        (list(r#"<entry uri="&nothing;"/>"#), &malformed),
        (
            list("<entry uri='a'><display-name>&#0;</display-name></entry>"),
            &malformed,
        ),
        (whole[..whole.len() - 4].to_owned(), &malformed),
    ] {
        assert_eq!(&read(document.as_bytes()), error, "{document}");
    }
    assert_eq!(read(&[0xff, 0xfe]), malformed);
}

#[test]
fn xml_bombs_are_refused_before_they_go_off() {
    let entities = (1..10).map(|n| format!(r#"<!ENTITY e{n} "&e{0};&e{0};">"#, n - 1));
    let laughs = format!(
        r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY e0 "ha">{}]>{}"#,
        entities.collect::<String>(),
        list("<entry uri='sip:a@x'><display-name>&e9;</display-name></entry>")
    );
    assert_eq!(read(laughs.as_bytes()), Err(ReadError::Dtd));
    let external = format!(
        r#"<!DOCTYPE l SYSTEM "http://127.0.0.1/l.dtd">{}"#,
        list("")
    );
    assert_eq!(read(external.as_bytes()), Err(ReadError::Dtd));
    let undeclared = list("<entry uri='sip:a@x'><display-name>&e9;</display-name></entry>");
    assert_eq!(read(undeclared.as_bytes()), Err(ReadError::Dtd));
}

#[test]
fn every_size_is_bounded_and_so_is_the_work() {
    let entry = |n: usize| format!("<entry uri='sip:u{n}@x'/>");
    let full = list(&(0..MAX_ENTRIES).map(entry).collect::<String>());
    let more = list(&(0..=MAX_ENTRIES).map(entry).collect::<String>());
    let attributes = (0..100_000)
        .map(|n| format!(" a{n}=''"))
        .collect::<String>();
    let namespaces = (0..60_000)
        .map(|n| format!(" xmlns:a{n}='u'"))
        .collect::<String>();
    let bombs = [
        more,
        list(&"<x>".repeat(500_000)),
        list(&"<list>".repeat(200_000)),
        list(&"<x/>".repeat(400_000)),
        list(&format!("<entry{attributes}/>")),
        list(&format!("<x{namespaces}>{}</x>", "<y/>".repeat(200_000))),
        "x".repeat(MAX_OCTETS + 1),
    ];
    let started = Instant::now();
    assert_eq!(
        read(full.as_bytes()).map(|entries| entries.len()),
        Ok(MAX_ENTRIES)
    );
    for bomb in bombs {
        let error = read(bomb.as_bytes()).unwrap_err();
        let bounded = matches!(error, ReadError::TooLarge | ReadError::Malformed);
        assert!(bounded, "{error} {:.60}", bomb);
    }
    // Some 15 MiB in all, without optimisation on a busy machine.
    assert!(started.elapsed() < Duration::from_secs(20));
    let both = [full.as_bytes(), full.as_bytes()];
    assert_eq!(recipients(both), Err(ReadError::TooLarge));
    let name = "é".repeat(5_000);
    let long = list(&format!(
        "<entry uri='a'><display-name>{name}</display-name></entry>"
    ));
    let read = read(long.as_bytes()).unwrap();
    assert_eq!(read[0].display_name.as_ref().map(String::len), Some(1024));
}

fn recipient() -> impl Strategy<Value = Recipient> {
    let copy = prop_oneof![
        Just(CopyControl::To),
        Just(CopyControl::Cc),
        Just(CopyControl::Bcc)
    ];
    let name = option::of("[a-zé<>&\"']([ -~é]{0,8}[a-z&<])?");
    ("[a-f]{1,2}", name, copy, any::<bool>()).prop_map(|(user, name, copy_control, anonymize)| {
        let uri = format!("sip:{user}@example.com");
        Recipient {
            address: uri.clone(),
            uri,
            display_name: name.map(|n| n.split_whitespace().collect::<Vec<_>>().join(" ")),
            copy_control,
            anonymize,
        }
    })
}

proptest! {
    #[test]
    fn l07_a_history_shows_each_what_he_may_see(all in vec(recipient(), 0..20), reader: proptest::sample::Index) {
        let mut seen = std::collections::HashSet::new();
        let all: Vec<_> = all.into_iter().filter(|r| seen.insert(r.address.clone())).collect();
        let reader = (!all.is_empty()).then(|| reader.get(&all));
        let open = |r: &Recipient| r.copy_control != CopyControl::Bcc;
        let visible = |r: &&Recipient| match open(r) {
            true => !r.anonymize,
            false => Some(*r) == reader,
        };
        let text = history(&all, reader.map(|r| r.address.as_str()));
        let shown = text.iter().flat_map(|text| read(text.as_bytes()).unwrap());
        let (hidden, mut named): (Vec<_>, Vec<_>) =
            shown.partition(|entry| entry.uri.contains("anonymous"));
        let mut expected: Vec<_> = all.iter().filter(visible).map(|r| Entry {
            uri: r.uri.clone(),
            display_name: r.display_name.clone(),
            copy_control: r.copy_control,
            anonymize: false,
        }).collect();
        named.sort_by(|a, b| a.uri.cmp(&b.uri));
        expected.sort_by(|a, b| a.uri.cmp(&b.uri));
        prop_assert_eq!(named, expected);
        prop_assert!(hidden.len() <= 2 && hidden.iter().all(|e| e.display_name.is_none()));
        let count = all.iter().filter(|r| open(r) && r.anonymize).count();
        let counts = text.as_deref().unwrap_or_default().split("cp:count=\"").skip(1);
        let counted = counts.map(|c| c.split('"').next().unwrap().parse::<usize>().unwrap());
        prop_assert_eq!(counted.sum::<usize>(), count);
    }

    #[test]
    fn merging_finds_everybody_once(users in vec(("[ab]", 0..3usize), 0..12)) {
        let levels = ["to", "cc", "bcc"];
        let entry = |(user, level): &(String, usize)| {
            format!("<entry uri='sip:{user}@x' cp:copyControl='{}'/>", levels[*level])
        };
        let lists: Vec<_> = users.iter().map(|user| list(&entry(user))).collect();
        let whole = list(&users.iter().map(entry).collect::<String>());
        let lists: Vec<_> = lists.iter().map(String::as_str).collect();
        let found = merged(&lists);
        prop_assert_eq!(&found, &merged(&[&whole]));
        for recipient in found {
            let best = users.iter().filter(|(u, _)| recipient.uri == format!("sip:{u}@x"))
                .map(|(_, level)| *level).min().unwrap();
            prop_assert_eq!(recipient.copy_control.as_str(), levels[best]);
        }
    }

    #[test]
    fn arbitrary_documents_never_panic(
        octets in vec(any::<u8>(), 0..200), markup in "[<>/&;#x\"'=a!\\[\\]: -]{0,60}",
        at: usize, octet: u8,
    ) {
        let _ = read(&octets);
        let _ = read(markup.as_bytes());
        let _ = read(list(&markup).as_bytes());
        let mut damaged = RECIPIENT_LIST.as_bytes().to_vec();
        let at = at % damaged.len();
        damaged[at] = octet;
        if let Ok(found) = recipients([damaged.as_slice()]) {
            for reader in &found {
                if let Some(text) = history(&found, Some(&reader.address)) {
                    prop_assert!(read(text.as_bytes()).is_ok());
                }
            }
        }
    }
}
