//! Variables -> whether they hold credentials, and the commands that put these into Secrets (pure).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::names::hash;
use crate::path::Path;

/// Parts of names of variables, flags and settings that hold credentials.
const WORDS: [&str; 6] = ["TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH"];
/// A further part, but for two variables: the present folder and the one before.
const PWD: &str = "PWD";
const OF_FOLDERS: [&str; 2] = [PWD, "OLDPWD"];
/// Ends of further names.
const ENDS: [&str; 2] = ["_PAT", "_PW"];

/// What a credential looks like in a text, whatever the text is called. `W` stands for the words. A value that begins with `$` is elsewhere, and one
/// that begins with `/` may be a file.
const LOOKS: [&str; 12] = [
    // `user:password@`, or whatever stands before the host of a URL: some have a token there, as user or as password alone.
    r"[^\s/:@]+:[^\s/@]+@[^\s]|://[^\s@]*@[^\s]",
    // A flag with its value, anywhere in a command.
    r"(?i)(^|\s)-[\w.-]*(W)[\w.-]*\s+['\x22]?[^\s'\x22$/-]",
    // After a flag for nothing but a credential, a value may begin with `-`, too. `--x` and `-x` are further flags.
    r"(?i)(^|\s)--?[\w.-]*(password|passwd|token)\s+['\x22]?-[^\s-]\S{3}",
    // A user with a password, as curl has them.
    r"(^|\s)(-[uU]|--user|--proxy-user)[\s=]*['\x22]?[A-Za-z_][^\s:'\x22]*:[^\s'\x22$/]",
    // Passwords of clients whose flag is `-p`.
    r"\b(mysql[\w-]*|mariadb[\w-]*|sshpass)\s(.*\s)?-p\s*['\x22]?[^\s'\x22$-]",
    // A default of a shell's variable.
    r"(?i)\$\{\w*(W)\w*:?[-=+]['\x22]?[^\s}'\x22$]",
    // A setting with its value, as in connection strings, addresses and commands.
    r"(?i)(^|[^$\w.{-]|(^|[^$])\{)([\w.-]*(W)[\w.-]*|\w*_(PAT|PW))['\x22]?\s*=\s*['\x22]?[^\s'\x22$=;&}/]",
    // A setting with its value in JSON or YAML.
    r"(?i)(^|[^$\w.{-]|(^|[^$])\{)[\w.-]*(W)[\w.-]*['\x22]?\s*:\s+['\x22]?[^\s'\x22$/]|(?i)(W)[\w.-]*['\x22]\s*:\s*['\x22]?[^\s'\x22$/]",
    // A header with a token.
    r"(?i)(bearer|basic)\s+[\w+/=.~-]{8}",
    // A private key.
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    // A signed address, and one that is a secret itself.
    r"(?i)[?&](sig|x-(amz|goog)-signature)=[^\s'\x22$&]|hooks\.slack\.com/(services|workflows|triggers)/[^\s$]",
    // Tokens of GitHub, GitLab, Slack, Hugging Face, npm, PyPI, Stripe, AWS, Google, Databricks, OpenAI, and signed ones.
    r"\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_|sk-|npm_|pypi-|[sr]k_(live|test)_|AIza|dapi)[\w-]{16}|\bA[KS]IA[0-9A-Z]{16}|\beyJ[\w-]+\.eyJ[\w-]+\.",
];

/// A flag for nothing but a credential, or a setting, whose value begins with `/`.
const SLASH: &str = r"(?i)((^|\s)--?[\w.-]*(password|passwd|token)\s+|(^|[^$\w.{-]|(^|[^$])\{)([\w.-]*(W)[\w.-]*|\w*_(PAT|PW))(['\x22]?\s*=\s*|['\x22]?\s*:\s+|['\x22]\s*:\s*))['\x22]?(?<value>/[^\s'\x22,;&}]*)";
/// First folders of paths of files. A credential may begin with `/`, but hardly so.
const FOLDERS: [&str; 16] = [
    "app", "data", "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "secret", "secrets", "srv",
    "tmp", "usr", "var",
];

