//! Transactions of which each came before the next one, all the way round.
//!
//! A transaction whose value another one polled had committed before that one did. So had a committed one that its process
//! did before another. These two together have no cycle. With the order of writes it is otherwise: what is written becomes
//! visible with the commit, but has its place before. Cycles of writes alone are shown for what they are; those of writes and
//! reads mixed are as normal and are not looked for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::Entry},
    fmt,
};

use super::{
    anomaly::{Anomaly, Class},
    facts::{Facts, transactions},
    history::{Key, Outcome, Value},
};

/// Of an operation those that came after it, and how that is known.
type Graph = BTreeMap<usize, BTreeMap<usize, Reason>>;

/// How it is known that an operation came before another.
enum Reason {
    Read { value: Value, key: Key },
    Process,
    Write { before: Value, after: Value, key: Key },
}

/// What stands between the names of the two.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { value, key } => write!(f, "sent {value} to {key}, which was polled by"),
            Self::Process => write!(f, "ended before the same process began"),
            Self::Write { before, after, key } => write!(f, "sent {before} to {key}, before {after} of"),
        }
    }
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut reads = Graph::new();
    add_reads(facts, &mut reads);
    add_processes(facts, &mut reads);
    let mut writes = Graph::new();
    add_writes(facts, &mut writes);
    for (class, graph) in [(Class::ReadCycle, &reads), (Class::WriteCycle, &writes)] {
        for component in components(graph).into_iter().filter(|component| component.len() > 1) {
            found.push(describe(facts, class, graph, &component));
        }
    }
}

fn add_reads(facts: &Facts<'_>, graph: &mut Graph) {
    for (value, writer) in &facts.writers {
        let is_read_by = |reader: usize| reader != writer.operation && facts.is_committed(reader);
        for reader in facts.readers(*value).iter().filter(|reader| is_read_by(reader.operation)) {
            let reason = Reason::Read { value: *value, key: reader.key };
            graph.entry(writer.operation).or_default().insert(reader.operation, reason);
        }
    }
}

fn add_processes(facts: &Facts<'_>, graph: &mut Graph) {
    let mut last: HashMap<u32, usize> = HashMap::new();
    let mut in_order: Vec<usize> = transactions(facts.history).map(|(index, _)| index).collect();
    in_order.sort_by_key(|index| facts.history.operations[*index].invoked);
    for index in in_order {
        let operation = &facts.history.operations[index];
        if facts.is_committed(index)
            && let Some(former) = last.get(&operation.process)
        {
            graph.entry(*former).or_default().insert(index, Reason::Process);
        }
        // When one of unknown outcome committed is not known either.
        if operation.action.transaction().is_some_and(|transaction| transaction.outcome == Outcome::Committed) {
            last.insert(operation.process, index);
        }
    }
}

fn add_writes(facts: &Facts<'_>, graph: &mut Graph) {
    for (key, log) in &facts.logs {
        let mut former = None;
        for value in log.visible() {
            let Some(writer) = facts.writers.get(&value) else { continue };
            if let Some((before, earlier)) = former.replace((value, writer.operation))
                && earlier != writer.operation
            {
                let reason = Reason::Write { before, after: value, key: *key };
                graph.entry(earlier).or_default().insert(writer.operation, reason);
            }
        }
    }
}

/// One cycle of a component, the shortest through its first operation.
fn describe(facts: &Facts<'_>, class: Class, graph: &Graph, component: &BTreeSet<usize>) -> Anomaly {
    let start = *component.first().expect("a component has a member");
    let cycle = shortest_cycle(graph, component, start);
    let followers = cycle.iter().cycle().skip(1);
    let steps: Vec<String> = cycle
        .iter()
        .zip(followers)
        .map(|(operation, follower)| format!("{} {}", facts.name(*operation), graph[operation][follower]))
        .collect();
    let text = format!("{} the first again; {} operations hang together so", steps.join(" "), component.len());
    Anomaly::new(class, cycle, text)
}

fn shortest_cycle(graph: &Graph, component: &BTreeSet<usize>, start: usize) -> Vec<usize> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(operation) = next.pop_front() {
        for follower in followers(graph, operation).filter(|follower| component.contains(follower)) {
            if follower == start {
                return path(&came_from, start, operation);
            }
            if let Entry::Vacant(entry) = came_from.entry(follower) {
                entry.insert(operation);
                next.push_back(follower);
            }
        }
    }
    unreachable!("each member of a component reaches each other")
}

fn path(came_from: &HashMap<usize, usize>, start: usize, end: usize) -> Vec<usize> {
    let mut path = vec![end];
    while path[path.len() - 1] != start {
        path.push(came_from[&path[path.len() - 1]]);
    }
    path.reverse();
    path
}

fn followers(graph: &Graph, operation: usize) -> impl Iterator<Item = usize> {
    graph.get(&operation).into_iter().flat_map(|followers| followers.keys().copied())
}

/// The strongly connected components, by Kosaraju's two passes.
fn components(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let mut reversed: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (operation, followers) in graph {
        for follower in followers.keys() {
            reversed.entry(*follower).or_default().push(*operation);
        }
    }
    let mut seen = BTreeSet::new();
    let mut finished = Vec::new();
    for operation in graph.keys() {
        walk(*operation, &mut seen, |operation| followers(graph, operation).collect(), &mut finished);
    }
    let mut taken = BTreeSet::new();
    let mut components = Vec::new();
    for operation in finished.into_iter().rev() {
        let mut component = Vec::new();
        let leaders = |operation: usize| reversed.get(&operation).cloned().unwrap_or_default();
        walk(operation, &mut taken, leaders, &mut component);
        components.push(component.into_iter().collect());
    }
    components
}

/// Goes depth first from an operation to all that were not seen, and notes each once all behind it are noted.
fn walk(from: usize, seen: &mut BTreeSet<usize>, next: impl Fn(usize) -> Vec<usize>, noted: &mut Vec<usize>) {
    if !seen.insert(from) {
        return;
    }
    let mut stack = vec![(from, next(from))];
    while let Some((operation, rest)) = stack.last_mut() {
        match rest.pop() {
            Some(follower) if seen.insert(follower) => stack.push((follower, next(follower))),
            Some(_) => {}
            None => {
                noted.push(*operation);
                stack.pop();
            }
        }
    }
}
