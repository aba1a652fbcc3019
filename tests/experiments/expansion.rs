//! A plan's file and the cells that it stands for.

use std::collections::HashSet;

use lowshot::adapter::{Method, Recipe};
use lowshot::data::Shots;
use lowshot::experiment::sweep::plan::SweepPlan;

use crate::command::Machine;
use crate::sweep_folder::write_plan;

fn plan(text: &str) -> SweepPlan {
    SweepPlan::from_toml(text, "plan.toml").unwrap()
}

#[test]
fn every_combination_is_a_cell() {
    let plan = plan(
        r#"
        datasets = ["eurosat", { name = "data/my set", root-path = "there", fewshot = "mine/{shots}.json", label = "mine" }]
        root-path = "here"
        shots = [1, 16, "all"]
        seeds = [1, 2]
        models = ["demo", "ViT-B/16"]
        methods = ["zero-shot", "tip-f"]
        fewshot = "lists/{dataset}-{shots}-{seed}.json"
        templates = ["a {}.", "one {}."]
        logit-scale = "model"
        "#,
    );
    let cells = plan.cells().unwrap();
    assert_eq!(cells.len(), 2 * 3 * 2 * 2 * 2);
    let names: HashSet<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
    assert_eq!(names.len(), cells.len());

    let cell = |name: &str| cells.iter().find(|cell| cell.name == name).unwrap_or_else(|| panic!("{name}: {names:?}"));
    let first = cell("eurosat/demo/zero-shot-1-shots-seed-1").plan.as_ref().unwrap();
    assert_eq!((first.dataset.as_str(), first.model.as_str(), first.seed), ("eurosat", "demo", 1));
    assert_eq!(first.root_path.as_ref().unwrap().to_str(), Some("here"));
    assert_eq!(first.fewshot.as_ref().unwrap().to_str(), Some("lists/eurosat-1-1.json"));
    assert_eq!(first.templates, ["a {}.", "one {}."]);
    let last = cell("mine/ViT-B-16/tip-f-all-shots-seed-2").plan.as_ref().unwrap();
    assert_eq!((last.dataset.as_str(), last.model.as_str(), last.seed), ("data/my set", "ViT-B/16", 2));
    assert_eq!(last.root_path.as_ref().unwrap().to_str(), Some("there"));
    assert_eq!(last.fewshot.as_ref().unwrap().to_str(), Some("mine/all.json"));
    assert_eq!((last.shots, last.recipe.method()), (Shots::All, Method::TipF));

    // Neighbours share their model, then their data set: a process that has a run of them loads little.
    let models: Vec<bool> = cells.iter().map(|cell| cell.name.contains("/demo/")).collect();
    assert!(models.is_sorted_by(|a, b| a >= b));
}

#[test]
fn a_single_value_needs_no_list_and_the_rest_is_as_in_a_single_run() {
    let cells = plan("dataset = \"dtd\"\nmethod = \"tip\"").cells().unwrap();
    assert_eq!(cells.iter().map(|cell| cell.name.as_str()).collect::<Vec<_>>(), ["dtd/demo/tip-16-shots-seed-1"]);
    let only = cells[0].plan.as_ref().unwrap();
    assert_eq!((only.recipe.clone(), only.shots), (Recipe::from(Method::Tip), Shots::PerClass(16)));
    assert_eq!(only.logit_scale, lowshot::experiment::plan::LogitScale::Fixed(100.0));
}

#[test]
fn a_method_can_change_any_of_its_settings() {
    let plan = plan(
        r#"
        dataset = "eurosat"
        methods = [
            "meta",
            { name = "meta", steps = 7, optimiser = { learning_rate = 1e-4 } },
            { name = "meta", optimiser = { schedule = { kind = "constant" } }, label = "flat" },
            { name = "tip-f", tip = { beta_grid = { values = 3 }, search = false } },
            { name = "zero-shot" },
        ]
        "#,
    );
    let cells = plan.cells().unwrap();
    let methods: Vec<&str> = cells.iter().map(|cell| cell.method.as_str()).collect();
    let changed = "meta,optimiser.learning_rate=0.0001,steps=7";
    assert_eq!(methods, ["meta", changed, "flat", "tip-f,tip.beta_grid.values=3,tip.search=false", "zero-shot"]);
    assert_eq!(cells[1].name, format!("eurosat/demo/{changed}-16-shots-seed-1"));

    let recipes: Vec<Recipe> = cells.iter().map(|cell| cell.plan.as_ref().unwrap().recipe.clone()).collect();
    assert_eq!(recipes[0], Recipe::from(Method::Meta));
    let (Recipe::Meta(default), Recipe::Meta(slow), Recipe::Meta(flat)) = (&recipes[0], &recipes[1], &recipes[2])
    else {
        panic!("{recipes:?}");
    };
    assert_eq!((slow.steps, slow.optimiser.learning_rate), (7, 1e-4));
    // What is not named stays.
    assert_eq!((slow.dropout, slow.optimiser.epsilon), (default.dropout, default.optimiser.epsilon));
    assert_eq!(flat.optimiser.schedule, lowshot::train::schedule::Schedule::Constant);
    let Recipe::TipF(tip) = &recipes[3] else { panic!("{recipes:?}") };
    assert_eq!((tip.tip.beta_grid.values, tip.tip.beta_grid.to, tip.tip.search), (3, 12.0, false));
}

