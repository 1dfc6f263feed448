//! Text -> YAML documents with the places of their fields (pure).

use std::collections::HashSet;

use granit_parser::{Event, Marker, Options, Parser, Span, StrInput};
use serde_json::Value;

use super::document::{Document, Entry, Finding, Inner, Node, Place};

/// Largest manifest of one workspace, in bytes. Its spec has the same limit.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting. The deepest field of a workspace is half as deep.
const MAX_DEPTH: usize = 64;
/// Most findings in one text.
pub(super) const MAX_FINDINGS: usize = 50;
const MERGE: &str = "<<";

/// All documents of a text that are not empty, or everything that is wrong, in its order. Without aliases, anchors, tags and merge keys.
pub(super) fn parse(text: &str) -> Result<Vec<Document>, Vec<Finding>> {
    let Reader {
        roots, mut findings, ..
    } = Reader::read(text);
    if !findings.is_empty() {
        findings.sort_by_key(|finding| finding.place);
        return Err(of_template(text, findings));
    }
    let mut documents = Vec::new();
    for (index, (start, root)) in roots.iter().enumerate() {
        let end = roots.get(index + 1).map_or(text.len(), |(next, _)| next.byte);
        let value = value(text.get(start.byte..end).unwrap_or_default(), start.line)
            .map_err(|error| of_template(text, vec![error]))?;
        if !value.is_null() {
            let root = root.clone();
            documents.push(Document { value, root });
        }
    }
    Ok(documents)
}

/// Values and keys that are read of a text before it is accepted or refused.
#[cfg(test)]
pub(super) fn work(text: &str) -> usize {
    Reader::read(text).nodes
}

/// The findings, unless the first of them is about a template of Helm: then that.
fn of_template(text: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let wrong = findings.first().map_or(0, |finding| finding.place.line);
    let is_template = |(at, line): &(usize, &str)| {
        line.contains("{{") && (at + 1 == wrong || line.trim_start().starts_with("{{"))
    };
    let Some((at, line)) = text.lines().take(wrong).enumerate().find(is_template) else {
        return findings;
    };
    let before = line.split("{{").next().unwrap_or_default();
    let place = Place {
        line: at + 1,
        column: before.chars().count() + 1,
    };
    let message = "{{ begins an expression of a Helm template, which is not valid YAML: write the value, or use what helm template prints";
    vec![Finding::new(place, "", message)]
}

/// The value of one document. The scanner has found its syntax right.
fn value(text: &str, line: usize) -> Result<Value, Finding> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or(Place { line, column: 1 }, |at| Place {
            line: line - 1 + usize::try_from(at.line()).unwrap_or(1).max(1),
            column: usize::try_from(at.column()).unwrap_or(1).max(1),
        });
        let words = error.to_string();
        let words = words.lines().next().unwrap_or_default();
        let words = words.split(" at line ").next().unwrap_or_default();
        Finding::new(place, "", format!("cannot be read: {words}"))
    })
}

/// Where a document begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    byte: usize,
    line: usize,
}

/// A collection that has begun.
struct Open {
    place: Place,
    parts: Collection,
}

enum Collection {
    List(Vec<Node>),
    /// The keys so far, and last a key that waits for its value.
    Map(Vec<Entry>, HashSet<String>, Option<Key>),
}

/// A key that waits for its value.
struct Key {
    name: String,
    place: Place,
}

struct Reader<'t> {
    text: &'t str,
    open: Vec<Open>,
    roots: Vec<(Start, Node)>,
    nodes: usize,
    findings: Vec<Finding>,
}

fn place(mark: &Marker) -> Place {
    Place {
        line: mark.line().max(1),
        column: mark.col() + 1,
    }
}

impl<'t> Reader<'t> {
    fn read(text: &'t str) -> Self {
        let mut reader = Self {
            text,
            open: Vec::new(),
            roots: Vec::new(),
            nodes: 0,
            findings: Vec::new(),
        };
        reader.take_all();
        reader
    }

