//! Of each input one output: what offsets in a transaction are for.

use std::collections::BTreeMap;

use super::{
    anomaly::{Anomaly, Class},
    facts::Facts,
    history::{Action, Key, Pipeline, Record, Value},
};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let Some(pipeline) = &facts.history.pipeline else { return };
    let outputs = outputs(facts, pipeline);
    for (input, key) in at_the_end(facts, &pipeline.inputs).map(|(key, record)| (record.value, key)) {
        let writer = facts.writers.get(&input).map(|writer| writer.operation);
        match outputs.get(&input).map_or(&[][..], Vec::as_slice) {
            [] => {
                let text = format!("{input} of {key} has no output");
                found.push(Anomaly::new(Class::Unprocessed, writer, text));
            }
            [_] => {}
            several => {
                let made = several.iter().filter_map(|output| facts.writers.get(output)).map(|output| output.operation);
                let names: Vec<String> = several.iter().map(Value::to_string).collect();
                let text = format!("of {input} of {key} there are {} outputs: {}", names.len(), names.join(", "));
                found.push(Anomaly::new(Class::ProcessedTwice, writer.into_iter().chain(made), text));
            }
        }
    }
}

/// The outputs that are there at the end, by their inputs.
fn outputs(facts: &Facts<'_>, pipeline: &Pipeline) -> BTreeMap<Value, Vec<Value>> {
    let mut outputs: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for (_, record) in at_the_end(facts, &pipeline.outputs) {
        if let Some(input) = pipeline.sources.get(&record.value) {
            outputs.entry(*input).or_default().push(record.value);
        }
    }
    outputs
}

/// What the first final poll of each of these logs has.
fn at_the_end<'a>(facts: &'a Facts<'_>, keys: &'a [Key]) -> impl Iterator<Item = (Key, Record)> + 'a {
    let firsts = keys.iter().filter_map(|key| facts.final_polls(*key).first());
    firsts.flat_map(|index| match &facts.history.operations[*index].action {
        action @ Action::FinalPoll { .. } => action.records(),
        _ => Vec::new(),
    })
}
