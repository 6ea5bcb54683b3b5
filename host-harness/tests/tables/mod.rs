//! Pages whose tables a program prints.

use std::collections::{BTreeMap, BTreeSet};

const END: &str = "<!-- end of the table -->";

/// The page with its tables replaced, and the tables that it holds, by name.
pub fn with_tables(page: &str, tables: &BTreeMap<String, String>) -> (String, BTreeSet<String>) {
    let (mut out, mut held) = (String::new(), BTreeSet::new());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- table: ") {
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after.split_once(END).unwrap_or_else(|| panic!("the table {name} has no end"));
        let table = tables.get(name).unwrap_or_else(|| panic!("nothing prints a table {name}"));
        out.push_str(&format!("{before}<!-- table: {name} -->\n\n{table}\n\n{END}"));
        assert!(held.insert(name.to_owned()), "{name} stands there twice");
        rest = after;
    }
    out.push_str(rest);
    (out, held)
}
