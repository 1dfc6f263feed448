//! docs/install.md, examples -> what they say is what the chart does (IO: runs `helm`).

use crate::render::{examples, list, pods, read, rendering};

#[test]
fn every_example_says_whom_it_is_for_and_makes_what_pods_wait_for_and_the_guide_leads_to_it() {
    let guide = read("docs/install.md");
    for example in examples() {
        let file = format!("charts/jupyter-k8s/examples/{example}");
        let text = read(&file);
        assert!(
            text.starts_with("# For ") && text.contains("\n# Must exist:\n"),
            "{file}"
        );
        assert!(
            text.contains(&format!(" -f {file}\n")),
            "{file} is not in its own command"
        );
        assert!(
            guide.contains(&format!("(../{file})")),
            "docs/install.md does not link {file}"
        );
        let one = rendering(example.trim_end_matches(".yaml"));
        let todo = one
            .notes
            .lines()
            .filter_map(|line| line.strip_prefix("   todo  Secret "));
        let mut names: Vec<&str> = todo
            .filter_map(|line| line.split([':', ' ', ',']).next())
            .collect();
        for (_, pod) in pods(&one.objects) {
            names.extend(list(&pod["spec"]["imagePullSecrets"]).filter_map(|secret| secret["name"].as_str()));
        }
        assert!(names.contains(&"jupyter-k8s-oidc"), "{example}: {names:?}");
        for name in names {
            let makes = |line: &str| line.contains(" create ") && line.contains(&format!(" {name} -n"));
            assert!(text.lines().any(makes), "{example}: no command makes {name}");
        }
    }
}
