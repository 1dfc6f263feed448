//! Arguments, settings -> where images are pulled in advance, and what all pods there have (pure).

use rules::Settings;

/// The operator's command that waits for its end: what pods run that only have to be there.
pub const PAUSE: &str = "pause";

/// The namespace in which images are pulled in advance, and room is kept.
#[derive(Clone, Debug)]
pub struct ImagesNamespace {
    /// Its name.
    pub name: String,
    /// Image with the command [`PAUSE`].
    pub pause_image: String,
    /// Secrets of that namespace which pull images: those of the settings, and of [`ImagesNamespace::pause_image`].
    pub pull_secrets: Vec<String>,
    /// Class of pods that pull images: below workspaces, above placeholders.
    pub puller_priority_class: String,
    /// Class of placeholders: the lowest for which an autoscaler adds a node.
    pub placeholder_priority_class: String,
}

impl ImagesNamespace {
    /// `pull_secrets`: those of the pause image.
    pub fn new(
        name: String,
        pause_image: String,
        pull_secrets: &[String],
        release: &str,
        settings: &Settings,
    ) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for secret in settings.image_pull_secrets.iter().chain(pull_secrets) {
            if !secret.is_empty() && !secrets.contains(secret) {
                secrets.push(secret.clone());
            }
        }
        Self {
            name,
            pause_image,
            pull_secrets: secrets,
            puller_priority_class: format!("{release}-pre-pull"),
            placeholder_priority_class: format!("{release}-placeholders"),
        }
    }
}
