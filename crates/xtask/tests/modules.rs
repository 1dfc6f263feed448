//! Source files of every crate -> imports, maps and first lines that break the rules (IO).
//!
//! 1. Modules of one folder import each other in one direction only.
//! 2. `lib.rs` (`main.rs` of xtask) lists the modules from top to bottom; imports go down this list.
//! 3. A folder's `mod.rs` begins with a map that names every file and folder in it.
//! 4. Every file begins with one line: what goes in and what comes out.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

use tree::{below, root};

/// A module's path below the crate's root.
type Module = Vec<String>;

/// One source file.
struct Source {
    path: PathBuf,
    module: Module,
    text: String,
}

impl Source {
    /// `path`: below `src`.
    fn new(path: PathBuf, text: String) -> Self {
        let parts = path.iter().map(|part| part.to_string_lossy());
        let mut module: Module = parts
            .map(|part| part.trim_end_matches(".rs").to_owned())
            .collect();
        module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        Self { path, module, text }
    }

    /// Tests and their fixtures may import everything.
    fn is_test(&self) -> bool {
        let mut parts = self.module.iter();
        parts.any(|part| part.ends_with("tests") || part == "testing")
    }

    fn is_root(&self) -> bool {
        self.module.is_empty()
    }

    /// The lines of documentation at the beginning.
    fn head(&self) -> String {
        let lines = self.text.lines().take_while(|line| line.starts_with("//!"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The sources below a folder.
fn sources(folder: &Path) -> io::Result<Vec<Source>> {
    // Each file in `bin` is a program of its own.
    let is_module = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "rs") && !path.starts_with(folder.join("bin"))
    };
    let files = below(folder).into_iter().filter(is_module);
    let source = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        Ok(Source::new(name, fs::read_to_string(path)?))
    };
    files.map(source).collect()
}

/// The sources of every crate, by the crate's folder.
fn crates() -> io::Result<BTreeMap<String, Vec<Source>>> {
    let folders = fs::read_dir(root().join("crates"))
        .into_iter()
        .flatten()
        .flatten();
    let names = folders.map(|entry| format!("crates/{}", entry.file_name().display()));
    let read = |name: String| {
        let sources = sources(&root().join(&name).join("src"))?;
        Ok((name, sources))
    };
    names.chain(["e2e".to_owned()]).map(read).collect()
}

/// Whether the next tokens are `::`.
fn is_path_separator(tokens: &[TokenTree]) -> bool {
    let colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == ':');
    colon(tokens.first()) && colon(tokens.get(1))
}

/// The paths of a `use` tree or of an expression, and the tokens that it takes: `a::{b, c::d}` -> `a::b`, `a::c::d`.
fn tree(tokens: &[TokenTree], before: &[String], found: &mut Vec<Module>) -> usize {
    match tokens.first() {
        Some(TokenTree::Ident(name)) => {
            let path = [before, &[name.to_string()]].concat();
            if is_path_separator(&tokens[1..])
                && matches!(tokens.get(3), Some(TokenTree::Ident(_) | TokenTree::Group(_)))
            {
                return 3 + tree(&tokens[3..], &path, found);
            }
            found.push(path);
            1
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
            for one in inner.split(is_comma).filter(|one| !one.is_empty()) {
                tree(one, before, found);
            }
            1
        }
        // `a::*` and `a::<T>` name `a`.
        _ => {
            found.push(before.to_vec());
            0
        }
    }
}

/// Tokens of an item under `#[cfg(test)]`: up to its `;` or `{…}`.
fn test_item(tokens: &[TokenTree]) -> usize {
    let is_test = match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] => {
            hash.as_char() == '#' && group.stream().to_string().replace(' ', "") == "cfg(test)"
        }
        _ => false,
    };
    if !is_test {
        return 0;
    }
    let is_use = |token: &TokenTree| matches!(token, TokenTree::Ident(it) if it == "use");
    let braces_end_it = !tokens.iter().skip(2).take(3).any(is_use);
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(it) => it.as_char() == ';',
        TokenTree::Group(group) => braces_end_it && group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// Every path that begins with `crate`, `super` or `self`, in `use` lines, expressions, types and macros, without code for tests.
fn paths(tokens: TokenStream, found: &mut Vec<Module>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = &tokens[at..];
        at += match token {
            TokenTree::Punct(_) => test_item(rest).max(1),
            TokenTree::Group(group) => {
                paths(group.stream(), found);
                1
            }
            TokenTree::Ident(name)
                if ["crate", "super", "self"].iter().any(|it| name == it)
                    && is_path_separator(&rest[1..]) =>
            {
                tree(rest, &[], found)
            }
            _ => 1,
        };
    }
}