#[test]
fn training_through_the_towers_follows_the_shots_as_in_a_single_run() {
    let plan = plan(
        r#"
        dataset = "eurosat"
        shots = [0, 4]
        methods = [
            "lora",
            { name = "lora+bitfit+meta", preset = "clip-lora", lora = { rank = 8, position = "top3" } },
            { name = "bitfit", steps-per-shot = 3 },
            { name = "bitfit", steps = 5 },
            { name = "meta", steps-per-shot = 10 },
        ]
        "#,
    );
    let cells = plan.cells().unwrap();
    let labels = ["lora", "lora+bitfit+meta,lora.position=top3,lora.rank=8,preset=clip-lora"];
    assert_eq!([cells[0].method.as_str(), &cells[1].method], labels);
    assert_eq!(cells[2].name, "eurosat/demo/bitfit,steps-per-shot=3-0-shots-seed-1");
    let mut steps = Vec::new();
    for cell in &cells {
        steps.push(match &cell.plan.as_ref().unwrap().recipe {
            Recipe::Tuning(config) => (config.steps, config.batch),
            Recipe::Meta(config) => (config.steps, 0),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(steps[..5], [(8, 24), (500, 32), (3, 24), (5, 24), (10, 0)]);
    assert_eq!(steps[5..], [(32, 24), (2000, 32), (12, 24), (5, 24), (40, 0)]);
    let Recipe::Tuning(config) = &cells[1].plan.as_ref().unwrap().recipe else { panic!() };
    let lora = config.lora.as_ref().unwrap();
    let default = lowshot::adapter::lora::LoraConfig::default();
    assert_eq!((lora.rank, lora.alpha), (8, default.alpha));
    assert_ne!(lora.position, default.position);
    assert!(config.bitfit.is_some() && config.meta.is_some() && config.breaking.is_none());
}

/// How many steps the passes are is counted when the data set is open.
#[test]
fn all_images_are_passed_over_as_often_as_in_a_single_run() {
    let plan = plan(
        r#"
        dataset = "eurosat"
        shots = ["all", 4]
        methods = ["lora", { name = "lora", epochs = 2 }, { name = "lora", steps = 7 }, "tip"]
        "#,
    );
    let epochs: Vec<_> = plan.cells().unwrap().iter().map(|cell| cell.plan.as_ref().unwrap().epochs).collect();
    assert_eq!(epochs, [Some(5), Some(2), None, None, None, Some(2), None, None]);
}

#[test]
fn long_changes_get_short_names_that_still_differ() {
    let method = |steps: usize| {
        let settings = "beta_1 = 0.5, beta_2 = 0.75, epsilon = 0.001, weight_decay = 0.125, learning_rate = 0.0001";
        format!(r#"{{ name = "meta", dropout = 0.5, steps = {steps}, optimiser = {{ {settings} }} }}"#)
    };
    let cells = plan(&format!("dataset = \"x\"\nmethods = [{}, {}]", method(1), method(2))).cells().unwrap();
    assert_ne!(cells[0].name, cells[1].name);
    assert!(cells.iter().all(|cell| cell.method.len() < 30), "{:?}", cells[0].method);
}

#[test]
fn a_wrong_plan_is_refused_in_one_line() {
    let cases = [
        ("dataset = \"x\"", "missing field `methods`"),
        ("methods = \"tip\"", "missing field `datasets`"),
        ("dataset = \"x\"\nmethods = \"tip\"\nseedz = [1]", "seedz"),
        ("dataset = \"x\"\nmethods = \"tip\"\nseeds = []", "seeds is empty"),
        ("dataset = \"x\"\nmethods = \"tip\"\nseeds = [-1]", "-1"),
        ("dataset = \"x\"\nmethods = \"tip\"\nshots = \"many\"", "many"),
        ("dataset = \"x\"\nmethods = \"tipp\"", "unknown method \"tipp\""),
        ("dataset = \"x\"\nmethods = [{ steps = 3 }]", "no name"),
        ("dataset = \"x\"\nmethods = [{ name = 3 }]", "name is text"),
        ("dataset = \"x\"\nmethods = [{ name = \"meta\", stepz = 3 }]", "stepz"),
        (
            "dataset = \"x\"\nmethods = [{ name = \"zero-shot\", steps = 3 }]",
            "method zero-shot: it has no setting 'steps'",
        ),
        ("dataset = \"x\"\nmethods = [{ name = \"meta\", steps = \"few\" }]", "few"),
        ("dataset = \"x\"\nmethods = [{ name = \"meta\", optimiser = { lr = 1 } }]", "lr"),
        ("dataset = \"x\"\nmethods = [{ name = \"meta\", optimiser = { schedule = { kind = \"saw\" } } }]", "saw"),
        ("dataset = \"x\"\nmethods = [{ name = \"bitfit\", lora = { rank = 3 } }]", "lora+bitfit"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", lora = { rank = 0 } }]", "rank"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", steps = 3, steps-per-shot = 3 }]", "give one"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", steps = 3, epochs = 3 }]", "steps and epochs; give one"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", epochs = 0 }]", "trains nothing"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", epochs = \"few\" }]", "few"),
        ("dataset = \"x\"\nmethods = [{ name = \"tip-f\", epochs = 3 }]", "epochs is for training through the towers"),
        ("dataset = \"x\"\nmethods = [{ name = \"meta\", preset = \"student\" }]", "preset"),
        ("dataset = \"x\"\nmethods = [{ name = \"lora\", preset = \"teacher\" }]", "teacher"),
        ("datasets = [{ name = \"x\", root = \"y\" }]\nmethods = \"tip\"", "root"),
        ("dataset = 3\nmethods = \"tip\"", "a name or a table"),
        ("dataset = \"x\"\nmethods = \"tip\"\ntemplates = [\"no place\"]", "no place"),
        ("dataset = \"x\"\nmethods = \"tip\"\n[slurm]\ncores = 3", "cores"),
        ("dataset = \"x\"\nmethods = ", "plan.toml line 2"),
    ];
    for (text, wanted) in cases {
        let message = SweepPlan::from_toml(text, "plan.toml").expect_err(text).to_string();
        assert!(message.starts_with("plan.toml") && message.contains(wanted), "{text}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    let all = "dataset = \"x\"\nmethods = [{ name = \"lora\", steps-per-shot = 3 }]\nshots = \"all\"";
    let all = plan(all).cells().unwrap_err().to_string();
    assert!(all.contains("give steps"), "{all}");
    let twice = plan("dataset = \"x\"\nmethods = \"tip\"\nseeds = [1, 1]").cells().unwrap_err().to_string();
    assert!(twice.contains("x/demo/tip-16-shots-seed-1"), "{twice}");
    let pattern =
        plan("dataset = \"x\"\nmethods = \"tip\"\nfewshot = \"{shot}.json\"").cells().unwrap_err().to_string();
    assert!(pattern.contains("{shot}.json"), "{pattern}");
}

#[test]
fn a_dry_run_shows_the_cells_and_makes_nothing() {
    let machine = Machine::new();
    write_plan(&machine, "small.toml", "shots = [1, 2]\nmethods = [\"zero-shot\", \"tip\"]");
    let before = machine.files();
    let shown = machine.run(["sweep", "small.toml", "--dry-run"]).done().stdout;
    let lines: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(
        lines[0].starts_with("eurosat/demo/zero-shot-1-shots-seed-1 ") && lines[0].ends_with(" missing"),
        "{shown}"
    );
    let part = machine.run(["sweep", "small.toml", "--dry-run", "--shard", "2/2", "--json"]).json();
    assert_eq!(part.as_array().unwrap().len(), 2);
    assert_eq!(part[0]["cell"], "eurosat/demo/zero-shot-2-shots-seed-1");
    assert_eq!(machine.files(), before);
}
