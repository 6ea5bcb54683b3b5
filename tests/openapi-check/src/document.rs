//! A description, and its operations.

use serde_json::{Value, json};

use crate::operation::{Operation, Server};

/// A description that was read.
pub struct Document {
    root: Value,
    /// OpenAPI 3.0, whose schemas are not quite JSON Schema.
    pub old: bool,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence: it can't be read, or is no OpenAPI 3.
    pub fn load(file: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
        Self::parse(&text).map_err(|e| format!("{file}: {e}"))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// A sentence: it is no YAML, or no OpenAPI 3.
    pub fn parse(text: &str) -> Result<Self, String> {
        let root: Value = serde_norway::from_str(text).map_err(|e| e.to_string())?;
        let version = root["openapi"].as_str().unwrap_or_default();
        let old = match version.get(..4) {
            Some("3.0.") => true,
            Some("3.1.") => false,
            _ => return Err(format!("`{version}` is no version of OpenAPI that is read here")),
        };
        Ok(Self { root, old })
    }

    /// What a reference stands for; the value itself where it is none.
    ///
    /// # Errors
    /// A reference that leads nowhere, out of the file, or in a circle.
    pub fn resolve<'a>(&'a self, mut value: &'a Value) -> Result<&'a Value, String> {
        for _ in 0..100 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
            value = self.target(reference)?;
        }
        Err("a reference that leads in a circle".to_owned())
    }

    /// What a reference names.
    ///
    /// # Errors
    /// It leads nowhere, or out of the file.
    pub fn target(&self, reference: &str) -> Result<&Value, String> {
        reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| format!("the reference {reference} leads nowhere"))
    }

    /// Every call.
    ///
    /// # Errors
    /// A reference that can't be resolved.
    pub fn operations(&self) -> Result<Vec<Operation<'_>>, String> {
        self.collect("paths")
    }

    /// Every webhook; its `path` is its name.
    ///
    /// # Errors
    /// A reference that can't be resolved.
    pub fn webhooks(&self) -> Result<Vec<Operation<'_>>, String> {
        self.collect("webhooks")
    }

    fn collect(&self, member: &str) -> Result<Vec<Operation<'_>>, String> {
        let mut all = Vec::new();
        for (path, item) in self.root[member].as_object().into_iter().flatten() {
            let item = self.resolve(item)?;
            for method in METHODS {
                let Some(node) = item.get(method) else { continue };
                let mut parameters: Vec<&Value> = Vec::new();
                // Those of the operation come first and win.
                for source in [node, item] {
                    for parameter in source["parameters"].as_array().into_iter().flatten() {
                        let parameter = self.resolve(parameter)?;
                        let same = |known: &&Value| {
                            known["name"] == parameter["name"] && known["in"] == parameter["in"]
                        };
                        if !parameters.iter().any(same) {
                            parameters.push(parameter);
                        }
                    }
                }
                let servers =
                    [node, item, &self.root].into_iter().find_map(|from| from["servers"].as_array());
                all.push(Operation {
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    servers: servers.into_iter().flatten().map(Server::read).collect(),
                    security: node.get("security").or_else(|| self.root.get("security")),
                    parameters,
                    node,
                });
            }
        }
        Ok(all)
    }

    /// A way of proving who calls.
    pub fn security_scheme(&self, name: &str) -> Option<&Value> {
        self.resolve(self.root["components"]["securitySchemes"].get(name)?).ok()
    }

    /// Calls and webhooks, for another program.
    pub fn listing(&self) -> Vec<Value> {
        let calls = self.operations().unwrap_or_default();
        let hooks = self.webhooks().unwrap_or_default();
        let call = |operation: Operation<'_>| {
            let servers: Vec<Value> = operation
                .servers
                .iter()
                .map(|server| json!({"url": server.url, "variables": server.variables}))
                .collect();
            json!({
                "method": operation.method, "path": operation.path, "servers": servers,
                "security": operation.security, "source": operation.node["x-source"],
                "slot": operation.node["x-slot"], "other_slot": operation.node["x-other-slot"], "operation_id": operation.node["operationId"],
            })
        };
        let hook = |operation: Operation<'_>| {
            json!({"webhook": operation.path, "method": operation.method,
            "source": operation.node["x-source"]})
        };
        calls.into_iter().map(call).chain(hooks.into_iter().map(hook)).collect()
    }
}
