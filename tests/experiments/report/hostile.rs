//! Names and paths that try to be markup, table syntax or other files.

use std::fs;

use lowshot::experiment::report::{
    evidence::{Evidence, Options, gather},
    failures::Detail,
    html::escape,
    map::FeatureMap,
    page::page,
    tables::{csv, latex, latex_escape},
};

use super::folders::{Made, Shelf};

const NAMES: [&str; 3] = ["<script>alert(1)</script>", "\"' onload=alert(1) x=\"", "a, b & c; 50 % of_it $\\{x}^~#"];

/// Two methods whose every name comes from an enemy.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    for (method, wrong) in [("tip", 5), ("meta", 2)] {
        let mut made = Made::new(method, 4, 1, wrong);
        made.dataset = NAMES.concat();
        made.backbone = NAMES[1].into();
        made.classes = vec![NAMES[0].into(), NAMES[1].into()];
        for (index, line) in made.lines.iter_mut().enumerate() {
            line.0 = format!("{index}{}.png", NAMES[index % 3]);
        }
        shelf.put(&format!("{method} <i>\"'&"), &made);
    }
    shelf
}

/// A page with every section that can be had without a data set.
fn hostile_page() -> String {
    let report = shelf().report();
    let detail = Detail::choose(&report, &report.benchmarks[0]);
    let places = (0..20).map(|index| [f64::from(index) / 20.0, 0.5]).collect();
    let map = Some(FeatureMap { images: (0..20).collect(), places });
    let notes = vec![NAMES[0].to_owned()];
    page(&report, &[Evidence { detail, map, notes, ..Evidence::default() }])
}

/// The page without its own style and script.
fn body(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (body, _) = rest.rsplit_once("<script>").unwrap();
    format!("{head}{body}")
}

#[test]
fn no_name_becomes_markup() {
    let page = hostile_page();
    let body = body(&page);
    assert!(!body.to_lowercase().contains("<script"), "a name became a script");
    assert!(!body.contains("<i>"), "a name became an element");
    // Behind a quotation mark of its own a name would be an attribute.
    for (at, _) in body.match_indices("onload=") {
        assert!(body[..at].ends_with("&quot;&#39; "), "{}", &body[at - 40..at + 20]);
    }
    assert!(body.contains(&escape(NAMES[0])) && body.contains(&escape(NAMES[2])));
    // Every attribute's quotation marks close before its element does.
    for tag in body.split('<').skip(1).filter_map(|rest| rest.split_once('>')) {
        assert_eq!(tag.0.matches('"').count() % 2, 0, "<{}>", tag.0);
    }
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let page = hostile_page();
    for scheme in ["http:", "https:", "ftp:", "src=//", "src=\"//", "href=\"//", "url(", "@import", "<link", "<iframe"]
    {
        assert!(!page.contains(scheme), "{scheme} in the page");
    }
    assert!(page.contains("default-src 'none'; img-src data:"));
}

#[test]
fn hostile_names_come_back_from_the_csv() {
    let report = shelf().report();
    let bytes = csv(&report).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
    assert_eq!((&records[0][0], &records[0][1]), (NAMES.concat().as_str(), NAMES[1]));
}

#[test]
fn hostile_names_are_literal_in_latex() {
    let escaped = latex_escape(NAMES[2]);
    assert_eq!(
        escaped,
        "a, b \\& c; 50 \\% of\\_it \\$\\textbackslash{}\\{x\\}\\textasciicircum{}\\textasciitilde{}\\#"
    );
    let latex = latex(&shelf().report());
    // The name stands in a comment, which a line's end would leave.
    assert!(latex.contains(&format!("\n% {}", latex_escape(&NAMES.concat()))));
    assert_eq!(latex_escape("a\nb"), "a b");
}

#[test]
fn a_path_that_the_data_set_does_not_list_is_never_opened() {
    let shelf = Shelf::new();
    let data = tempfile::tempdir().unwrap();
    let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([1, 2, 3]));
    picture.save(data.path().join("secret.png")).unwrap();
    for class in ["jug", "vase"] {
        fs::create_dir_all(data.path().join("set").join(class)).unwrap();
        for index in 0..8 {
            picture.save(data.path().join("set").join(class).join(format!("{index}.png"))).unwrap();
        }
    }
    let root = data.path().join("set");
    let dataset = lowshot::experiment::dataset::Dataset::open(root.to_str().unwrap(), None).unwrap();
    let listed = &dataset.split.test[0];
    for (method, wrong) in [("tip", 2), ("meta", 0)] {
        let mut made = Made::new(method, 4, 1, wrong);
        made.classes = dataset.split.classes.clone();
        made.lines[0] = (listed.path.clone(), 0, made.lines[0].2);
        made.lines[1].0 = "../secret.png".into();
        let folder = shelf.put(method, &made);
        let hash = made.result().split_sha256;
        shelf.change(&format!("{method}/result.json"), &hash, &dataset.split_sha256);
        let plan = fs::read_to_string(folder.join("plan.toml")).unwrap();
        fs::write(folder.join("plan.toml"), plan.replace("nowhere/to/be/found", root.to_str().unwrap())).unwrap();
    }
    let report = shelf.report();
    let found = gather::<burn_flex::Flex>(&report, &Options::default(), &Default::default(), &mut |_: &_| {}).unwrap();
    let shown: Vec<&String> = found[0].pictures.keys().collect();
    assert_eq!(shown, [&listed.path], "{:?}", found[0].notes);
}
