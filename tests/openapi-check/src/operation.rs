//! One call of a description: which requests it is, and what belongs to it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A call, or a webhook.
pub struct Operation<'a> {
    /// Upper case.
    pub method: String,
    /// Template, without the servers' base path.
    pub path: String,
    /// Where it is answered.
    pub servers: Vec<Server>,
    /// Alternatives; none where nothing is said.
    pub security: Option<&'a Value>,
    /// Resolved.
    pub parameters: Vec<&'a Value>,
    /// The operation object.
    pub node: &'a Value,
}

/// One server.
pub struct Server {
    /// Template.
    pub url: String,
    /// Values that each variable may take; empty where they are not enumerated.
    pub variables: BTreeMap<String, Vec<String>>,
}

impl Server {
    pub(crate) fn read(node: &Value) -> Self {
        let values = |variable: &Value| -> Vec<String> {
            let listed = variable["enum"].as_array().into_iter().flatten();
            listed.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let variables = node["variables"].as_object().into_iter().flatten();
        Self {
            url: node["url"].as_str().unwrap_or_default().trim_end_matches('/').to_owned(),
            variables: variables.map(|(name, variable)| (name.clone(), values(variable))).collect(),
        }
    }

    /// What stands before every path.
    fn base(&self) -> &str {
        let after = self.url.split_once("://").map_or("", |(_, rest)| rest);
        after.find('/').map_or("", |at| &after[at..])
    }
}

impl Operation<'_> {
    /// Method and template with its base path.
    pub fn name(&self) -> String {
        format!(
            "{} {}",
            self.method,
            self.templates().into_iter().next().unwrap_or_else(|| self.path.clone())
        )
    }

    /// The whole template, once for each base path.
    pub fn templates(&self) -> Vec<String> {
        match self.servers.is_empty() {
            true => vec![self.path.clone()],
            false => self.servers.iter().map(|server| format!("{}{}", server.base(), self.path)).collect(),
        }
    }

    /// The values of a path's variables, with the number of segments that are literal; none where
    /// the path is another.
    pub fn matches(&self, path: &str) -> Option<(usize, BTreeMap<String, String>)> {
        self.templates().iter().find_map(|template| matched(template, path))
    }

    /// The parameters of one place.
    pub fn parameters_in<'s>(&'s self, place: &'s str) -> impl Iterator<Item = &'s Value> {
        self.parameters.iter().copied().filter(move |parameter| parameter["in"] == place)
    }
}

fn matched(template: &str, path: &str) -> Option<(usize, BTreeMap<String, String>)> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let (mut literal, mut values) = (0, BTreeMap::new());
    for (wanted, given) in wanted.into_iter().zip(given) {
        let given = percent_decode_str(given).decode_utf8().ok()?;
        match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !given.is_empty() => {
                values.insert(name.to_owned(), given.into_owned());
            }
            None if wanted == given => literal += 1,
            _ => return None,
        }
    }
    Some((literal, values))
}
