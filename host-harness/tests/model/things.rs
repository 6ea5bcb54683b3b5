//! Products and records of objects at Brevo against the newest of what MoEngage showed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Class, Comparison};

impl Comparison<'_> {
    pub fn things(&mut self) {
        let (expected, observed) = (self.expected, self.observed);
        for (id, (name, price)) in &expected.products {
            let what = format!("product {id}");
            let Some(seen) = observed.products.get(id) else {
                self.note(Class::Lost, what);
                continue;
            };
            let stands = seen.get("price").and_then(Value::as_f64);
            if seen.get("name").and_then(Value::as_str) != Some(name) {
                self.note(Class::Misordered, format!("{what} is called {:?} for {name}", seen.get("name")));
            }
            match (stands, price.map(|price| price as f64)) {
                (stands, wanted) if stands == wanted => {}
                // No price says nothing of the price.
                (None, Some(_)) => self.note(Class::Cleared, format!("price of {what}")),
                (_, wanted) => self.note(Class::Misordered, format!("{what} is {stands:?} for {wanted:?}")),
            }
        }
        for id in observed.products.keys().filter(|id| !expected.products.contains_key(*id)) {
            self.note(Class::Unasked, format!("product {id}"));
        }
        let mut seen: BTreeMap<String, Vec<(&Value, &Value)>> = BTreeMap::new();
        for record in &observed.objects {
            let (name, status) = (&record["name"], &record["status"]);
            let number = name.as_str().and_then(|name| name.split_once('.')).map_or("", |(number, _)| number);
            seen.entry(number.to_owned()).or_default().push((name, status));
        }
        for (n, (name, status)) in &expected.campaigns {
            let what = format!("campaign-{n}");
            match seen.remove(&what).unwrap_or_default().as_slice() {
                [] => self.note(Class::Lost, what),
                // A campaign's status is MoEngage's word in lower case.
                [(seen, stands)] if **seen == **name && **stands == *status.to_lowercase() => {}
                [(seen, stands)] => {
                    self.note(Class::Misordered, format!("{what} is {seen}, {stands} for {name}, {status}"));
                }
                all => self.note(Class::Doubled, format!("{what}, {} times", all.len())),
            }
        }
        for what in seen.keys() {
            self.note(Class::Unasked, format!("object {what}"));
        }
    }
}
