//! What a rule can ask for: a field of the person, of the event, or of the segment.

/// Where a value stands.
///
/// ```text
/// field = ( "contact" | "event" | "list" ) "." name
/// name  = one or more characters other than { } | "
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `email`, `phone` or `external_id` of the person; any other name is a user attribute.
    Contact(String),
    /// An attribute of the event.
    Event(String),
    /// The id (`list.id`) or the name (`list.name`) of a segment's sync.
    List(ListField),
}

/// What is known of a segment's sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListField {
    Id,
    Name,
}

/// Names of a person that every record gives; none of them is a user attribute here.
const OF_THE_PERSON: [&str; 3] = ["email", "phone", "external_id"];

/// MoEngage's user attribute for the time at which somebody was last seen
/// (MD:api/data/data-overview.mdx).
const LAST_SEEN: &str = "u_l_a";

impl Field {
    /// A field with its object.
    pub fn parse(text: &str) -> Option<Self> {
        let (object, name) = text.trim().split_once('.')?;
        if !is_name(name) {
            return None;
        }
        match object {
            "contact" => Some(Self::Contact(name.to_owned())),
            "event" => Some(Self::Event(name.to_owned())),
            "list" if name == "id" => Some(Self::List(ListField::Id)),
            "list" if name == "name" => Some(Self::List(ListField::Name)),
            _ => None,
        }
    }

    /// A field as conditions may write it: a name alone is the event's, and Tajo's own
    /// `time_since_activity` is about the time at which the person was last seen.
    pub fn parse_short(text: &str) -> Option<Self> {
        match text.trim() {
            "time_since_activity" => Some(Self::Contact(LAST_SEEN.to_owned())),
            name if is_name(name) && !name.contains('.') => Some(Self::Event(name.to_owned())),
            other => Self::parse(other),
        }
    }

    /// The user attribute that it is, so that events have to bring it along.
    pub fn user_attribute(&self) -> Option<&str> {
        match self {
            Self::Contact(name) if !OF_THE_PERSON.contains(&name.as_str()) => Some(name),
            _ => None,
        }
    }

    /// As it is written.
    pub fn name(&self) -> String {
        match self {
            Self::Contact(name) => format!("contact.{name}"),
            Self::Event(name) => format!("event.{name}"),
            Self::List(ListField::Id) => "list.id".to_owned(),
            Self::List(ListField::Name) => "list.name".to_owned(),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(['{', '}', '|', '"'])
}