/// The module that a path names: the longest that is one of `all`.
fn resolve(path: &[String], from: &[String], all: &BTreeSet<Module>) -> Module {
    let mut module = from.to_vec();
    let mut names = path.iter().peekable();
    while let Some(name) = names.next_if(|name| ["crate", "self", "super"].contains(&name.as_str())) {
        match name.as_str() {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            _ => {}
        }
    }
    for name in names {
        module.push(name.clone());
        if !all.contains(&module) {
            module.pop();
            break;
        }
    }
    module
}

/// Imports between the modules of one folder, with the files that make them.
type Edges = BTreeMap<(String, String), BTreeSet<PathBuf>>;

/// The imports of a crate, by folder.
fn imports(sources: &[Source]) -> Result<BTreeMap<Module, Edges>, LexError> {
    let all: BTreeSet<Module> = sources.iter().map(|source| source.module.clone()).collect();
    let mut edges: BTreeMap<Module, Edges> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let mut found = Vec::new();
        paths(source.text.parse()?, &mut found);
        for path in found {
            let (from, to) = (&source.module, resolve(&path, &source.module, &all));
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
                let folder = edges.entry(from[..common].to_vec()).or_default();
                let files = folder.entry((a.clone(), b.clone())).or_default();
                files.insert(source.path.clone());
            }
        }
    }
    Ok(edges)
}

/// Edges between modules of one folder that lead back to where they begin.
fn circles(edges: &Edges) -> Vec<String> {
    let leads = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            let next = edges.keys().filter(|(a, _)| a == at).map(|(_, b)| b.as_str());
            open.extend(next.filter(|b| seen.insert(*b)));
        }
        seen.contains(to)
    };
    let back = edges.iter().filter(|((a, b), _)| leads(b, a));
    back.map(|((a, b), files)| format!("{a} -> {b} ({files:?})"))
        .collect()
}

/// The list of modules that a crate's root states, as in ``//! - `router`: routes of each listener``. `None` where there is none.
fn layers(head: &str) -> Option<Vec<&str>> {
    let (_, list) = head.split_once("from top to bottom")?;
    let names = list
        .lines()
        .filter_map(|line| Some(line.strip_prefix("//! - `")?.split_once('`')?.0));
    Some(
        names
            .map(|name| name.trim_end_matches('/').trim_end_matches(".rs"))
            .collect(),
    )
}

/// Imports that go up the crate's list, and modules that it does not name.
fn upward(layers: &[&str], sources: &[Source], edges: &Edges) -> Vec<String> {
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let tops: BTreeSet<_> = sources
        .iter()
        .filter(|source| !source.is_test())
        .filter_map(|source| source.module.first())
        .collect();
    let unlisted = tops
        .into_iter()
        .filter(|name| place(name).is_none())
        .map(|name| format!("the list lacks {name}"));
    let up = edges.iter().filter(|((a, b), _)| place(b) < place(a));
    unlisted
        .chain(up.map(|((a, b), files)| format!("{a} -> {b} ({files:?})")))
        .collect()
}

