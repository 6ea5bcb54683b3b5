//! Every secret that the settings name: can it be read, and who else may read it. Never what it is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Line;
use crate::config::{self, ConfigError, Environment, HostConfig, Slot, Source, previous};
use crate::connectors::BUILT_IN;

const PART: &str = "secrets";

/// One line for each slot. `config` was read without its secrets.
pub(super) fn lines(config: &HostConfig, file: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut all_read = true;
    let mut accounts = Vec::new();
    for tenant in &config.tenants {
        let account = &tenant.brevo.account;
        if !accounts.contains(account) {
            accounts.push(account.clone());
            let (line, read) = slot(format!("Brevo account {account}"), &tenant.brevo.api_key);
            lines.push(line);
            all_read &= read;
        }
        for connector in &tenant.connectors {
            for (name, one) in &connector.slots {
                let (line, read) = slot(format!("{} / {}: {name}", tenant.name, connector.name), one);
                lines.push(line);
                all_read &= read;
            }
        }
    }
    if all_read && let Err(error) = config::load(file, &Environment::Process, BUILT_IN) {
        lines.extend(together(error));
    }
    lines
}

/// What shows only once the values are known, such as two keys of one account.
fn together(error: ConfigError) -> impl Iterator<Item = Line> {
    error.problems.into_iter().map(|problem| {
        let place = problem.place.map(|place| format!("line {}, ", place.line)).unwrap_or_default();
        let message = format!("{place}{}: {}", problem.path, problem.message);
        Line::fails(PART, "all together", message).operator(problem.code, problem.remedy)
    })
}

/// And whether it could be read.
fn slot(name: String, slot: &Slot) -> (Line, bool) {
    let found = match slot.source.read() {
        Ok(Some(found)) => found,
        Ok(None) => return (Line::holds(PART, name, "it was handed over"), true),
        Err(refusal) => {
            return (Line::fails(PART, name, refusal.message).operator(refusal.code, refusal.remedy), false);
        }
    };
    let rotating = match found.previous {
        Some(_) => "; a previous value is still accepted inward",
        None => "",
    };
    let message = format!("it can be read from {}{rotating}", shown(&slot.source));
    let wide: Vec<String> = files(&slot.source)
        .into_iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0))
        .map(|path| path.display().to_string())
        .collect();
    if wide.is_empty() {
        return (Line::holds(PART, name, message), true);
    }
    let message = format!("{message}; the group may read {}", wide.join(", "));
    let remedy = format!("Run `chmod 600 {}`, unless the group is the host's alone.", wide.join(" "));
    (Line::look(PART, name, message).operator("group-readable-secret", remedy), true)
}

fn shown(source: &Source) -> String {
    match source {
        Source::Given => "where it was handed over".into(),
        Source::Variable(name) => {
            format!("the variable {name} of this command; the host's service has its own")
        }
        Source::File(path) => path.display().to_string(),
        Source::Sealed(sealed, name) => format!("{}, as {name}", sealed.file.display()),
    }
}

fn files(source: &Source) -> Vec<PathBuf> {
    match source {
        Source::Given | Source::Variable(_) => Vec::new(),
        Source::File(path) => vec![path.clone(), previous(path)],
        Source::Sealed(sealed, _) => [vec![sealed.file.clone()], files(&sealed.key)].concat(),
    }
}