static CREDENTIAL: LazyLock<Option<(RegexSet, Regex)>> = LazyLock::new(|| {
    let words: Vec<_> = WORDS.into_iter().chain([PWD]).collect();
    let words = format!("({})", words.join("|"));
    let looks = RegexSet::new(LOOKS.map(|look| look.replace("(W)", &words))).ok()?;
    Some((looks, Regex::new(&SLASH.replace("(W)", &words)).ok()?))
});

/// Whether the variable holds a credential, as far as its name and value tell. The path of a file is none.
pub(crate) fn is_credential(name: &str, value: &str) -> bool {
    let name = name.to_uppercase();
    if is_file(value) && !value.contains(char::is_whitespace) {
        return false;
    }
    WORDS.iter().any(|word| name.contains(word))
        || name.contains(PWD) && !OF_FOLDERS.contains(&&*name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || has_credential(value)
}

/// Whether the text looks as if it held a credential.
pub(crate) fn has_credential(text: &str) -> bool {
    CREDENTIAL.as_ref().is_none_or(|(looks, slash)| {
        let mut found = slash.captures_iter(text);
        looks.is_match(text) || found.any(|it| !is_file(&it["value"]))
    })
}

/// Whether a text that begins with `/` is the path of a file below a usual folder.
fn is_file(text: &str) -> bool {
    let path = text.trim_start_matches('/').split_once('/');
    path.is_some_and(|(folder, rest)| FOLDERS.contains(&folder) && !rest.is_empty())
}

/// Checks that a command or argument shows no credential; an error is why it is lost.
pub(crate) fn check_credential(text: &str) -> Result<(), String> {
    let why = "it, or what stands beside it, looks like a password, and whoever reads templates would see it: name a Secret by a variable, and write $(NAME)";
    if has_credential(text) {
        return Err(why.to_owned());
    }
    Ok(())
}

/// Checks a text of a template, which must show no credential and begin no escape either; an error is why it is lost.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    check_credential(text)?;
    if text.contains("{{") {
        return Err("{{ is an escape in templates: write the field by hand".to_owned());
    }
    Ok(())
}

/// Reads a value of an object that is the exported one. The point at the end keeps a value's own line ends.
const READ: &str = "\
read_value() { # UID, path of the value, object
  local found
  found=$(kubectl get \"${@:3}\" -o jsonpath=\"{.metadata.uid} $2\" && printf .) || found=
  if test -z \"$found\" || { test \"$1\" != - && test \"${found%% *}\" != \"$1\"; } || test \"${found#* }\" = .; then
    echo \"${*:3}, $2: not the exported object, or without this value: nothing is written\" >&2
    return 1
  fi
  printf %s \"${found#* }\"
}
";

/// Namespace, Secret and key.
type SecretKey = (String, String, String);

/// Where a value is: in which object, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    old: String,
    uid: Option<String>,
    namespace: String,
    at: String,
}

/// Where a source object's credentials go.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    /// The object as kubectl calls it: type, slash, name.
    pub(crate) old: String,
    /// Its UID, if the source has it.
    pub(crate) uid: Option<String>,
    /// Its namespace. Empty: it has none.
    pub(crate) namespace: String,
    /// Name of the Secret.
    pub(crate) secret: String,
    /// Namespaces that need the Secret.
    pub(crate) into: Vec<String>,
}

/// The Secrets of one source object after the other.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// By the object's number.
    owners: BTreeMap<usize, Owner>,
    keys: BTreeMap<SecretKey, Value>,
}

impl Secrets {
    /// Says which Secret holds the credentials of an object.
    pub(crate) fn name(&mut self, object: usize, owner: Owner) {
        self.owners.insert(object, owner);
    }

