//! The ladder on satellite tiles that nobody has trained on.

use super::*;

const FIVE: [&str; 5] = ["Forest", "Highway or Road", "Residential Buildings", "River", "Sea or Lake"];

fn five(dataset: &Dataset) -> Vec<&str> {
    let classes = &dataset.split.classes;
    let five: Vec<&str> = FIVE.iter().map(|name| classes.iter().find(|class| class == name).map_or("", String::as_str)).collect();
    assert!(five.iter().all(|name| !name.is_empty()), "{classes:?}");
    five
}

#[test]
fn each_rung_is_judged_on_photos_it_has_not_seen_and_generalises() {
    let dataset = samples();
    let names = five(&dataset);
    let shots = photos(&dataset, |split| &split.train, &names, 0, 8);
    let others = photos(&dataset, |split| &split.test, &names, 0, 40);
    let mut session = taught(&shots);
    let mut found = Vec::new();
    for method in ["zero-shot", "tip", "meta", "lora+bitfit"] {
        let start = std::time::Instant::now();
        let result = learn(&mut session, &shots, options(method));
        let seconds = start.elapsed().as_secs_f64();
        let (right, answers) = right(&session, &others);
        let unsure = answers.iter().filter(|answer| answer.unsure.is_some()).count();
        println!("{method}: held out {}/{}, others {right}/200, unsure {unsure}, {seconds:.2} s", result.correct, result.n);
        found.push((method, result.accuracy, right));
    }
}
