//! One colour and one mark for each method, the same in every figure; and for each class on the map.
//!
//! The methods' hues are those of Okabe & Ito (2008), the classes' those of Tol's "muted" scheme (2021) and three more, all
//! darkened or lightened for the page's background; people with any kind of colour blindness tell them apart. Marks differ too,
//! so that nothing hangs on colour alone. The colours themselves are in the style sheet, because they depend on the reader's
//! theme.

use super::benchmark::is_zero_shot;

/// Colours of methods apart from zero-shot's grey.
const COLOURS: usize = 8;
/// Colours of classes.
const CLASS_COLOURS: usize = 12;
const MARKS: usize = 6;

/// The methods of a report.
#[derive(Clone, Copy, Debug)]
pub struct Palette<'a>(pub &'a [String]);

impl Palette<'_> {
    fn position(self, method: &str) -> usize {
        self.0.iter().filter(|other| !is_zero_shot(other)).position(|other| other == method).unwrap_or(0)
    }

    /// The CSS class that sets the method's colour.
    pub fn class(self, method: &str) -> String {
        if is_zero_shot(method) { "m0".into() } else { format!("m{}", 1 + self.position(method) % COLOURS) }
    }

    /// The method's mark at a place, of about `radius`.
    pub fn mark(self, method: &str, (x, y): (f64, f64), radius: f64) -> String {
        let number = if is_zero_shot(method) { 0 } else { self.position(method) };
        // A second round of the same colours has other marks.
        mark((number + number / COLOURS) % MARKS, (x, y), radius)
    }
}

/// The CSS class and the mark of a class on the map.
pub fn of_class(class: usize) -> (String, usize) {
    (format!("k{}", class % CLASS_COLOURS), (class / CLASS_COLOURS + class) % MARKS)
}

/// The path of a mark: circle, square, diamond, triangles up and down, cross; all of about the same area.
pub fn mark(number: usize, (x, y): (f64, f64), r: f64) -> String {
    let points = |points: &[(f64, f64)]| {
        let points: Vec<String> =
            points.iter().map(|(dx, dy)| format!("{:.1} {:.1}", x + dx * r, y + dy * r)).collect();
        format!("M{}Z", points.join("L"))
    };
    match number {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z", x - r, d = 2.0 * r),
        1 => points(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => points(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
        3 => points(&[(0.0, -1.25), (1.2, 0.85), (-1.2, 0.85)]),
        4 => points(&[(0.0, 1.25), (1.2, -0.85), (-1.2, -0.85)]),
        _ => {
            let (a, b) = (1.2, 0.42);
            points(&[
                (-b, -a),
                (b, -a),
                (b, -b),
                (a, -b),
                (a, b),
                (b, b),
                (b, a),
                (-b, a),
                (-b, b),
                (-a, b),
                (-a, -b),
                (-b, -b),
            ])
        }
    }
}
