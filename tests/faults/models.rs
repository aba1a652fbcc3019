//! Weights, configs and archives that are no model.

use crate::command::{Machine, each, tile};
use crate::support::faults;

#[test]
fn every_broken_model_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let tile = tile(0);
    each(faults::models(folder.path()), |fault| {
        let model = fault.path.to_str().unwrap();
        fault.check(&machine.run(["classify", &tile, "--classes", "river,forest", "--model", model]).refused());
        assert_eq!(machine.files().len(), 0, "{}: {:?}", fault.name, machine.files());
    });
    assert!(!machine.cache().exists(), "a refused model leaves no features");
}
