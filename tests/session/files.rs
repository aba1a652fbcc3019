//! What the page exports is what the command line opens, and the reverse.

use std::sync::Arc;

use lowshot::adapter::scores;

use super::*;

/// Predictions of an adapter file as `lowshot eval` makes them.
fn natively(bytes: &[u8], plain: &[Vec<u8>]) -> Vec<usize> {
    let device = Default::default();
    let mut backbone = Backbone::<Flex>::load("demo", &models::demo_files(), &device).unwrap();
    let file = AdapterFile::open("exported", Arc::new(bytes.to_vec())).unwrap();
    let learnt = backbone.adapt("exported", &file).unwrap();
    let found = pollster::block_on(scores(learnt.head.as_ref(), backbone.image_features(plain))).unwrap();
    found.predictions().map(|prediction| prediction.class).collect()
}

#[test]
fn an_exported_adapter_predicts_the_same_everywhere() {
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..3].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 5);
    let others = photos(&dataset, |split| &split.test, &names, 0, 10);
    let mut session = taught(&shots);
    let plain = others.plain(&session.ground().backbone.preprocess);
    for method in ["zero-shot", "tip", "meta", "linear-probe", "lora+bitfit", "lora+bitfit+meta"] {
        let chosen = RungOptions { lora_steps: Some(4), meta_steps: Some(10), ..options(method) };
        learn(&mut session, &shots, chosen);
        let (_, answers) = right(&session, &others);
        let expected: Vec<usize> = answers.iter().map(|answer| answer.best).collect();
        let bytes = pollster::block_on(session.export(vec![TEMPLATE.into()])).unwrap();
        assert_eq!(bytes, pollster::block_on(session.export(vec![TEMPLATE.into()])).unwrap(), "{method}");
        assert_eq!(natively(&bytes, &plain), expected, "{method}");
        let mut other = super::session();
        let file = AdapterFile::open("exported", Arc::new(bytes)).unwrap();
        assert_eq!(file.info.templates, [TEMPLATE]);
        pollster::block_on(other.import("exported", &file)).unwrap();
        let again = pollster::block_on(other.classify(&plain)).unwrap();
        assert_eq!(again.iter().map(|answer| answer.best).collect::<Vec<_>>(), expected, "{method}");
        let names: Vec<&str> = other.ground().classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, dataset.split.classes[..3]);
    }
}

#[test]
fn what_is_kept_answers_as_before_calibration_included() {
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..3].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 5);
    let others = photos(&dataset, |split| &split.test, &names, 0, 10);
    let mut session = taught(&shots);
    let plain = others.plain(&session.ground().backbone.preprocess);
    for method in ["tip", "meta", "lora+bitfit"] {
        learn(&mut session, &shots, RungOptions { lora_steps: Some(4), meta_steps: Some(10), ..options(method) });
        let expected = pollster::block_on(session.classify(&plain)).unwrap();
        let chosen = method.parse().unwrap();
        let kept = pollster::block_on(session.kept(chosen, vec![TEMPLATE.into()])).unwrap();
        assert!(kept.calibration.likeness.is_some() && kept.calibration.temperature != 1.0, "{method}");

        let mut other = super::session();
        pollster::block_on(other.set_classes(shots.classes.clone())).unwrap();
        assert_eq!(other.restore("kept", kept.clone()).unwrap(), chosen);
        other.choose(chosen).unwrap();
        assert_eq!(pollster::block_on(other.classify(&plain)).unwrap(), expected, "{method}");

        pollster::block_on(other.set_classes(shots.classes[..2].to_vec())).unwrap();
        let refused = other.restore("kept", kept).unwrap_err().to_string();
        assert!(refused.contains("not these classes; train again"), "{refused}");
    }
    let unknown = pollster::block_on(session.kept(Method::TipF, vec![TEMPLATE.into()])).unwrap_err().to_string();
    assert!(unknown.contains("has not been learnt"), "{unknown}");
}

#[test]
fn an_adapter_of_another_model_is_refused_with_both_names() {
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..2].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 2);
    let mut session = taught(&shots);
    learn(&mut session, &shots, options("tip"));
    let bytes = pollster::block_on(session.export(vec![TEMPLATE.into()])).unwrap();
    let mut other = super::session();
    let hash = other.ground().backbone.sha256.clone();
    let forged = String::from_utf8_lossy(&bytes[..4096.min(bytes.len())]).find(&hash).unwrap();
    let mut forged_bytes = bytes.clone();
    forged_bytes[forged..forged + 4].copy_from_slice(b"0000");
    let file = AdapterFile::open("forged", Arc::new(forged_bytes)).unwrap();
    let refused = pollster::block_on(other.import("forged", &file)).unwrap_err().to_string();
    assert!(refused.contains("it was trained on backbone demo") && refused.contains("not on demo"), "{refused}");
    assert!(other.ground().classes.is_empty(), "nothing was changed");
}

#[test]
fn what_makes_no_session_is_refused() {
    let mut session = session();
    assert!(session.begin(options("tip")).err().unwrap().to_string().contains("add classes and photos first"));
    assert!(pollster::block_on(session.classify(&[])).unwrap_err().to_string().contains("no classes yet"));
    let class = |name: &str, prompts: &[&str]| Class {
        name: name.into(),
        prompts: prompts.iter().map(|&prompt| prompt.into()).collect(),
    };
    for classes in [vec![], vec![class("a", &[])], vec![class("a", &["x"]), class("b", &["x", "y"])]] {
        assert!(pollster::block_on(session.set_classes(classes)).is_err());
    }
    pollster::block_on(session.set_classes(vec![class("a", &["x"]), class("b", &["y"])])).unwrap();
    let width = session.ground().width();
    let refused = pollster::block_on(session.set_examples(vec![0.5; width + 1], vec![0])).unwrap_err().to_string();
    assert!(refused.contains("are no rows of 256"), "{refused}");
    let refused = pollster::block_on(session.set_examples(vec![0.5; width], vec![7])).unwrap_err().to_string();
    assert!(refused.contains("label 7 of row 0 names no class"), "{refused}");
    assert!(session.choose(Method::Meta).unwrap_err().to_string().contains("has not been learnt"));
}
