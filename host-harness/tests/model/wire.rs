//! What MoEngage and the marketer's webhook send.

use serde_json::{Map, Value, json};
use stand_ins::moengage::User;

use super::compare::ext_id;
use super::history::{Chunk, Code, Event, History, LISTS, Names, Profile, Row, Sms};

/// An event as Streams and the export files have it; `at` in seconds.
pub fn streamed(history: &History, n: usize, at: i64) -> Value {
    let event = &history.events[n];
    let person = event.person;
    let (code, name) = match event.code {
        Code::View => ("VIEWED_PRODUCT", "Viewed product"),
        Code::Order => ("ORDER_PLACED", "Order placed"),
        Code::Parcel => ("PARCEL_READY", "Parcel ready"),
        Code::Call => ("CALL_WANTED", "Call wanted"),
        Code::Open => ("MOE_EMAIL_OPEN", "Email Opened"),
        Code::Changed => ("PROFILE_CHANGED", "Profile changed"),
        Code::OptOut => ("MOE_EMAIL_UNSUBSCRIBE", "Email Unsubscribed"),
        Code::OptIn => ("MAIL_AGAIN", "Email Resubscribed"),
        Code::Spam => ("MOE_EMAIL_SPAM", "Email Complained"),
        Code::Bounce | Code::OldBounce => ("MOE_EMAIL_HARD_BOUNCE", "Email Bounced"),
        Code::Closed => ("ACCOUNT_CLOSED", "Account closed"),
        Code::Campaign => unreachable!("has a door of its own"),
    };
    let mut user = Map::new();
    for (name, value) in &event.attributes {
        user.insert((*name).to_owned(), value.clone());
    }
    if let Some(flag) = event.flag {
        user.insert("moe_unsubscribe".to_owned(), flag.into());
    }
    let id = if event.names == Names::Whole { format!("m-{person}") } else { format!("visitor-{person}") };
    user.insert("moengage_user_id".to_owned(), id.into());
    let mut streamed = json!({
        "event_name": name, "event_code": code, "event_uuid": format!("uuid-{n}"),
        "event_time": at, "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
        "event_attributes": { "n": format!("echo-{n}") }, "device_attributes": {}
    });
    if event.names != Names::Visitor {
        user.insert("u_em".to_owned(), event.email.clone().into());
        phone(&mut user, event.phone.as_ref(), event.sms.map(Sms::word));
        streamed["uid"] = ext_id(person).into();
        streamed["email_id"] = match event.code {
            Code::OldBounce => format!("long-ago-{person}@example.com").into(),
            _ => event.email.clone().into(),
        };
    }
    streamed["user_attributes"] = Value::Object(user);
    streamed
}

fn phone(attributes: &mut Map<String, Value>, number: Option<&String>, sms: Option<&str>) {
    if let Some(number) = number {
        attributes.insert("u_mb".to_owned(), number.as_str().into());
    }
    if let Some(word) = sms {
        attributes.insert("moe_sms_subscription".to_owned(), word.into());
    }
}

/// The marketer's webhook; `at` in seconds.
pub fn connector_campaign(event: &Event, n: usize, at: i64) -> Value {
    let user = match event.names {
        Names::Address => json!({ "email": event.email }),
        _ => json!({ "id": ext_id(event.person) }),
    };
    json!({ "user": user, "delivery_id": format!("delivery-{n}"), "sent_at": at })
}

/// What Get User answers. What MoEngage says of texts is not among it (MD:api/data/data-overview.mdx:
/// the attribute is not exportable).
pub fn user(person: usize, profile: &Profile) -> User {
    let mut attributes = Map::new();
    for (name, value) in &profile.attributes {
        attributes.insert((*name).to_owned(), value.clone());
    }
    attributes.insert("u_em".to_owned(), profile.email.clone().into());
    phone(&mut attributes, profile.phone.as_ref(), None);
    if let Some(flag) = profile.flag {
        attributes.insert("moe_unsubscribe".to_owned(), flag.into());
    }
    if profile.bounced {
        attributes.insert("moe_hard_bounce".to_owned(), true.into());
    }
    if profile.complained {
        attributes.insert("moe_spam".to_owned(), true.into());
    }
    User { id: format!("m-{person}"), customer_id: Some(ext_id(person)), attributes }
}

/// A chunk of an execution of a segment's sync.
pub fn chunk_body(chunk: &Chunk) -> Value {
    let rows = |wanted: bool| -> Vec<Value> {
        let of = chunk.rows.iter().filter(|(_, member, _)| *member == wanted);
        of.map(|(person, _, row)| {
            let id = (*row == Row::Both).then(|| ext_id(*person));
            let moengage_id =
                if *row == Row::VisitorId { format!("visitor-{person}") } else { format!("m-{person}") };
            json!({ "moengage_distinct_id": moengage_id, "partner_user_id": id })
        })
        .collect()
    };
    json!({
        "type": "segment_sync", "pagination": { "total_pages": 2, "page_count": chunk.part + 1 },
        "data": {
            "moengage_sync_id": LISTS[chunk.list].0, "moengage_sync_name": LISTS[chunk.list].1,
            "moengage_execution_id": format!("execution-{}", chunk.execution), "moengage_integration_id": "i",
            "add_users": rows(true), "remove_users": rows(false)
        }
    })
}
