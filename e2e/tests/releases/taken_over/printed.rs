//! `steps.md`, as it is printed, and commands of docs/coming-over.md -> their output in bash (IO).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use e2e::{Environment, command::shell_by};

/// One step.
pub(super) struct Step {
    pub(super) title: String,
    commands: String,
    check: String,
}

/// The steps and their folder.
pub(super) struct Steps {
    folder: PathBuf,
    /// Run before the commands.
    prelude: String,
    pub(super) all: Vec<Step>,
}

impl Steps {
    /// Those of this folder.
    pub(super) fn of(folder: &Path, prelude: &str) -> anyhow::Result<Self> {
        let text = fs::read_to_string(folder.join("steps.md"))?;
        let steps = parse(&text);
        anyhow::ensure!(steps.len() > 6, "{text}");
        Ok(Self {
            folder: folder.to_owned(),
            prelude: prelude.to_owned(),
            all: steps,
        })
    }

    /// Those before the one of this title, and the rest.
    pub(super) fn split(&self, title: &str) -> anyhow::Result<(&[Step], &[Step])> {
        let place = self.all.iter().position(|step| step.title.starts_with(title));
        Ok(self
            .all
            .split_at(place.with_context(|| format!("no step {title}"))?))
    }

    pub(super) fn step(&self, title: &str) -> anyhow::Result<&Step> {
        let mut steps = self.all.iter();
        let step = steps.find(|step| step.title.starts_with(title));
        step.with_context(|| format!("no step {title}"))
    }

    pub(super) async fn run(&self, title: &str) -> anyhow::Result<()> {
        self.execute(self.step(title)?).await.map(drop)
    }

    /// Runs a step's commands in bash, until one fails.
    pub(super) async fn execute(&self, step: &Step) -> anyhow::Result<String> {
        self.answer(step, "").await
    }

    /// The same, with answers to what the commands ask.
    pub(super) async fn answer(&self, step: &Step, answers: &str) -> anyhow::Result<String> {
        let done = self.bash(&step.commands, answers).await;
        done.with_context(|| step.title.clone())
    }

    /// Runs the command of a step's check.
    pub(super) async fn check(&self, step: &Step) -> anyhow::Result<String> {
        let command = step.check.split('`').nth(1);
        self.bash(command.context("the check has no command")?, "").await
    }

    /// Runs the first command of the step that gives the volumes their policy back, with which each way back ends.
    pub(super) async fn give_back(&self) -> anyhow::Result<()> {
        let step = self.step("Give the volumes")?;
        let end = "done 3< policies\n";
        let (first, _) = step.commands.split_once(end).context("no loop")?;
        self.bash(&format!("{first}{end}"), "").await.map(drop)
    }

    /// Runs commands in bash, in the folder, until one fails.
    pub(super) async fn bash(&self, commands: &str, answers: &str) -> anyhow::Result<String> {
        let (script, input) = (self.folder.join("commands"), self.folder.join("answers"));
        fs::write(&script, format!("{}{commands}", self.prelude))?;
        fs::write(&input, answers)?;
        let folder = self.folder.display();
        let line = format!("cd {folder} && exec bash -eu commands < answers");
        shell_by(&Environment::get()?.kubeconfig, &line).await
    }
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        let title = line
            .split_once(". ")
            .filter(|(number, _)| number.parse::<u8>().is_ok());
        if let Some((_, title)) = title {
            steps.push(Step {
                title: title.to_owned(),
                commands: String::new(),
                check: String::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            if let Some(command) = line.strip_prefix("       ") {
                step.commands.push_str(command);
                step.commands.push('\n');
            } else if let Some(check) = line.strip_prefix("   Check: ") {
                check.clone_into(&mut step.check);
            }
        }
    }
    steps
}

/// The first commands of a section of docs/coming-over.md.
pub(super) fn commands_of(section: &str) -> anyhow::Result<String> {
    let text = guide(section)?;
    let lines = text.lines().skip_while(|line| !line.starts_with("    "));
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// The command of the row of its table of ways back that begins so.
pub(super) fn way_back(row: &str) -> anyhow::Result<String> {
    let text = guide("## Way back")?;
    let found = text.lines().find_map(|line| line.strip_prefix(row));
    let command = found.and_then(|rest| rest.split('`').nth(1));
    Ok(format!("{}\n", command.with_context(|| format!("no row {row}"))?))
}

/// What follows this heading.
fn guide(heading: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coming-over.md");
    let text = fs::read_to_string(path)?;
    let (_, after) = text
        .split_once(&format!("\n{heading}\n"))
        .context("no such section")?;
    Ok(after.to_owned())
}
