//! Texts with fields in them, as Tajo's automations write them: `Hello {{ contact.u_fn }}`.

use super::field::Field;

/// A text with fields in it.
///
/// ```text
/// template = { text | "{{" field [ "|" "default:" quoted ] "}}" }
/// quoted   = '"' characters other than " '"'
/// ```
///
/// Neither `{{` nor `}}` can stand in the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// What the field holds; else the default.
    Field { field: Field, default: Option<String> },
}

impl Template {
    /// Reads a template; otherwise what is wrong with it, one sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            push_text(before, &mut parts)?;
            let Some((inside, after)) = after.split_once("}}") else {
                return Err("A {{ has no }} after it.");
            };
            parts.push(part(inside)?);
            rest = after;
        }
        push_text(rest, &mut parts)?;
        Ok(Self(parts))
    }

    /// The fields in it.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Field { field, .. } => Some(field),
            Part::Text(_) => None,
        })
    }
}

fn push_text(text: &str, parts: &mut Vec<Part>) -> Result<(), &'static str> {
    if text.contains("}}") {
        return Err("A }} has no {{ before it.");
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// What stands between the braces.
fn part(inside: &str) -> Result<Part, &'static str> {
    let (field, filter) = match inside.split_once('|') {
        Some((field, filter)) => (field, Some(filter)),
        None => (inside, None),
    };
    let field =
        Field::parse(field).ok_or("Between {{ and }} stands no contact.…, event.…, list.id or list.name.")?;
    let default = filter.map(default).transpose()?;
    Ok(Part::Field { field, default })
}

fn default(filter: &str) -> Result<String, &'static str> {
    let quoted = filter.trim().strip_prefix("default:").map(str::trim);
    let text = quoted.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let text = text.filter(|text| !text.contains('"'));
    text.map(str::to_owned).ok_or("Behind the | stands no default: \"...\".")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::field::ListField;
    use super::*;
    use proptest::prelude::*;

    fn written(template: &Template) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field { field, default: None } => format!("{{{{ {} }}}}", field.name()),
            Part::Field { field, default: Some(text) } => {
                format!("{{{{{} |default: \"{text}\"}}}}", field.name())
            }
        };
        template.0.iter().map(part).collect()
    }

    #[test]
    fn what_is_no_template_is_said_so() {
        for text in [
            "{{",
            "}}",
            "a }} b",
            "{{ contact.email",
            "{{ }}",
            "{{ email }}",
            "{{ contact. }}",
            "{{ order.id }}",
            "{{ list.size }}",
            "{{ event.a | upper }}",
            "{{ event.a | default: none }}",
            "{{ event.a | default: \"a\" | default: \"b\" }}",
            "{{ {{ event.a }} }}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert_eq!(Template::parse("").unwrap(), Template(Vec::new()));
    }

    #[test]
    fn names_may_have_blanks_and_dots() {
        let field = |name: &str| Part::Field { field: Field::Event(name.to_owned()), default: None };
        assert_eq!(Template::parse("{{event.Cart Value}}").unwrap().0, [field("Cart Value")]);
        assert_eq!(Template::parse("{{ event.a.b }}").unwrap().0, [field("a.b")]);
    }

    fn a_field() -> impl Strategy<Value = Field> {
        let name = "[a-zA-Z_ü][a-zA-Z_ .0-9]{0,6}[a-z0-9]";
        prop_oneof![
            name.prop_map(Field::Contact),
            name.prop_map(Field::Event),
            Just(Field::List(ListField::Id)),
            Just(Field::List(ListField::Name)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            parts in proptest::collection::vec((a_field(), proptest::option::of("[^\"{}]{0,6}"), "[^{}]{1,6}"), 0..5)
        ) {
            let parts = parts.into_iter().flat_map(|(field, default, text)| {
                [Part::Field { field, default }, Part::Text(text)]
            });
            let template = Template(parts.collect());
            prop_assert_eq!(Template::parse(&written(&template)), Ok(template));
        }

        #[test]
        fn any_text_is_a_template_or_is_not(text in "[{}|.\" a-z:]{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(Template::parse(&written(&template)), Ok(template));
            }
        }

        #[test]
        fn a_text_without_braces_is_itself(text in "[^{}]{1,40}") {
            prop_assert_eq!(Template::parse(&text), Ok(Template(vec![Part::Text(text)])));
        }
    }
}
