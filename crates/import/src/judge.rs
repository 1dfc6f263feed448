//! Objects of ours -> the rules that they break, as at the API server (pure).

use std::sync::LazyLock;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use kube::core::CustomResourceExt as _;
use rules::{References, Settings, Violation, judge, validate};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::contradictions;
use crate::schema::Schema;

/// All rules, with the settings that an installation has by default.
pub(crate) struct Judge {
    settings: Settings,
    workspace: Schema,
    template: Schema,
    profile: Schema,
}

impl Judge {
    /// The rules, which are made once.
    pub(crate) fn get() -> Result<&'static Self, Error> {
        static JUDGE: LazyLock<Result<Judge, Error>> = LazyLock::new(Judge::new);
        JUDGE.as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, Error> {
        // Whether the author may read a Secret is asked when the objects are applied.
        let settings = Settings::parse("{defaultImage: uv, allowUnvouchedReferences: true}");
        let schema = |definition: Result<Value, serde_json::Error>| {
            definition
                .map(|it| Schema::new(&it))
                .map_err(|error| Error::Bug(error.to_string()))
        };
        Ok(Self {
            settings: settings.map_err(|error| Error::Bug(error.to_string()))?,
            workspace: schema(serde_json::to_value(Workspace::crd()))?,
            template: schema(serde_json::to_value(WorkspaceTemplate::crd()))?,
            profile: schema(serde_json::to_value(WorkspaceExecutionProfile::crd()))?,
        })
    }

    pub(crate) fn template(&self, object: &Value) -> Vec<Violation> {
        read(&self.template, object, |template: &WorkspaceTemplate| {
            let mut found = contradictions::of_template(&object["spec"]);
            found.extend(validate::template(&template.spec, &self.settings));
            found
        })
    }

    pub(crate) fn profile(&self, object: &Value) -> Vec<Violation> {
        read(&self.profile, object, |profile: &WorkspaceExecutionProfile| {
            validate::profile(&profile.spec, &self.settings)
        })
    }

    /// With what it refers to, as far as that is there.
    pub(crate) fn workspace(
        &self,
        object: &Value,
        template: Option<&WorkspaceTemplate>,
        profile: Option<&WorkspaceExecutionProfile>,
    ) -> Vec<Violation> {
        read(&self.workspace, object, |workspace: &Workspace| {
            let references = References::default()
                .with_template(template)
                .with_profile(profile);
            let judged = judge(workspace, &references, &self.settings).violations;
            let mut found = contradictions::of_workspace(&object["spec"]);
            found.extend(judged.iter().flat_map(|found| found.iter().cloned()));
            found
        })
    }
}

/// The rules of the schema, and once it has none to say, those of the type.
fn read<T: DeserializeOwned>(
    schema: &Schema,
    object: &Value,
    rules: impl FnOnce(&T) -> Vec<Violation>,
) -> Vec<Violation> {
    let found = schema.violations(&object["spec"]);
    if !found.is_empty() {
        return found;
    }
    match typed(object) {
        Ok(typed) => rules(&typed),
        Err(violation) => vec![violation],
    }
}

/// The object as its type. The message holds no value.
pub(crate) fn typed<T: DeserializeOwned>(object: &Value) -> Result<T, Violation> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        Violation::new(path, "", "has another type than this field")
    })
}