#[test]
fn modules_of_a_folder_do_not_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for (name, sources) in crates().unwrap() {
        for (folder, edges) in imports(&sources).unwrap() {
            read += edges.len();
            wrong.extend(
                circles(&edges)
                    .into_iter()
                    .map(|it| format!("{name}/{}: {it}", folder.join("/"))),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 500, "imports were read: {read}");
}

#[test]
fn a_circle_an_upward_import_and_an_unlisted_module_are_found() {
    let sources = [
        ("top.rs", "use crate::low;"),
        ("low.rs", "fn f() { crate::top::f() }"),
        ("new.rs", ""),
    ];
    let sources = sources.map(|(path, text)| Source::new(path.into(), text.to_owned()));
    let edges = &imports(&sources).unwrap()[&Module::new()];
    assert_eq!(circles(edges).len(), 2, "{edges:?}");
    let layers = layers("//! from top to bottom:\n//! - `top`: x\n//! - `low.rs`: x").unwrap();
    let wrong = upward(&layers, &sources, edges);
    assert_eq!(wrong, ["the list lacks new", "low -> top ({\"low.rs\"})"]);
}

#[test]
fn imports_go_down_the_list_of_their_crate() {
    let mut wrong = Vec::new();
    for (name, sources) in crates().unwrap() {
        let roots = sources.iter().filter(|source| source.is_root()).map(Source::head);
        let heads = roots.collect::<Vec<_>>();
        let Some(layers) = heads.iter().find_map(|head| layers(head)) else {
            wrong.push(format!("{name}: lib.rs has no list from top to bottom"));
            continue;
        };
        let edges = imports(&sources)
            .unwrap()
            .remove(&Module::new())
            .unwrap_or_default();
        wrong.extend(
            upward(&layers, &sources, &edges)
                .into_iter()
                .map(|it| format!("{name}: {it}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_of_a_folder_names_everything_in_it() {
    let mut wrong = Vec::new();
    for (name, sources) in crates().unwrap() {
        for source in sources
            .iter()
            .filter(|source| source.path.ends_with("mod.rs") && !source.is_test())
        {
            let depth = source.module.len();
            let inside = sources.iter().filter(|one| {
                one.module.len() > depth && one.module.starts_with(&source.module) && !one.is_test()
            });
            let inside: BTreeSet<_> = inside.map(|one| &one.module[depth]).collect();
            let head = source.head();
            let is_named = |child: &str| {
                head.split('`')
                    .skip(1)
                    .step_by(2)
                    .any(|quoted| quoted.trim_end_matches('/').trim_end_matches(".rs") == child)
            };
            let missing: Vec<_> = inside.into_iter().filter(|child| !is_named(child)).collect();
            if !missing.is_empty() {
                wrong.push(format!("{name}/src/{}: {missing:?}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "maps lack:\n{}", wrong.join("\n"));
}

#[test]
fn a_file_begins_with_one_line_that_says_what_goes_in_and_what_comes_out() {
    let mut wrong = Vec::new();
    for (name, sources) in crates().unwrap() {
        for source in &sources {
            let first = source.text.lines().next().unwrap_or_default();
            let is_flow =
                first.contains(" -> ") || first.contains(" <-> ") || source.is_root() || source.is_test();
            if !first.starts_with("//! ") || first.chars().count() > 100 || !is_flow {
                wrong.push(format!("{name}/src/{}: {first}", source.path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "at most 100 characters, `//! input -> output (pure | IO)`:\n{}",
        wrong.join("\n")
    );
}

/// Whether cargo compiles a file of a crate: it is the root of a target, or a file beside or above it declares it as its module.
fn is_compiled(crate_folder: &Path, manifest: &str, file: &Path) -> bool {
    let inside = file.strip_prefix(crate_folder).unwrap_or(file);
    let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
    let is_root = match parts.as_slice() {
        ["build.rs"]
        | ["src", "lib.rs" | "main.rs"]
        | ["src", "bin", _]
        | ["examples", _]
        | ["tests" | "examples", _, "main.rs"] => true,
        ["tests", _] if !manifest.contains("autotests = false") => true,
        _ => manifest.contains(&format!("path = {:?}", inside.display().to_string())),
    };
    let module = if file.ends_with("mod.rs") {
        file.parent().unwrap_or(file)
    } else {
        file
    };
    let (Some(name), Some(folder)) = (module.file_stem(), module.parent()) else {
        return is_root;
    };
    let (module, by_path) = (
        format!("mod {};", name.display()),
        format!("{}\"]", file.file_name().unwrap_or(name).display()),
    );
    let declares = |text: &str| {
        text.lines().map(str::trim).any(|line| {
            let declared = line.ends_with(&module) && !line.starts_with("//");
            declared || line.starts_with("#[path = ") && line.ends_with(&by_path)
        })
    };
    let beside = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut above = beside
        .map(|entry| entry.path())
        .filter(|path| path != file)
        .chain([folder.with_extension("rs")]);
    is_root || above.any(|path| fs::read_to_string(path).is_ok_and(|text| declares(&text)))
}

#[test]
fn every_file_is_compiled() {
    let folders = fs::read_dir(root().join("crates")).unwrap().flatten();
    let crates = folders
        .map(|entry| entry.path())
        .chain([root().join("e2e")])
        .filter(|folder| folder.join("Cargo.toml").exists());
    let mut left_out = Vec::new();
    for folder in crates {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let files = below(&folder)
            .into_iter()
            .filter(|file| file.extension().is_some_and(|end| end == "rs"));
        left_out.extend(files.filter(|file| !is_compiled(&folder, &manifest, file)));
    }
    assert!(left_out.is_empty(), "no file declares them: {left_out:#?}");
    let nowhere = root().join("crates/xtask/src/nowhere.rs");
    assert!(!is_compiled(&root().join("crates/xtask"), "", &nowhere));
}