    /// Secret and key that hold the variable; `None`: a Secret cannot have a key of this name.
    pub(crate) fn take(&mut self, object: usize, name: &str, at: &Path) -> Option<(String, String)> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return None;
        }
        let owner = self.owners.get(&object)?;
        let value = Value {
            old: owner.old.clone(),
            uid: owner.uid.clone(),
            namespace: owner.namespace.clone(),
            at: at.to_string(),
        };
        let id = |into: &str, key: &str| (into.to_owned(), owner.secret.clone(), key.to_owned());
        // Two containers may have a variable of one name.
        let is_other = |into: &String| {
            self.keys
                .get(&id(into, name))
                .is_some_and(|known| *known != value)
        };
        let key = if owner.into.iter().any(is_other) {
            format!("{name}.{}", hash(&value.at))
        } else {
            name.to_owned()
        };
        for into in &owner.into {
            self.keys.insert(id(into, &key), value.clone());
        }
        Some((owner.secret.clone(), key))
    }

    /// Commands that copy the values, without showing them. A Secret is written when all its values were read.
    pub(crate) fn commands(&self) -> String {
        let mut of_secret: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((into, secret, key), value) in &self.keys {
            of_secret.entry((into, secret)).or_default().push((key, value));
        }
        let mut text = if of_secret.is_empty() {
            String::new()
        } else {
            READ.to_owned()
        };
        for ((into, secret), values) in of_secret {
            text.push_str("(\n");
            for (index, (_, value)) in values.iter().enumerate() {
                let Value {
                    old,
                    uid,
                    namespace,
                    at,
                } = value;
                let uid = uid.as_deref().unwrap_or("-");
                let flag = if namespace.is_empty() {
                    String::new()
                } else {
                    format!("-n {namespace} ")
                };
                let _ = writeln!(
                    text,
                    "  value_{index}=$(read_value {uid} '{{.{at}}}' {flag}{old}) || exit 1"
                );
            }
            let _ = write!(
                text,
                "  kubectl -n {into} create secret generic {secret} --dry-run=client -o yaml"
            );
            for (index, (key, _)) in values.iter().enumerate() {
                let _ = write!(
                    text,
                    " \\\n    --from-file={key}=<(printf %s \"${{value_{index}%.}}\")"
                );
            }
            text.push_str(" \\\n    | kubectl apply --server-side -f -\n)\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_hold_credentials_are_known() {
        for (name, value) in [
            ("GITHUB_TOKEN", "x"),
            ("aws_secret_access", "x"),
            ("INDEX", "https://bob:geheim@pypi.example.org/simple"),
            ("REDIS_URL", "redis://:hunter2@redis:6379/0"),
            ("GIT_REMOTE", "https://ghp_x@github.example.org/a/b"),
            ("DATABASE_URL", "postgres://u:p/w@db/x"),
            ("CONN", "Server=x;User=y;Password=z"),
            ("CONN", "Server=x;Uid=y;Pwd = z;"),
            ("CONN", "host=db user=u password='z' dbname=d"),
            (
                "STORAGE",
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=z==",
            ),
            ("JDBC", "jdbc:sqlserver://db:1433;user=u;password=z"),
            ("JDBC", "jdbc:mysql://db/x?user=u&password=z"),
            ("OPTIONS", "--password=z --verbose"),
            ("OPTIONS", "--verbose --password z"),
            ("JAVA_OPTS", "-Djavax.net.ssl.trustStorePassword=z"),
            ("CONFIG", "{\"user\": \"u\", \"password\": \"z\"}"),
            ("CONFIG", "user: u\npassword: z\n"),
            ("HEADERS", "Authorization: Bearer abcdefgh"),
            ("ID", "AKIAABCDEFGHIJKLMNOP"),
            ("HUB", "hf_abcdefghijklmnopqrst"),
            ("A_TOKEN", "/run/x --token y"),
            ("A_TOKEN", "/abc/def=="),
            ("PEM", "-----BEGIN RSA PRIVATE KEY-----\nx"),
            ("SESSION", "eyJhbGciOi.eyJzdWIi.x"),
            ("GITHUB_PAT", "x"),
            ("DB_PWD", "x"),
            ("mypwd", "x"),
            ("PWD_OF_DB", "x"),
            ("MYSQL_PW", "x"),
            ("LDAP_PASSWD", "x"),
            ("SSH_PASSPHRASE", "x"),
            ("APIKEY", "x"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("CONN", "amqp://bob:geheim@mq:5672/"),
            ("CONFIG", "{password: x}"),
            ("CONFIG", "{password=x}"),
            ("CONFIG", "password : x"),
            ("BLOB", "https://a.blob.example.net/c?sv=2024&sig=abc%3D"),
            ("HOOK", "https://hooks.slack.com/services/T0/B0/x"),
            ("NPM", "npm_abcdefghijklmnopqrst"),
            ("PYPI", "pypi-abcdefghijklmnopqrst"),
            ("MAPS", "AIzaabcdefghijklmnopqrst"),
            ("BRICKS", "dapi0123456789abcdef0123"),
            ("ID", "ASIAABCDEFGHIJKLMNOP"),
            ("PAY", "sk_live_abcdefghijklmnop"),
        ] {
            assert!(is_credential(name, value), "{name}={value}");
        }
        // The controls.
        for (name, value) in [
            ("INDEX", "https://pypi.example.org/simple"),
            ("ISSUER", "https://keycloak.example.org:8443/auth/realms/a"),
            ("MAIL", "bob@example.org"),
            ("TIME", "at 12:30, mail bob@example.org"),
            ("LANG", "C.UTF-8"),
            ("PATH", "/opt/keys/bin:/opt/token:/usr/bin"),
            ("PWD", "/home/jovyan"),
            ("PWD", "work"),
            ("OLDPWD", "work"),
            ("DB_PWD", "/run/secrets/db"),
            ("POWER", "x"),
            ("FILES", "a=1;b=2"),
            ("JDBC", "jdbc:postgresql://db:5432/x?sslmode=require"),
            ("CONN", "Server=x;Trusted_Connection=yes"),
            (
                "OPTIONS",
                "--password-file /run/x --password=$PASSWORD --token $(TOKEN)",
            ),
            ("CONFIG", "{\"user\": \"u\", \"password\": \"\"}"),
            ("IMAGE", "registry.example.org/authors:1"),
            ("NOTE", "basic and bearer of news"),
            ("SKY", "sk-short"),
            ("PATTERN", "x"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/key.json"),
            ("CONFIG", "{user: x}"),
            ("CONFIG", "{password: $PASSWORD}"),
            ("PAGE", "https://example.org/?signed=1&size=2"),
            ("CHAT", "https://slack.com/services"),
            ("PACKAGE", "npm_config pypi-server dapi AIza"),
        ] {
            assert!(!is_credential(name, value), "{name}={value}");
        }
    }

    #[test]
    fn credentials_in_commands_are_known() {
        for (text, expected) in [
            ("--NotebookApp.token=abc", true),
            ("jupyter lab --NotebookApp.token='abc' --port=8888", true),
            ("mlflow --token abc", true),
            ("curl https://u:p@host/", true),
            ("export DB_PASSWORD=abc; run", true),
            ("export GITHUB_PAT=abc", true),
            ("export DB_PWD=abc MYSQL_PW=$PW", true),
            ("export MYSQL_PW=abc", true),
            ("run ${TOKEN:-abc}", true),
            ("curl -u bob:abc https://host/", true),
            ("curl --user 'bob:abc' https://host/", true),
            ("mysql -h db -pabc", true),
            ("mysql -p abc", true),
            ("sshpass -p abc ssh host", true),
            ("run --password /abc", true),
            ("run --token /run9x/Zk==", true),
            ("run --token /run/", true),
            ("export DB_PASSWORD=/abc/def; run", true),
            ("run --config={\"token\":\"/abc/def\"}", true),
            ("run --token -abcd", true),
            ("curl -u bob:$PASSWORD https://host/", false),
            ("docker run --user 1000:100 a", false),
            ("mysql -h db -p$PASSWORD", false),
            ("ssh -p 22 host", false),
            ("mkdir -p abc", false),
            ("run ${TOKEN:-} ${TOKEN:-$OTHER} ${HOME:-abc}", false),
            ("export COMPAT=abc PATH=/bin", false),
            ("run --token-file /abc --no-token --verbose", false),
            ("jupyter lab --NotebookApp.token='' --port=8888", false),
            ("jupyter lab --NotebookApp.base_url=/x --port 8888", false),
            ("jupyter lab --NotebookApp.token=$(TOKEN) --port 8888", false),
            ("run --allow-credentials --port 8888", false),
            ("run --token /run/secrets/token", false),
            (
                "run --token-file=/var/run/x --password '/etc/x' --port 8888",
                false,
            ),
            ("export SSL_KEY=/etc/ssl/key.pem; run", false),
            ("run --config={\"keyfile\":\"/etc/x\"}", false),
            ("test \"$TOKEN\" = x && PASSWORD=$(cat /run/x) run", false),
        ] {
            assert_eq!(has_credential(text), expected, "{text}");
        }
    }
}
