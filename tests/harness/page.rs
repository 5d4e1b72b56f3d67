//! Parts of the documentation: blocks of code and links.

use std::fs;

use super::plan::root;

/// The first block of code after `mark`, on this page.
pub fn block(page: &str, mark: &str) -> String {
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (_, rest) = text.split_once(mark).expect("the mark");
    let (_, rest) = rest.split_once("```\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Targets of the links of a page that lead to other files, or within it.
pub fn links(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next());
    targets.filter(|it| !it.contains(':')).collect()
}
