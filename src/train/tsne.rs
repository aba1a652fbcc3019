//! t-SNE (van der Maaten & Hinton, "Visualizing data using t-SNE", 2008), exact, for some thousand points.
//!
//! Own code because a report must have the same bytes each time, and a page has one thread: the start is the first two principal components, nothing is
//! drawn at random, and sums do not depend on the number of threads. Schedule and step size follow scikit-learn's.

use crate::platform::parallel;

/// A point of the plane.
pub type Point = [f64; 2];

/// How many neighbours a point effectively has.
const PERPLEXITY: f64 = 30.0;
const EXAGGERATION: f64 = 12.0;
/// Steps with exaggerated attraction, then without.
const STEPS: (usize, usize) = (250, 500);

/// Lays out `rows` (all of one width) in the plane; the coordinates have mean 0. Fewer than five points, which have no
/// neighbourhoods to speak of, are laid out by their principal components.
pub fn embed(rows: &[Vec<f64>]) -> Vec<Point> {
    let start = principal_components(rows);
    let n = rows.len();
    if n < 5 {
        return start;
    }
    let attraction = affinities(rows, PERPLEXITY.min((n - 1) as f64 / 3.0));
    let spread = (start.iter().map(|point| point[0].powi(2)).sum::<f64>() / n as f64).sqrt().max(f64::MIN_POSITIVE);
    let mut points: Vec<Point> = start.iter().map(|point| point.map(|value| value / spread * 1e-4)).collect();
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    let mut velocity = vec![[0.0; 2]; n];
    let mut gains = vec![[1.0_f64; 2]; n];
    for step in 0..STEPS.0 + STEPS.1 {
        let (exaggeration, momentum) = if step < STEPS.0 { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let gradient = gradient(&attraction, &points, exaggeration);
        for ((point, velocity), (gain, gradient)) in
            points.iter_mut().zip(&mut velocity).zip(gains.iter_mut().zip(&gradient))
        {
            for axis in 0..2 {
                let agrees = velocity[axis] * gradient[axis] > 0.0;
                gain[axis] = (if agrees { gain[axis] * 0.8 } else { gain[axis] + 0.2 }).max(0.01);
                velocity[axis] = momentum * velocity[axis] - rate * gain[axis] * gradient[axis];
                point[axis] += velocity[axis];
            }
        }
    }
    centred(points)
}

/// The symmetric joint probabilities of t-SNE, `[n · n]`: Gaussians around each point as wide as `perplexity` neighbours ask
/// for (equations 1 and 12).
pub fn affinities(rows: &[Vec<f64>], perplexity: f64) -> Vec<f64> {
    let n = rows.len();
    let conditional: Vec<Vec<f64>> = parallel::map(n, |i| {
        let squared = |row: &Vec<f64>| row.iter().zip(&rows[i]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let distances: Vec<f64> = rows.iter().map(squared).collect();
        neighbourhood(&distances, i, perplexity.ln())
    });
    let symmetric = |index: usize| {
        let (i, j) = (index / n, index % n);
        (conditional[i][j] + conditional[j][i]) / (2 * n) as f64
    };
    (0..n * n).map(symmetric).collect()
}

/// The probabilities of the neighbours of point `own` whose entropy is `entropy`, by bisection of the precision.
fn neighbourhood(distances: &[f64], own: usize, entropy: f64) -> Vec<f64> {
    const STEPS: usize = 100;
    const TOLERANCE: f64 = 1e-7;
    // Distances relative to the nearest keep the sum from vanishing.
    let others = || distances.iter().enumerate().filter(|(other, _)| *other != own).map(|(_, distance)| *distance);
    let nearest = others().fold(f64::INFINITY, f64::min);
    let scale = others().sum::<f64>() / (distances.len() - 1) as f64 - nearest;
    if scale <= 0.0 {
        // All are equally far, and no width makes some of them nearer.
        let equal = 1.0 / (distances.len() - 1) as f64;
        return (0..distances.len()).map(|other| if other == own { 0.0 } else { equal }).collect();
    }
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0 / scale);
    let mut probabilities = vec![0.0; distances.len()];
    for _ in 0..STEPS {
        let mut sum = 0.0;
        let mut weighted = 0.0;
        for (other, (probability, distance)) in probabilities.iter_mut().zip(distances).enumerate() {
            *probability = if other == own { 0.0 } else { (-(distance - nearest) * precision).exp() };
            sum += *probability;
            weighted += *probability * (distance - nearest);
        }
        probabilities.iter_mut().for_each(|probability| *probability /= sum);
        let excess = sum.ln() + precision * weighted / sum - entropy;
        if excess.abs() < TOLERANCE {
            break;
        }
        if excess > 0.0 {
            low = precision;
            precision = if high.is_finite() { f64::midpoint(low, high) } else { precision * 2.0 };
        } else {
            high = precision;
            precision = f64::midpoint(low, high);
        }
    }
    probabilities
}

/// The gradient of the divergence between `attraction` and the Student-t similarities of `points` (equation 5).
pub fn gradient(attraction: &[f64], points: &[Point], exaggeration: f64) -> Vec<Point> {
    let n = points.len();
    let similarity = |a: &Point, b: &Point| 1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2));
    let rows: Vec<f64> =
        parallel::map(n, |i| points.iter().map(|other| similarity(&points[i], other)).sum::<f64>() - 1.0);
    let total: f64 = rows.iter().sum();
    parallel::map(n, |i| {
        let point = &points[i];
        let mut sum = [0.0; 2];
        for (other, p) in points.iter().zip(&attraction[i * n..(i + 1) * n]) {
            let q = similarity(point, other);
            let pull = 4.0 * (exaggeration * p - q / total) * q;
            sum[0] += pull * (point[0] - other[0]);
            sum[1] += pull * (point[1] - other[1]);
        }
        sum
    })
}

