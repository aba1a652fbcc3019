//! Which runs are compared, what is missing, and the tables that come of it.

use lowshot::{
    adapter::Recipe,
    experiment::report::{Report, statistics::Kind, tables},
};

use super::folders::{Made, Shelf};

/// Three methods at 1 and 4 shots with seeds 1–3; of `meta` one run is not there, of zero-shot one is enough.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    for seed in 1..=3 {
        for shots in [1, 4] {
            shelf.put(&format!("tip-{shots}-{seed}"), &Made::new("tip", shots, seed, 10 - seed as usize - shots));
            if (shots, seed) != (4, 2) {
                shelf.put(&format!("meta-{shots}-{seed}"), &Made::new("meta", shots, seed, 7 - shots));
            }
        }
    }
    shelf.put("zero-shot", &Made::new("zero-shot", 1, 1, 12));
    shelf
}

#[test]
fn runs_are_grouped_with_their_means() {
    let report = shelf().report();
    assert_eq!(report.methods, ["zero-shot", "tip", "meta"]);
    let [benchmark] = &report.benchmarks[..] else { panic!("{:?}", report.benchmarks) };
    let groups: Vec<(String, &str, usize)> = benchmark
        .groups
        .iter()
        .map(|group| (group.shots.unwrap().to_string(), group.method.as_str(), group.n))
        .collect();
    let expected = [("1", "zero-shot", 1), ("1", "tip", 3), ("1", "meta", 3), ("4", "tip", 3), ("4", "meta", 2)];
    assert_eq!(groups, expected.map(|(shots, method, n)| (shots.to_owned(), method, n)));
    let tip = &benchmark.groups[1];
    // 8, 7 and 6 of 20 are wrong.
    assert!((tip.top1.mean - 0.65).abs() < 1e-12 && (tip.top1.std.unwrap() - 0.05).abs() < 1e-12, "{tip:?}");
    assert_eq!((tip.ci95.kind, tip.seeds.as_slice()), (Kind::Student, &[1, 2, 3][..]));
    assert_eq!(benchmark.groups[0].ci95.kind, Kind::Wilson);
    assert_eq!(report.problems, []);
}

#[test]
fn methods_are_compared_by_the_seeds_that_both_have() {
    let report = shelf().report();
    let find = |shots: &str, first: &str, second: &str| {
        let mut all = report.benchmarks[0].comparisons.iter();
        let found =
            all.find(|one| one.shots.unwrap().to_string() == shots && one.first == first && one.second == second);
        found.unwrap_or_else(|| panic!("no {second} over {first} at {shots}")).clone()
    };
    let meta = find("4", "tip", "meta");
    assert_eq!(meta.seeds, [1, 3]);
    // Wrong: tip 5 and 3, meta 3 and 3.
    assert!((meta.mean - 0.05).abs() < 1e-12, "{meta:?}");
    let counts: Vec<[usize; 2]> = meta.mcnemar.iter().map(|test| [test.only_first, test.only_second]).collect();
    assert_eq!(counts, [[0, 2], [0, 0]]);
    assert_eq!(meta.largest_mcnemar_p(), Some(1.0));
    // Zero-shot knows no shots and no seed: its one run is held against every other.
    assert_eq!(find("4", "zero-shot", "tip").seeds, [1, 2, 3]);
    assert_eq!(find("1", "zero-shot", "meta").p, None);
}

#[test]
fn a_cell_that_others_have_is_missing() {
    let report = shelf().report();
    let missing: Vec<(&str, String, &[u64])> = report
        .missing
        .iter()
        .map(|cell| (cell.method.as_str(), cell.shots.to_string(), cell.seeds.as_slice()))
        .collect();
    assert_eq!(missing, [("meta", "4".to_owned(), &[2][..])]);
}

#[test]
fn a_method_that_another_backbone_has_is_missing() {
    let shelf = shelf();
    shelf.put("other", &Made { backbone: "other".into(), ..Made::new("tip", 4, 1, 2) });
    let missing = shelf.report().missing;
    let names: Vec<(&str, &str)> = missing.iter().map(|cell| (&*cell.backbone, &*cell.method)).collect();
    assert_eq!(names, [("demo", "meta"), ("other", "zero-shot"), ("other", "meta")]);
}

