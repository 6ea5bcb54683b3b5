//! The places that MoEngage pushes to: which of them these settings have, and who reads what
//! comes in by each.

use std::borrow::Cow;

use super::notes::Note;
use super::page::Storage;
use super::{alerts, connector_campaigns, segment_sync, streams};
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Object};
use crate::model::{Millis, Record};
use crate::profile::{StaticAnswer, Surface};
use crate::settings::Settings;

/// How long a delivery may be repeated, in seconds. MoEngage itself gives up after 210 s at most
/// (Streams: 30, 60 and 120 s, MD:api/data/moengage-streams.mdx). A week also covers proxies in
/// between and a manual resend.
const REPLAY_WINDOW: u32 = 7 * 86_400;

/// One webhook request, already verified and durable.
#[derive(Clone, Debug)]
pub struct WebhookRequest {
    /// A surface of the profile.
    pub surface: String,
    /// Byte for byte.
    pub body: Vec<u8>,
    /// Those that the surface declared, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Host time.
    pub received_at: Millis,
}

/// A part of an input that became no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// JSON pointer.
    pub pointer: String,
    /// Stable, `lower-kebab-case`.
    pub code: String,
    /// What is wrong, one sentence, without personal data.
    pub message: String,
    /// What can be done about it, one sentence.
    pub remedy: String,
}

/// What a webhook request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookOutcome {
    /// In the order of the body; a contact precedes the event that told of it.
    pub records: Vec<Record>,
    /// Parts that became no record.
    pub rejects: Vec<Reject>,
    /// Counted by name.
    pub notes: Vec<Note>,
}

/// One place, as data.
struct Door {
    name: &'static str,
    /// What is declared of it; nothing where the settings don't have it.
    surface: fn(&Settings) -> Option<Surface>,
    read: fn(&Settings, &WebhookRequest, &mut dyn Storage) -> Result<WebhookOutcome, Failure>,
}

const DOORS: [Door; 4] = [
    Door { name: streams::STREAMS, surface: streams::surface, read: streams::read },
    Door { name: segment_sync::SEGMENT_SYNC, surface: segment_sync::surface, read: segment_sync::read },
    Door { name: alerts::ALERTS, surface: alerts::surface, read: alerts::read },
    Door {
        name: connector_campaigns::CONNECTOR_CAMPAIGNS,
        surface: connector_campaigns::surface,
        read: connector_campaigns::read,
    },
];

/// Every surface of these settings.
pub fn surfaces(settings: &Settings) -> Vec<Surface> {
    DOORS.iter().filter_map(|door| (door.surface)(settings)).collect()
}

/// Turns one webhook request into records. One bad part never stops the others.
///
/// # Errors
/// A failure says that nothing of the body could be read: unknown surface, not JSON, none of the
/// lists that the surface is about, more than a unit can hold, or a storage that is full where
/// something has to be remembered.
pub fn handle_webhook(
    settings: &Settings,
    request: &WebhookRequest,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    match DOORS.iter().find(|door| door.name == request.surface) {
        Some(door) if (door.surface)(settings).is_some() => (door.read)(settings, request, storage),
        _ => Err(unknown_surface()),
    }
}

/// What all surfaces share: 200 with a JSON body is an answer that every door of MoEngage's takes
/// for success, and Outbound Segment Sync and connector campaigns take nothing else.
pub fn declared(name: &str, verification: &str, body_cap: u32, dedupe_key: &str) -> Surface {
    Surface {
        name: name.to_owned(),
        verification: verification.to_owned(),
        answer: StaticAnswer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: r#"{"status":"accepted"}"#.to_owned(),
        },
        headers: vec!["content-type".to_owned()],
        dedupe_key: dedupe_key.to_owned(),
        schemas: Vec::new(),
        body_cap,
        replay_window: REPLAY_WINDOW,
    }
}

/// The settings have no such place.
pub fn unknown_surface() -> Failure {
    Failure::new(
        FailureKind::Config,
        "unknown-surface",
        "These settings have no such surface; streams is always there, each other one needs its block.",
    )
}

/// What has to be remembered for this body can't be: the unit is kept and tried again, and
/// nothing that depends on it is guessed.
pub fn storage_full() -> Failure {
    Failure::new(
        FailureKind::Transient,
        "storage-full",
        "The installation's storage is full, so that what decides order or repetition can't be remembered.",
    )
}

/// A body as text.
pub struct Text<'a> {
    text: Cow<'a, str>,
    /// False where bytes had to be replaced.
    pub was_utf8: bool,
}

impl<'a> Text<'a> {
    /// Reads the bytes, whatever they are.
    ///
    /// Old mail batches came in a Windows code page (JULO keeps a test for it). Broken bytes can
    /// only stand inside of strings, so the rest stays readable.
    pub fn of(body: &'a [u8]) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => Self { text: Cow::Borrowed(text), was_utf8: true },
            Err(_) => Self { text: String::from_utf8_lossy(body), was_utf8: false },
        }
    }

    /// The text without a byte order mark.
    pub fn as_str(&self) -> &str {
        self.text.strip_prefix('\u{FEFF}').unwrap_or(&self.text)
    }

    /// The one object that the text is.
    ///
    /// # Errors
    /// Code and sentence where it is none, or names a key twice.
    pub fn object(&self) -> Result<Object<'_>, (&'static str, &'static str)> {
        let text = self.as_str();
        let Some(object) = Object::parse(text) else {
            return Err(match json::is_json(text) {
                true => ("body-not-object", "The body is not a JSON object."),
                false => ("body-not-json", "The body is not JSON."),
            });
        };
        if object.has_duplicate() {
            return Err(("duplicate-key", "The body names the same key twice."));
        }
        Ok(object)
    }
}