/// The rows in the plane of their first two principal components, by orthogonal iteration from a fixed start.
pub fn principal_components(rows: &[Vec<f64>]) -> Vec<Point> {
    const STEPS: usize = 60;
    let (n, width) = (rows.len(), rows.first().map_or(0, Vec::len));
    let mean: Vec<f64> = (0..width).map(|column| rows.iter().map(|row| row[column]).sum::<f64>() / n as f64).collect();
    let rows: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean).collect()).collect();
    // Waves of different lengths: no data set is orthogonal to them but by a miracle.
    let wave = |length: f64| (0..width).map(|column| (1.0 + column as f64 * length).sin()).collect::<Vec<f64>>();
    let mut axes = [wave(0.7), wave(1.9)];
    orthonormalise(&mut axes);
    for _ in 0..STEPS {
        axes = axes.map(|axis| {
            let along = parallel::map(n, |row| dot(&rows[row], &axis));
            parallel::map(width, |column| rows.iter().zip(&along).map(|(row, along)| row[column] * along).sum())
        });
        orthonormalise(&mut axes);
    }
    rows.iter().map(|row| [dot(row, &axes[0]), dot(row, &axes[1])]).collect()
}

fn orthonormalise([first, second]: &mut [Vec<f64>; 2]) {
    let normalise = |axis: &mut Vec<f64>| {
        let length = dot(axis, axis).sqrt();
        // No variance is left in this direction: any axis will do, this one is kept as it is.
        if length > 0.0 {
            axis.iter_mut().for_each(|value| *value /= length);
        }
    };
    normalise(first);
    let along = dot(first, second);
    second.iter_mut().zip(first.iter()).for_each(|(value, axis)| *value -= along * axis);
    normalise(second);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn centred(points: Vec<Point>) -> Vec<Point> {
    let n = points.len() as f64;
    let mean = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / n);
    points.into_iter().map(|[x, y]| [x - mean[0], y - mean[1]]).collect()
}
