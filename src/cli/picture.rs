//! The demo's picture: the ladder as bars with their intervals, and test pictures with what each rung said of them.
//!
//! SVG, because every browser shows it sharp at any size, it needs no fonts of ours, and it can hold the photos themselves.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::experiment::report::html::{duration, escape, thousands};

/// A rung of the ladder. Fractions are 0..1.
pub struct Rung {
    /// The method, for people.
    pub name: &'static str,
    /// Accuracy on the test pictures.
    pub top1: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// Time to learn, in seconds.
    pub seconds: f64,
    /// Numbers that were trained.
    pub parameters: usize,
}

/// A test picture and what was said of it.
pub struct Example<'a> {
    /// The bytes of a JPEG.
    pub jpeg: &'a [u8],
    /// The right class.
    pub label: &'a str,
    /// What the first rung said.
    pub before: &'a str,
    /// What the best rung said.
    pub after: &'a str,
}

/// All that the picture shows.
pub struct Picture<'a> {
    /// The line under the title.
    pub subtitle: String,
    /// The ladder.
    pub rungs: &'a [Rung],
    /// Which rung is best.
    pub best: usize,
    /// A fraction of 1 by guessing.
    pub chance: f64,
    /// Some test pictures.
    pub examples: &'a [Example<'a>],
}

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 40.0;
const BARS_LEFT: f64 = 210.0;
const BARS_WIDTH: f64 = 440.0;
const ROW: f64 = 44.0;
const TILE: f64 = 80.0;
const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1d2733}\
.t{font-size:24px;font-weight:700}.s{font-size:13px;fill:#5b6b7b}.n{font-size:15px;font-weight:600}\
.v{font-size:15px;font-weight:700}.d{font-size:12px;fill:#5b6b7b}.c{font-size:11px}\
.right{fill:#1a7f4b}.wrong{fill:#b3402e}";

impl Picture<'_> {
    /// The SVG.
    pub fn svg(&self) -> String {
        let ladder_top = 104.0;
        let tiles_top = ladder_top + ROW * self.rungs.len() as f64 + 62.0;
        let height = tiles_top + TILE + 60.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\"><style>{STYLE}</style>\
             <rect width=\"100%\" height=\"100%\" rx=\"14\" fill=\"#fbfaf7\"/>"
        );
        text(&mut svg, (MARGIN, 50.0), "t", "What a few photos teach");
        text(&mut svg, (MARGIN, 74.0), "s", &self.subtitle);
        for (index, rung) in self.rungs.iter().enumerate() {
            draw_rung(&mut svg, rung, ladder_top + ROW * index as f64, index == self.best);
        }
        let axis = ladder_top + ROW * self.rungs.len() as f64;
        let chance = BARS_LEFT + BARS_WIDTH * self.chance;
        let _ = write!(
            svg,
            "<line x1=\"{chance:.1}\" x2=\"{chance:.1}\" y1=\"{}\" y2=\"{axis}\" stroke=\"#8795a3\" \
             stroke-dasharray=\"3 4\"/><text x=\"{chance:.1}\" y=\"{}\" class=\"d\" text-anchor=\"middle\">guessing</text>",
            ladder_top - 4.0,
            axis + 14.0
        );
        let caption = format!(
            "Where learning helped, one test picture a class: what {} said, then {}",
            self.rungs[0].name, self.rungs[self.best].name
        );
        text(&mut svg, (MARGIN, tiles_top - 14.0), "s", &caption);
        for (index, example) in self.examples.iter().enumerate() {
            tile(&mut svg, example, MARGIN + index as f64 * (TILE + 8.9), tiles_top);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn draw_rung(svg: &mut String, rung: &Rung, top: f64, best: bool) {
    let (middle, x) = (top + ROW / 2.0, |fraction: f64| BARS_LEFT + BARS_WIDTH * fraction);
    let colour = if best { "#2f6fde" } else { "#9db7e4" };
    text(svg, (MARGIN, middle + 5.0), "n", rung.name);
    let [low, high] = rung.ci95;
    let _ = write!(
        svg,
        "<rect x=\"{BARS_LEFT}\" y=\"{}\" width=\"{BARS_WIDTH}\" height=\"22\" rx=\"4\" fill=\"#eceae4\"/>\
         <rect x=\"{BARS_LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"22\" rx=\"4\" fill=\"{colour}\"/>\
         <path d=\"M{:.1} {middle}H{:.1}M{:.1} {}v10M{:.1} {}v10\" stroke=\"#1d2733\" stroke-width=\"1.5\" fill=\"none\"/>",
        middle - 11.0,
        middle - 11.0,
        BARS_WIDTH * rung.top1,
        x(low),
        x(high),
        x(low),
        middle - 5.0,
        x(high),
        middle - 5.0,
    );
    let value = format!("{:.1} %", rung.top1 * 100.0);
    text(svg, (BARS_LEFT + BARS_WIDTH + 16.0, middle + 5.0), "v", &value);
    let learnt = match rung.parameters {
        0 => "nothing trained".to_owned(),
        count => format!("{} trained", thousands(count)),
    };
    let detail = format!("± {:.1} · {learnt} · {}", (high - low) * 50.0, duration(rung.seconds));
    text(svg, (BARS_LEFT + BARS_WIDTH + 76.0, middle + 5.0), "d", &detail);
}

fn tile(svg: &mut String, example: &Example<'_>, left: f64, top: f64) {
    let data = STANDARD.encode(example.jpeg);
    let _ = write!(
        svg,
        "<image x=\"{left:.1}\" y=\"{top}\" width=\"{TILE}\" height=\"{TILE}\" href=\"data:image/jpeg;base64,{data}\">\
         <title>{}</title></image>",
        escape(example.label)
    );
    for (line, answer) in [example.before, example.after].into_iter().enumerate() {
        let (mark, class) = if answer == example.label { ("✓", "c right") } else { ("✗", "c wrong") };
        let said = format!("{mark} {}", short(answer));
        text(svg, (left, top + TILE + 17.0 + 16.0 * line as f64), class, &said);
    }
}

/// The first word, cut to what fits under a tile.
fn short(name: &str) -> String {
    let word = name.split([' ', '_']).next().unwrap_or(name);
    if word.chars().count() > 11 { word.chars().take(10).chain(['…']).collect() } else { word.to_owned() }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, content: &str) {
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(content));
}