#[test]
fn a_repeated_cell_counts_once_and_is_named() {
    let shelf = shelf();
    shelf.put("tip-4-1-again", &Made::new("tip", 4, 1, 0));
    let report = shelf.report();
    let tip = report.benchmarks[0]
        .groups
        .iter()
        .find(|group| group.method == "tip" && group.shots.unwrap().to_string() == "4");
    assert_eq!(tip.unwrap().n, 3);
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    assert!(problem.place.ends_with("tip-4-1-again") && problem.why.contains("tip-4-1:"), "{problem:?}");
}

#[test]
fn settings_tell_variants_of_a_method_apart() {
    let shelf = Shelf::new();
    for (rank, wrong) in [(2, 4), (4, 2)] {
        for seed in 1..=2 {
            let mut made = Made::new("lora", 4, seed, wrong);
            let mut recipe = Recipe::from(made.method);
            if let Recipe::Tuning(config) = &mut recipe {
                config.lora.as_mut().unwrap().rank = rank;
                config.steps = 4 * 8;
            }
            made.recipe = Some(recipe);
            shelf.put(&format!("rank-{rank}-{seed}"), &made);
        }
    }
    let report = shelf.report();
    assert_eq!(report.methods, ["lora (lora.rank=2)", "lora (lora.rank=4)"]);
    assert!(report.benchmarks[0].groups.iter().all(|group| group.n == 2));
}

#[test]
fn another_split_or_other_weights_are_another_benchmark() {
    let shelf = Shelf::new();
    shelf.put("a", &Made::new("tip", 4, 1, 2));
    for (name, key) in [("b", "split_sha256"), ("c", "backbone_sha256")] {
        shelf.put(name, &Made::new("tip", 4, 2, 2));
        let result = Made::new("tip", 4, 2, 2).result();
        let hash = if key == "split_sha256" { result.split_sha256 } else { result.backbone_sha256 };
        shelf.change(
            &format!("{name}/result.json"),
            &format!("\"{key}\": \"{hash}\""),
            &format!("\"{key}\": \"{:f<64}\"", ""),
        );
    }
    let names: Vec<(String, String)> =
        shelf.report().benchmarks.into_iter().map(|one| (one.dataset, one.backbone)).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().any(|(dataset, _)| dataset == "pots (split ffffffff)"), "{names:?}");
    assert!(names.iter().any(|(_, backbone)| backbone == "demo (weights ffffffff)"), "{names:?}");
}

#[test]
fn the_csv_has_a_line_a_group() {
    let report = shelf().report();
    let bytes = tables::csv(&report).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let mut column = |name: &str| reader.headers().unwrap().iter().position(|other| other == name).unwrap();
    let (method, mean, std, kind) = (column("method"), column("top1_mean"), column("top1_std"), column("ci95_kind"));
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
    assert_eq!(records.len(), 5);
    assert_eq!((&records[0][method], &records[0][std], &records[0][kind]), ("zero-shot", "", "wilson"));
    assert_eq!(&records[1][kind], "student");
    assert!((records[1][mean].parse::<f64>().unwrap() - 0.65).abs() < 1e-12);
}

#[test]
fn the_latex_table_has_the_best_in_bold() {
    let latex = tables::latex(&shelf().report());
    for line in ["Method & 1 & 4 \\\\", "\\toprule", "\\bottomrule", "zero-shot & 40.0 & -- \\\\"] {
        assert!(latex.contains(line), "no {line} in {latex}");
    }
    // At 1 shot 6 of 20 are wrong with meta, at 4 shots 3, and 5, 4, 3 with tip.
    let meta = "meta & \\textbf{70.0} {\\scriptsize$\\pm$0.0} & \\textbf{85.0} {\\scriptsize$\\pm$0.0} \\\\";
    assert!(latex.contains(meta), "{latex}");
    assert_eq!(latex.matches("\\textbf").count(), 2, "{latex}");
}

#[test]
fn the_order_of_folders_changes_nothing() {
    let shelf = shelf();
    let mut paths: Vec<_> = std::fs::read_dir(shelf.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let forward = Report::read(&paths).unwrap();
    paths.reverse();
    paths.push(shelf.path().to_owned());
    let backward = Report::read(&paths).unwrap();
    assert_eq!(forward.to_json().unwrap(), backward.to_json().unwrap());
    assert_eq!(forward.runs.len(), 12);
}
