//! Completion: the shell's own function and kubectl's program, run with unfinished command lines (IO: processes, a local socket).

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{out, run};
use crate::socket::{Reply, serve};

/// Calls the function that the script registers for the program, as bash does for these words, and prints what it offers.
const COMPLETE: &str = r#"
eval "$(cat)"
[[ $(complete -p kubectl-workspace) =~ -F\ ([^ ]+) ]] || exit 9
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
"${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last word.
fn offered(words: &[&str]) -> Vec<String> {
    let script = out(&run(&["completion", "bash"]));
    let mut bash = Command::new("bash")
        .args(["--norc", "-c", COMPLETE, "bash", "kubectl-workspace"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        output.status.success() && errors.is_empty(),
        "{words:?}: {errors}"
    );
    let lines = out(&output);
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_flags_and_values() {
    assert_eq!(offered(&["sta"]), ["start"]);
    let all = offered(&[""]);
    for command in ["create", "list", "open", "explain", "template", "completion"] {
        assert!(all.iter().any(|word| word == command), "{command}: {all:?}");
    }
    assert_eq!(offered(&["stop", "--wai"]), ["--wait"]);
    assert_eq!(offered(&["logs", "demo", "--prev"]), ["--previous"]);
    assert_eq!(offered(&["template", "sh"]), ["show"]);
    assert_eq!(offered(&["completion", "z"]), ["zsh"]);
    assert_eq!(offered(&["no-such-command", "--wai"]), Vec::<String>::new());
}

/// Types a line into an interactive zsh that has read the script, then Tab, and prints what the line is now. The terminal shows commands
/// too, perhaps twice: the word that is waited for is only in what they print.
const TYPE: &str = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PS1= RPS1=; autoload -Uz compinit; compinit -u -D'
zpty -w inner "source $1"
zpty -w inner 'line() { print -r -- "<$BUFFER>" }; zle -N line; bindkey "^X" line; bindkey "^I" complete-word; print rea""dy'
zpty -r inner out '*ready*'
zpty -w -n inner "$2"$'\t\x18'
zpty -r inner out '*<*>*'
print -r -- ${${out##*<}%%>*}
"#;

#[test]
fn zsh_completes_commands_flags_and_values() {
    let script = std::env::temp_dir().join(format!("cli-zsh-{}", std::process::id()));
    fs::write(&script, out(&run(&["completion", "zsh"]))).unwrap();
    for (line, completed) in [
        ("sta", "start"),
        ("template sh", "template show"),
        ("stop --wai", "stop --wait"),
        ("logs demo --prev", "logs demo --previous"),
    ] {
        let output = Command::new("zsh")
            .args(["-f", "-c", TYPE, "zsh", script.to_str().unwrap()])
            .arg(format!("kubectl-workspace {line}"))
            .output()
            .expect("the package zsh is installed");
        let now = out(&output);
        assert_eq!(now.trim(), format!("kubectl-workspace {completed}"), "{output:?}");
    }
    fs::remove_file(script).unwrap();
}

#[test]
fn kubectl_s_program_passes_the_words_to_the_plugin_in_the_path() {
    let folder = std::env::temp_dir().join(format!("cli-completion-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("kubectl_complete-workspace");
    fs::write(&program, out(&run(&["completion", "kubectl"]))).unwrap();
    let plugins = Path::new(env!("CARGO_BIN_EXE_kubectl-workspace"))
        .parent()
        .unwrap();
    let ask = |words: &[&str]| {
        let output = Command::new("sh")
            .arg(&program)
            .args(words)
            .env("PATH", format!("{}:/usr/bin:/bin", plugins.display()))
            .env("HOME", "/nonexistent")
            .env_remove("KUBECONFIG")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        out(&output)
    };
    let (start, spaces) = (ask(&["sta"]), ask(&["stop", "--wa"]));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(start, "start\n:4\n");
    assert_eq!(spaces, "--wait\n:4\n");
}

fn template(name: &str, default: &str, allowed: &[&str], images: &Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"displayName": name, "defaultImage": default, "allowedImages": allowed, "presentation": {"images": images}},
    })
}

#[test]
fn images_come_with_the_names_by_which_templates_present_them() {
    let server = serve(|_| {
        let lab = json!([
            {"image": "uv", "displayName": "JupyterLab"},
            {"image": "r/gpu:1", "displayName": "PyTorch\ton GPUs"},
        ]);
        let mut other = template(
            "other",
            "code",
            &[],
            &json!([{"image": "code", "displayName": "Editor"}]),
        );
        // A parser would not read the list.
        other["spec"]["objects"] = json!([{"name": "deep", "manifest": testkit::objects::nested(125)}]);
        Reply::Object(json!({"metadata": {}, "items": [
            template("a", "uv", &["r/plain:1"], &Value::Null),
            template("lab", "uv", &["r/gpu:1", "r/plain:1"], &lab),
            other,
        ]}))
    });
    let ask = |words: &[&str]| out(&run(&[&["__complete", "--server", &server], words].concat()));
    assert_eq!(
        ask(&["create", "demo", "--image", ""]),
        "code\tEditor\nr/gpu:1\tPyTorch on GPUs\nr/plain:1\nuv\tJupyterLab\n:4\n"
    );
    assert_eq!(
        ask(&["create", "demo", "--template", "lab", "--image", "r/"]),
        "r/gpu:1\tPyTorch on GPUs\nr/plain:1\n:4\n"
    );
    assert_eq!(
        ask(&["set", "demo", "--image", "Jup"]),
        ":4\n",
        "the image is typed, not its name"
    );
}

#[test]
fn options_come_with_the_choices_that_are_left() {
    let server = serve(|_| {
        let mut gpu = template("gpu", "uv", &[], &Value::Null);
        gpu["spec"]["options"] = json!([
            {"name": "size", "choices": [{"name": "small", "default": true}, {"name": "gpu"}]},
            {"name": "model", "when": {"size": ["gpu"]}, "choices": [{"name": "a100", "default": true}, {"name": "h100"}]},
        ]);
        let texts = json!({"gpu": {"displayName": "With a GPU"}});
        gpu["spec"]["presentation"] = json!({"options": {"size": {"choices": texts}}});
        let mut other = template("other", "code", &[], &json!([]));
        other["spec"]["options"] = json!([{"name": "language", "choices": [{"name": "r"}]}]);
        Reply::Object(json!({"metadata": {}, "items": [gpu, other]}))
    });
    let ask = |words: &[&str]| out(&run(&[&["__complete", "--server", &server], words].concat()));
    assert_eq!(
        ask(&["create", "demo", "--option", ""]),
        "language=r\tr\nsize=gpu\tWith a GPU\nsize=small\tsmall\n:4\n"
    );
    let of_gpu = ["create", "demo", "--template", "gpu", "--option"];
    assert_eq!(
        ask(&[of_gpu.as_slice(), &["size=s"]].concat()),
        "size=small\tsmall\n:4\n"
    );
    assert_eq!(
        ask(&[of_gpu.as_slice(), &["size=gpu", "--option", ""]].concat()),
        "model=a100\ta100\nmodel=h100\th100\n:4\n"
    );
}
