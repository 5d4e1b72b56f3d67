//! Draws the diagrams of the documentation from the text files beside them, so that a change can be
//! reviewed as text: `UPDATE_DOCS=1 cargo test --test diagrams` draws them again.

#[path = "harness/mod.rs"]
mod harness;

use std::env;
use std::fmt::Write as _;
use std::fs;

use harness::plan::root;

const FONT: &str = "font-family=\"Helvetica, Arial, sans-serif\"";
const INK: &str = "#24292f";
const SOFT: &str = "#57606a";
const LINE: &str = "#0969da";

/// A diagram under construction.
struct Picture(String);

impl Picture {
    fn new(width: u32, height: u32) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\">\n\
             <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" \
             markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\">\
             <path d=\"M0 0L10 5L0 10z\" fill=\"{LINE}\"/></marker></defs>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn text(&mut self, (x, y): (f64, f64), size: u32, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.0,
            "<text x=\"{x}\" y=\"{y}\" {FONT} font-size=\"{size}\" fill=\"{colour}\" \
             text-anchor=\"middle\" paint-order=\"stroke\" stroke=\"#ffffff\" \
             stroke-width=\"4\">{text}</text>"
        );
    }

    fn rectangle(&mut self, [x, y, width, height]: [f64; 4], fill: &str, dashes: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" \
             fill=\"{fill}\" stroke=\"{SOFT}\"{dashes}/>"
        );
    }

    fn arrow(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = writeln!(
            self.0,
            "<path d=\"M{x1} {y1}L{x2} {y2}\" stroke=\"{LINE}\" stroke-width=\"1.5\" fill=\"none\" \
             marker-end=\"url(#tip)\"/>"
        );
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// The statements: the first word, and the rest split at its bars.
fn statements(source: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = source
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split('|').map(str::trim).collect())
}

fn numbers<const N: usize>(words: &[&str]) -> [f64; N] {
    let numbers: Vec<f64> = words
        .iter()
        .map(|word| word.parse().expect("a number"))
        .collect();
    numbers
        .try_into()
        .unwrap_or_else(|_| panic!("{N} numbers in {words:?}"))
}

/// Boxes at their places, and arrows between their sides.
fn map(source: &str) -> String {
    let mut boxes: Vec<(&str, [f64; 4])> = Vec::new();
    let mut arrows = Vec::new();
    let mut picture = None;
    for parts in statements(source) {
        let words: Vec<&str> = parts[0].split(' ').collect();
        match words[0] {
            "map" => {
                let [width, height] = numbers(&words[1..]);
                picture = Some(Picture::new(width as u32, height as u32));
            }
            kind @ ("box" | "frame") => {
                let picture = picture.as_mut().expect("`map` stands first");
                let place @ [x, y, width, height] = numbers(&words[2..]);
                boxes.push((words[1], place));
                let dashes = " stroke-dasharray=\"6 4\"";
                let (fill, dashes) = match kind {
                    "box" => ("#f6f8fa", ""),
                    _ => ("none", dashes),
                };
                picture.rectangle(place, fill, dashes);
                let middle = match (kind, parts.len()) {
                    ("frame", _) => y + 20.0,
                    (_, 2) => y + height / 2.0 + 5.0,
                    _ => y + height / 2.0 - 4.0,
                };
                picture.text((x + width / 2.0, middle), 14, INK, parts[1]);
                if let Some(second) = parts.get(2) {
                    picture.text((x + width / 2.0, middle + 19.0), 12, SOFT, second);
                }
            }
            "arrow" => arrows.push((words, parts)),
            other => panic!("{other}?"),
        }
    }
    let mut picture = picture.expect("`map`");
    let place = |side: &str, along: &str| {
        let (name, side) = side.split_once('.').expect("BOX.SIDE");
        let (_, [x, y, width, height]) = boxes
            .iter()
            .find(|(known, _)| *known == name)
            .expect("a box");
        let along: f64 = along.parse().expect("a number");
        match side {
            "left" => (*x, along),
            "right" => (x + width, along),
            "top" => (along, *y),
            "bottom" => (along, y + height),
            other => panic!("{other}?"),
        }
    };
    let ends: Vec<_> = arrows
        .iter()
        .map(|(words, parts)| {
            (
                place(words[1], words[2]),
                place(words[4], words[5]),
                parts[1],
            )
        })
        .collect();
    for (from, to, _) in &ends {
        picture.arrow(*from, *to);
    }
    for ((x1, y1), (x2, y2), label) in ends {
        if !label.is_empty() {
            let middle = ((x1 + x2) / 2.0, (y1 + y2) / 2.0 - 5.0);
            picture.text(middle, 12, INK, label);
        }
    }
    picture.end()
}

/// Lifelines, and messages between them from top to bottom.
fn flow(source: &str) -> String {
    const WIDTH: f64 = 290.0;
    const STEP: f64 = 34.0;
    let all: Vec<Vec<&str>> = statements(source).collect();
    let mut names = all[0].clone();
    names[0] = names[0].strip_prefix("flow ").expect("`flow` stands first");
    let x = |name: &str| {
        let place = names.iter().position(|known| *known == name);
        place.unwrap_or_else(|| panic!("{name}?")) as f64 * WIDTH + WIDTH / 2.0
    };
    let bottom = 70.0 + STEP * all.len() as f64;
    let width = WIDTH * names.len() as f64;
    let mut picture = Picture::new(width as u32, (bottom + 10.0) as u32);
    for name in &names {
        let x = x(name);
        let _ = writeln!(
            picture.0,
            "<path d=\"M{x} 50L{x} {bottom}\" stroke=\"{SOFT}\" stroke-dasharray=\"4 4\"/>"
        );
        picture.rectangle([x - 75.0, 14.0, 150.0, 36.0], "#f6f8fa", "");
        picture.text((x, 37.0), 14, INK, name);
    }
    for (number, parts) in all.iter().enumerate().skip(1) {
        let (from, to) = parts[0].split_once(" -> ").expect("FROM -> TO");
        let y = 56.0 + STEP * number as f64;
        picture.arrow((x(from), y), (x(to), y));
        picture.text(((x(from) + x(to)) / 2.0, y - 6.0), 12, INK, parts[1]);
    }
    picture.end()
}

#[test]
fn the_pictures_are_what_their_sources_say() {
    let folder = root().join("docs/diagrams");
    let map = map as fn(&str) -> String;
    for (name, draw) in [("ports", map), ("folders", map), ("join", flow)] {
        let source = fs::read_to_string(folder.join(name).with_extension("txt")).expect("a source");
        let drawn = draw(&source);
        let file = folder.join(name).with_extension("svg");
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&file, &drawn).expect("a picture");
        }
        let known = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(known, drawn, "UPDATE_DOCS=1 cargo test --test diagrams");
        let mut reader = quick_xml::Reader::from_str(&drawn);
        while reader.read_event().expect("well-formed") != quick_xml::events::Event::Eof {}
    }
}
