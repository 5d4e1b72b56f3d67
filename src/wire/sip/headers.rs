//! An ordered list of header fields.

/// One header field, unfolded, its name in long canonical form (`i` → `Call-ID`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Canonical name.
    pub name: String,
    /// Value without surrounding white space.
    pub value: String,
}

/// Header fields in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }
    /// Appends a header; compact and odd-case names become canonical.
    pub fn push(&mut self, _name: &str, _value: impl Into<String>) {
        todo!()
    }
    /// `push`, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }
    /// The first value of this name.
    pub fn first(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    /// Every line of this name, in order.
    pub fn all<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }
    /// Every comma-separated element of every line of this name, quotes and angle brackets
    /// respected, trimmed, empty elements left out.
    pub fn elements(&self, _name: &str) -> Vec<&str> {
        todo!()
    }
    /// Whether an element of this name equals `token` without case (its parameters aside).
    pub fn has_token(&self, _name: &str, _token: &str) -> bool {
        todo!()
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }
}
