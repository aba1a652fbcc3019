//! The plots of accuracies, as SVG inside the page. Fractions come in, percent is shown.

use std::fmt::Write as _;

use super::{
    Report,
    axis::Axis,
    benchmark::{Benchmark, Group},
    html::{escape, percent, shortened},
    palette::Palette,
    tables::shots_name,
};
use crate::data::Shots;

const PERCENT: [f64; 2] = [0.0, 100.0];

/// Accuracy by shots, a line a method with its intervals; zero-shot, which has no shots, is a level. Nothing for fewer than
/// two numbers of shots.
pub fn curves(benchmark: &Benchmark, palette: Palette<'_>) -> Option<String> {
    const WIDTH: f64 = 860.0;
    const HEIGHT: f64 = 440.0;
    const LEFT: f64 = 48.0;
    const RIGHT: f64 = 590.0;
    const TOP: f64 = 16.0;
    const BOTTOM: f64 = 386.0;
    let trained: Vec<&String> =
        benchmark.methods.iter().filter(|method| !super::benchmark::is_zero_shot(method)).collect();
    let groups = || benchmark.groups.iter().filter(|group| group.shots.is_some());
    let mut shots: Vec<Shots> =
        groups().filter(|group| !group.is_zero_shot()).filter_map(|group| group.shots).collect();
    shots.dedup();
    if shots.len() < 2 {
        return None;
    }
    let low = groups().map(|group| group.ci95.low).fold(1.0, f64::min) * 100.0;
    let high = groups().map(|group| group.ci95.high).fold(0.0, f64::max) * 100.0;
    let axis = Axis::new(low, high, 6, PERCENT);
    let y = |fraction: f64| BOTTOM - (BOTTOM - TOP) * axis.place(fraction * 100.0);
    let (first, last) = (spot(shots[0], &shots), spot(shots[shots.len() - 1], &shots));
    let x =
        |shots_there: Shots| LEFT + 24.0 + (RIGHT - LEFT - 48.0) * (spot(shots_there, &shots) - first) / (last - first);

    let label = "Top-1 accuracy by the number of shots, a line a method";
    let mut svg = open(WIDTH, HEIGHT, label);
    horizontal_grid(&mut svg, &axis, &y, (LEFT, RIGHT));
    for &there in &shots {
        let at = x(there);
        let _ = write!(svg, "<text class=tick x={at:.1} y={:.1} text-anchor=middle>{there}</text>", BOTTOM + 20.0);
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let _ = write!(
        svg,
        "<text class=axis x={middle} y={:.1} text-anchor=middle>training images of each class (logarithmic)</text>",
        BOTTOM + 44.0
    );
    let mut ends: Vec<(f64, String, String)> = Vec::new();
    if let Some(zero) = benchmark.groups.iter().find(|group| group.is_zero_shot()) {
        let level = y(zero.top1.mean);
        let class = palette.class(&zero.method);
        let _ = write!(
            svg,
            "<g class={class}><rect class=band x={LEFT} y={:.1} width={} height={:.1} />\
             <line class=\"line dashed\" x1={LEFT} x2={RIGHT} y1={level:.1} y2={level:.1} /></g>",
            y(zero.ci95.high),
            RIGHT - LEFT,
            y(zero.ci95.low) - y(zero.ci95.high)
        );
        ends.push((level, class, end_label(zero)));
    }
    for (index, method) in trained.iter().enumerate() {
        let members: Vec<&Group> = groups().filter(|group| group.method == **method).collect();
        let Some(end) = members.last() else { continue };
        // Side by side, so that intervals at the same shots do not hide one another.
        let dodge = (index as f64 - (trained.len() - 1) as f64 / 2.0) * 5.0_f64.min(30.0 / trained.len() as f64);
        let at = |group: &Group| (group.shots.map_or(LEFT, x) + dodge, y(group.top1.mean));
        let class = palette.class(method);
        let line: Vec<String> = members.iter().map(|group| format!("{:.1} {:.1}", at(group).0, at(group).1)).collect();
        let _ = write!(svg, "<g class={class}><path class=line d=\"M{}\"/>", line.join("L"));
        for group in &members {
            let place = at(group);
            let title = format!(
                "{method}, {} shots: {} % (95 % interval {} – {} %, n = {})",
                shots_name(group.shots),
                percent(group.top1.mean),
                percent(group.ci95.low),
                percent(group.ci95.high),
                group.n
            );
            let _ = write!(
                svg,
                "<g><title>{}</title><path class=whisker d=\"M{:.1} {:.1}V{:.1}\"/><path class=mark d=\"{}\"/></g>",
                escape(&title),
                place.0,
                y(group.ci95.low),
                y(group.ci95.high),
                palette.mark(method, place, 4.5)
            );
        }
        svg.push_str("</g>");
        ends.push((y(end.top1.mean), class, end_label(end)));
    }
    end_labels(&mut svg, ends, RIGHT + 14.0, (TOP + 6.0, BOTTOM));
    svg.push_str("</svg>");
    Some(svg)
}

/// The place of a number of shots on a logarithmic axis; `all` one step behind the last number, 0 one before 1.
fn spot(shots: Shots, all: &[Shots]) -> f64 {
    match shots {
        Shots::PerClass(0) => -1.0,
        Shots::PerClass(shots) => (shots as f64).log2(),
        Shots::All => {
            let numbers = all.iter().filter(|other| **other != Shots::All);
            numbers.map(|other| spot(*other, &[])).fold(-1.0, f64::max) + 1.0
        }
    }
}

fn end_label(group: &Group) -> String {
    let name = shortened(&group.method, 25);
    format!("<tspan class=name>{name}</tspan> <tspan class=value>{}</tspan>", percent(group.top1.mean))
}

/// Labels at the right of lines, pushed apart where they would overlap.
fn end_labels(svg: &mut String, mut ends: Vec<(f64, String, String)>, x: f64, (top, bottom): (f64, f64)) {
    const APART: f64 = 18.0;
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut places: Vec<f64> = ends.iter().map(|end| end.0.clamp(top, bottom)).collect();
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + APART);
    }
    // Those pushed out at the bottom push the others up again.
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - APART;
    }
    for ((y, class, label), place) in ends.into_iter().zip(places) {
        let _ = write!(
            svg,
            "<g class={class}><path class=leader d=\"M{:.1} {y:.1}L{x:.1} {place:.1}\"/>\
             <text class=end x={:.1} y={:.1}>{label}</text></g>",
            x - 12.0,
            x + 4.0,
            place + 4.5
        );
    }
}