    fn take_all(&mut self) {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        options.disallow_directives = true;
        options.emit_unresolved_aliases = true;
        let mut parser: Parser<'t, StrInput<'t>> = Parser::new_from_str_with_options(self.text, options);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.take(event, &span),
                Err(error) => {
                    let (at, words) = self.syntax(place(error.marker()), &error.info());
                    self.found(at, words);
                    return;
                }
            }
            if self.findings.len() >= MAX_FINDINGS {
                return;
            }
        }
    }

    /// What the scanner says, and what to do. Of a tab that ends a text it tells where that text begins: the tab is in a line below.
    fn syntax(&self, at: Place, info: &str) -> (Place, String) {
        let text = self.text.replace("\r\n", "\n");
        let mut lines = text.split(['\n', '\r']).enumerate().skip(at.line - 1);
        let tab = |line: &str| {
            line.chars()
                .take_while(|c| c.is_whitespace())
                .position(|c| c == '\t')
        };
        let below = |(index, line)| {
            let column = tab(line)? + 1;
            Some(Place {
                line: index + 1,
                column,
            })
        };
        let here = lines.next().and_then(|(_, line)| tab(line)).map(|_| at);
        let mut is_below = || lines.find(|(_, line)| !line.trim().is_empty()).and_then(below);
        if let Some(at) = here.or_else(|| is_below().filter(|_| info.contains("found a tab"))) {
            return (
                at,
                "is not valid YAML: a tab cannot indent a line; use spaces".to_owned(),
            );
        }
        let info = info.lines().next().unwrap_or_default();
        let words = format!(
            "is not valid YAML: {info}; check the indentation, the colons and the quotes here and in the line above"
        );
        (at, words)
    }

    fn found(&mut self, place: Place, message: impl Into<String>) {
        self.findings.push(Finding::new(place, self.path(), message));
    }

    /// Path of the value that is being read.
    fn path(&self) -> String {
        let steps = self.open.iter().map(|open| match &open.parts {
            Collection::List(items) => format!("[{}]", items.len()),
            Collection::Map(_, _, Some(key)) => format!(".{}", key.name),
            Collection::Map(_, _, None) => String::new(),
        });
        let path = steps.collect::<Vec<_>>().concat();
        path.strip_prefix('.').unwrap_or(&path).to_owned()
    }

    fn take(&mut self, event: Event<'t>, span: &Span) {
        let at = place(&span.start);
        let leaf = |inner| Node { place: at, inner };
        self.marks(&event, span);
        match event {
            Event::DocumentStart(..) => {
                let is_first = self.roots.is_empty();
                let start = Start {
                    byte: if is_first {
                        0
                    } else {
                        span.byte_range().map_or(0, |range| range.start)
                    },
                    line: if is_first { 1 } else { at.line },
                };
                self.roots.push((start, leaf(Inner::Leaf)));
            }
            Event::Scalar(text, ..) => {
                let Some(Open {
                    parts: Collection::Map(_, keys, waiting @ None),
                    ..
                }) = self.open.last_mut()
                else {
                    self.close(leaf(Inner::Leaf));
                    return;
                };
                let is_twice = !keys.insert(text.clone().into_owned());
                let is_merge = text == MERGE;
                *waiting = Some(Key {
                    name: text.into_owned(),
                    place: at,
                });
                self.nodes += 1;
                if is_twice {
                    self.found(at, "is set twice: leave one out");
                } else if is_merge {
                    self.found(at, "is a merge key, which is not read here: write the fields out");
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.close(leaf(Inner::Leaf)),
            Event::SequenceStart(..) => self.begin(at, Collection::List(Vec::new())),
            Event::MappingStart(..) => self.begin(at, Collection::Map(Vec::new(), HashSet::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => {}
        }
    }

    fn end(&mut self) {
        let Some(Open { place, parts }) = self.open.pop() else {
            return;
        };
        let inner = match parts {
            Collection::List(items) => Inner::List(items),
            Collection::Map(entries, ..) => Inner::Map(entries),
        };
        self.close(Node { place, inner });
    }

    /// Reports what the text must not hold.
    fn marks(&mut self, event: &Event<'t>, span: &Span) {
        let at = place(&span.start);
        if matches!(event, Event::Alias(_) | Event::UnresolvedAlias(_)) {
            self.found(at, "is an alias (*), which is not read here: write the value out");
        }
        if event.anchor_id().is_some() {
            self.found(at, "has an anchor (&), which is not read here: leave it out");
        }
        if event.tag().is_some() {
            let at = span.tag_start().map_or(at, |mark| place(&mark));
            self.found(
                at,
                "has a tag (!), which is not read here: leave it out, and put text in quotes",
            );
        }
    }

    fn begin(&mut self, place: Place, parts: Collection) {
        if let Some(Open {
            parts: Collection::Map(_, _, waiting @ None),
            ..
        }) = self.open.last_mut()
        {
            // Its end is then taken for the value of the key; the finding stops the rest.
            *waiting = Some(Key {
                name: String::new(),
                place,
            });
            self.found(place, "is a list or map in place of a key: write text as key");
        }
        self.nodes += 1;
        self.open.push(Open { place, parts });
    }

    /// A value is complete.
    fn close(&mut self, node: Node) {
        self.nodes += 1;
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => {
                if let Some((_, root)) = self.roots.last_mut() {
                    *root = node;
                }
            }
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map(entries, _, waiting)) => {
                if let Some(Key { name: key, place }) = waiting.take() {
                    entries.push(Entry { key, place, node });
                }
            }
        }
    }
}
