//! A SIP request under construction: correct by default, with every part open to change.

use super::agent::Agent;

/// A request to send, with headers in this order.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Method; any text.
    pub method: String,
    /// Request-URI.
    pub uri: String,
    /// Headers; Content-Length is written last unless it is among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Draft {
    /// Replaces the header, or appends it.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        match self
            .headers
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            Some((_, old)) => *old = value,
            None => self.headers.push((name.into(), value)),
        }
        self
    }

    /// Appends a header.
    #[must_use]
    pub fn add(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sets body and Content-Type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.set("Content-Type", content_type)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The branch of its Via, which identifies the transaction.
    pub fn branch(&self) -> &str {
        let after = self
            .header("Via")
            .split(";branch=")
            .nth(1)
            .unwrap_or_default();
        after.split(';').next().unwrap_or_default()
    }

    /// The number in its CSeq.
    pub fn cseq(&self) -> u32 {
        self.header("CSeq")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// The CANCEL of this request (RFC 3261 §9.1).
    pub fn cancel(&self) -> Draft {
        self.hop_by_hop("CANCEL")
    }

    /// The ACK of a non-2xx answer to this request (RFC 3261 §17.1.1.3).
    pub fn ack_of_refusal(&self, to: &str) -> Draft {
        self.hop_by_hop("ACK").set("To", to)
    }

    fn hop_by_hop(&self, method: &str) -> Draft {
        let kept = ["Via", "From", "To", "Call-ID", "Max-Forwards", "Route"];
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| kept.iter().any(|k| k == name))
            .cloned();
        let (method, uri) = (method.to_owned(), self.uri.clone());
        let cseq = format!("{} {method}", self.cseq());
        Draft {
            method,
            uri,
            headers: headers.collect(),
            body: Vec::new(),
        }
        .set("CSeq", cseq)
    }

    /// The octets.
    pub fn octets(&self) -> Vec<u8> {
        let mut text = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if self.header("Content-Length").is_empty() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        let mut octets = text.into_bytes();
        octets.extend_from_slice(&self.body);
        octets
    }
}

/// The state an agent needs to send requests within a dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Our From value, tag included.
    pub local: String,
    /// Our To value, tag included.
    pub remote: String,
    /// The other side's Contact URI.
    pub target: String,
    /// Route values, first hop first.
    pub routes: Vec<String>,
    /// Our last CSeq number.
    pub cseq: u32,
}

impl Dialog {
    /// The dialog that a 2xx to our request created.
    pub fn new(draft: &Draft, response: &msrp_conference::wire::sip::Response) -> Self {
        let contact = response
            .headers
            .first("Contact")
            .expect("a 2xx without Contact");
        let target = contact.split(['<', '>']).nth(1).unwrap_or(contact);
        let routes = response.headers.elements("Record-Route");
        Self {
            call_id: draft.header("Call-ID").into(),
            local: draft.header("From").into(),
            remote: response.headers.first("To").expect("To").into(),
            target: target.into(),
            routes: routes
                .iter()
                .rev()
                .map(|route| (*route).to_owned())
                .collect(),
            cseq: draft.cseq(),
        }
    }

    /// A request within the dialog, with the next CSeq.
    pub fn request(&mut self, agent: &Agent, method: &str) -> Draft {
        self.cseq += 1;
        self.numbered(agent, method, self.cseq)
    }

    /// The ACK of the 2xx to the request with this dialog's present CSeq.
    pub fn ack(&self, agent: &Agent) -> Draft {
        self.numbered(agent, "ACK", self.cseq)
    }

    fn numbered(&self, agent: &Agent, method: &str, cseq: u32) -> Draft {
        let draft = agent
            .draft(method, &self.target)
            .set("From", &self.local)
            .set("To", &self.remote)
            .set("Call-ID", &self.call_id)
            .set("CSeq", format!("{cseq} {method}"));
        self.routes
            .iter()
            .fold(draft, |draft, route| draft.add("Route", route))
    }
}