/// Each method's runs at one number of shots as dots, with the mean and its interval.
pub fn dots(report: &Report, benchmark: &Benchmark, shots: Option<Shots>, palette: Palette<'_>) -> String {
    const WIDTH: f64 = 860.0;
    const LEFT: f64 = 232.0;
    const RIGHT: f64 = 780.0;
    const TOP: f64 = 10.0;
    const ROW: f64 = 40.0;
    let zero = benchmark.groups.iter().find(|group| group.is_zero_shot() && group.shots != shots);
    let zero = zero.filter(|_| !benchmark.at(shots).any(Group::is_zero_shot));
    let groups: Vec<&Group> = zero.into_iter().chain(benchmark.at(shots)).collect();
    let accuracies =
        |group: &Group| group.runs.iter().map(|&index| report.runs[index].result.top1).collect::<Vec<f64>>();
    let all: Vec<f64> =
        groups.iter().flat_map(|group| [accuracies(group), vec![group.ci95.low, group.ci95.high]].concat()).collect();
    let low = all.iter().copied().fold(1.0, f64::min) * 100.0;
    let high = all.iter().copied().fold(0.0, f64::max) * 100.0;
    let axis = Axis::new(low, high, 7, PERCENT);
    let x = |fraction: f64| LEFT + (RIGHT - LEFT) * axis.place(fraction * 100.0);
    let bottom = TOP + ROW * groups.len() as f64;

    let label = "Top-1 accuracy of each run, with each method's mean and interval";
    let mut svg = open(WIDTH, bottom + 50.0, label);
    for tick in &axis.ticks {
        let at = x(tick / 100.0);
        let _ = write!(
            svg,
            "<line class=grid x1={at:.1} x2={at:.1} y1={TOP} y2={bottom} />\
             <text class=tick x={at:.1} y={:.1} text-anchor=middle>{}</text>",
            bottom + 20.0,
            tick_name(*tick, &axis)
        );
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let _ =
        write!(svg, "<text class=axis x={middle} y={:.1} text-anchor=middle>top-1 accuracy, %</text>", bottom + 42.0);
    for (index, group) in groups.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let (mean, class) = (x(group.top1.mean), palette.class(&group.method));
        let _ = write!(
            svg,
            "<g class={class}><text class=row x={:.1} y={:.1} text-anchor=end>{}</text>\
             <path class=\"whisker wide\" d=\"M{:.1} {y:.1}H{:.1}\"/>",
            LEFT - 18.0,
            y + 4.5,
            shortened(&group.method, 25),
            x(group.ci95.low),
            x(group.ci95.high)
        );
        for (accuracy, &run) in accuracies(group).iter().zip(&group.runs) {
            let seed = report.runs[run].result.seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
            let title = format!("{}{seed}: {} %", group.method, percent(*accuracy));
            let _ = write!(
                svg,
                "<circle class=run cx={:.1} cy={:.1} r=3.5><title>{}</title></circle>",
                x(*accuracy),
                y + 11.0,
                escape(&title)
            );
        }
        let _ = write!(
            svg,
            "<path class=mark d=\"{}\"/><text class=value x={:.1} y={:.1}>{}</text></g>",
            palette.mark(&group.method, (mean, y), 5.5),
            RIGHT + 22.0,
            y + 4.5,
            percent(group.top1.mean)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A difference with its interval on a common scale of percentage points, to stand in a table's cell.
pub fn difference(mean: f64, interval: Option<[f64; 2]>, reach: f64, class: &str) -> String {
    const WIDTH: f64 = 140.0;
    let x = |value: f64| (WIDTH / 2.0 + (WIDTH / 2.0 - 6.0) * (value / reach).clamp(-1.0, 1.0)).clamp(0.0, WIDTH);
    let zero = WIDTH / 2.0;
    let whisker = interval.map_or_else(String::new, |[low, high]| {
        format!("<path class=\"whisker wide\" d=\"M{:.1} 10H{:.1}\"/>", x(low), x(high))
    });
    format!(
        "<svg class=\"difference {class}\" viewBox=\"0 0 {WIDTH} 20\" width={WIDTH} height=20 aria-hidden=true>\
         <line class=zero x1={zero} x2={zero} y1=0 y2=20 />{whisker}\
         <circle class=mark cx={:.1} cy=10 r=4.5 /></svg>",
        x(mean)
    )
}

/// How far differences reach, for a common scale: the greatest of the means and of the intervals' ends that are not far out.
pub fn reach<'a>(comparisons: impl Iterator<Item = &'a super::comparison::Comparison>) -> f64 {
    let far = |comparison: &super::comparison::Comparison| {
        let ends = comparison.ci95.map_or(0.0, |[low, high]| low.abs().max(high.abs()));
        // Two seeds give intervals of any width, which would make all others invisible.
        comparison.mean.abs().max(ends.min(3.0 * comparison.mean.abs() + 0.05))
    };
    let far = comparisons.map(far).fold(0.01, f64::max).min(1.0);
    // A round number of points, as it stands in the table's head.
    let step = if far > 0.1 { 0.05 } else { 0.01 };
    (far / step - 1e-9).ceil() * step
}

fn horizontal_grid(svg: &mut String, axis: &Axis, y: &impl Fn(f64) -> f64, (left, right): (f64, f64)) {
    for (index, tick) in axis.ticks.iter().enumerate() {
        let at = y(tick / 100.0);
        let unit = if index + 1 == axis.ticks.len() { " %" } else { "" };
        let _ = write!(
            svg,
            "<line class=grid x1={left} x2={right} y1={at:.1} y2={at:.1} />\
             <text class=tick x={:.1} y={:.1} text-anchor=end>{}{unit}</text>",
            left - 8.0,
            at + 4.0,
            tick_name(*tick, axis)
        );
    }
}

/// A tick's number with as many decimals as the axis needs.
fn tick_name(tick: f64, axis: &Axis) -> String {
    let whole = axis.ticks.iter().all(|tick| (tick - tick.round()).abs() < 1e-6);
    if whole { format!("{tick:.0}") } else { format!("{tick:.1}") }
}

/// The start of a plot.
pub fn open(width: f64, height: f64, label: &str) -> String {
    format!("<svg class=plot viewBox=\"0 0 {width} {height}\" role=img aria-label=\"{}\">", escape(label))
}

/// Methods with colour and mark, where a figure does not name them itself.
pub fn swatch(method: &str, palette: Palette<'_>) -> String {
    format!(
        "<svg class=\"swatch {}\" viewBox=\"0 0 16 16\" aria-hidden=true><path class=mark d=\"{}\"/></svg>",
        palette.class(method),
        palette.mark(method, (8.0, 8.0), 5.5)
    )
}
