//! The event codes that MoEngage publishes.

/// A published code and its channel.
pub struct Code {
    pub code: &'static str,
    pub channel: &'static str,
}

/// The published code of that spelling. Codes are compared exactly.
pub fn published(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// The person unsubscribed from e-mail.
pub const EMAIL_UNSUBSCRIBE: &str = "MOE_EMAIL_UNSUBSCRIBE";
/// A mail was dropped because the person had unsubscribed at the e-mail provider.
pub const EMAIL_DROPPED_UNSUBSCRIBE: &str = "MOE_EMAIL_DROPPED_UNSUBSCRIBE";
/// The person called a mail spam.
pub const EMAIL_SPAM: &str = "MOE_EMAIL_SPAM";
/// The address does not exist.
pub const EMAIL_HARD_BOUNCE: &str = "MOE_EMAIL_HARD_BOUNCE";
/// Display name of the event by which a person subscribes again. Its code is not published, so
/// the display name, which a workspace can rename, is all there is to go by.
// MD:user-guide/campaigns-and-channels/email/getting-started-with-email/suppression-updates.mdx
pub const EMAIL_RESUBSCRIBED_NAME: &str = "Email Resubscribed";

/// A profile was merged into another one. MoEngage writes this event to the merged profile, which
/// from then on has nothing but MoEngage's own id.
pub const USER_MERGE_EVENT: &str = "MOE_USER_MERGE_EVENT";
/// Another profile was merged into this one. MoEngage writes this event to the retained profile.
// MD:api/data/data.yaml (merge) and MD:user-guide/data/exports/events/data-export-glossary.mdx.
pub const USER_MERGED: &str = "MOE_USER_MERGED";
/// What stands before the name of a connector campaign's event, which the tenant chose, so that it
/// can't pass for one of MoEngage's codes.
pub const CONNECTOR_PREFIX: &str = "connector.";

const fn code(code: &'static str, channel: &'static str) -> Code {
    Code { code, channel }
}

// MD:api/data/moengage-streams.mdx and
// MD:user-guide/data/exports/events/data-export-glossary.mdx, which lists more and contradicts
// it for three codes (card viewed, connector sent, on-site shown): both spellings stand here.
pub const CODES: &[Code] = &[
    code("MOE_EMAIL_SENT", "email"),
    code("MOE_EMAIL_DEFERRED", "email"),
    code("MOE_EMAIL_DELIVERED", "email"),
    code("MOE_EMAIL_DROP", "email"),
    code(EMAIL_HARD_BOUNCE, "email"),
    code("MOE_EMAIL_SOFT_BOUNCE", "email"),
    code("MOE_EMAIL_OPEN", "email"),
    code("MOE_EMAIL_CLICK", "email"),
    code(EMAIL_UNSUBSCRIBE, "email"),
    code(EMAIL_SPAM, "email"),
    code("MOE_EMAIL_SUBSCRIPTION_UPDATED", "email"),
    code(EMAIL_DROPPED_UNSUBSCRIBE, "email"),
    code("MOE_EMAIL_VIB", "email"),
    code("SMS_SENT", "sms"),
    code("SMS_DELIVERED", "sms"),
    code("MOE_SMS_DELIVERY_FAILED", "sms"),
    code("MOE_SMS_CLICKED", "sms"),
    code("MOE_WHATSAPP_SENT", "whatsapp"),
    code("MOE_WHATSAPP_DELIVERED", "whatsapp"),
    code("MOE_WHATSAPP_READ", "whatsapp"),
    code("MOE_WHATSAPP_CLICKED", "whatsapp"),
    code("MOE_WHATSAPP_DELIVERY_FAILED", "whatsapp"),
    code("NOTIFICATION_RECEIVED_MOE", "push"),
    code("NOTIFICATION_CLICKED_MOE", "push"),
    code("NOTIFICATION_CLEARED_MOE", "push"),
    code("n_i_s", "push"),
    code("NOTIFICATION_CLICKED_IOS_MOE", "push"),
    code("NOTIFICATION_DISMISSED_IOS_MOE", "push"),
    code("NOTIFICATION_RECEIVED_IOS_APP_ACTIVE", "push"),
    code("MO_PUSH_PREFERENCE_CHANGED", "push"),
    code("NOTIFICATION_RECEIVED_WEB_MOE", "push"),
    code("NOTIFICATION_CLICKED_WEB_MOE", "push"),
    code("NOTIFICATION_CLICKED_WINDOWS_MOE", "push"),
    code("MOE_WEB_OPTIN_ACCEPTED", "push"),
    code("MOE_WEB_OPTIN_CLOSED", "push"),
    code("MOE_WEB_OPTIN_BANNER_LOAD", "push"),
    code("MOE_OPT_IN_ALLOWED", "push"),
    code("MOE_OPT_IN_SHOWN", "push"),
    code("MOE_OPT_IN_BLOCKED", "push"),
    code("MOE_OPT_IN_DISMISSED", "push"),
    code("MOE_USER_SUBSCRIBED", "push"),
    code("MOE_WEB_UNSUBSCRIBED", "push"),
    code("MOE_HTTP_OVERLAY_CLICKED", "push"),
    code("MOE_HTTP_OVERLAY_SHOWN", "push"),
    code("MOE_IN_APP_SHOWN", "in-app"),
    code("MOE_IN_APP_CLICKED", "in-app"),
    code("MOE_IN_APP_DISMISSED", "in-app"),
    code("iOS_IN_APP_SHOWN", "in-app"),
    code("iOS_IN_APP_CLICKED", "in-app"),
    code("iOS_IN_APP_CLOSE_CLICKED", "in-app"),
    code("MOE_ONSITE_MESSAGE_SHOWN", "on-site"),
    code("MOE_ONSITE_MESSAGE_CLICKED", "on-site"),
    code("MOE_ONSITE_MESSAGE_DISMISSED", "on-site"),
    code("MOE_CARD_SENT", "cards"),
    code("MOE_CARD_DELIVERED", "cards"),
    code("MOE_CARD_CLICKED", "cards"),
    code("MOE_CARD_VIEWED", "cards"),
    code("MOE_CARD_IMPRESSION", "cards"),
    code("MOE_CONNECTOR_SENT", "connector"),
    code("WEBHOOK_SENT", "connector"),
    code("MOE_WEBP_MESSAGE_SHOWN", "web-personalization"),
    code("MOE_WEBP_MESSAGE_CLICKED", "web-personalization"),
    code("MOE_WEBP_MESSAGE_DISMISSED", "web-personalization"),
    code("MOE_WEBP_MESSAGE_DELIVERED", "web-personalization"),
    code("MOE_PERSONALIZATION_MESSAGE_SHOWN", "web-personalization"),
    code("USER_ENTERED_FLOW", "flow"),
    code("USER_EXITED_FLOW", "flow"),
    code("MOE_CAMPAIGN_CONTROL_GROUP", "control-group"),
    code("MOE_CAMPAIGN_USER_REMOVED_DUE_TO_CONTROL_GROUP", "control-group"),
    code("MOE_USER_REMOVED_FROM_CONTROL_GROUP", "control-group"),
    code("MOE_FB_AUDIENCE_SYNC", "audience-sync"),
    code("MOE_GOOGLE_ADS_AUDIENCE_SYNC", "audience-sync"),
    code("MOE_APP_OPENED", "lifecycle"),
    code("MOE_PAGE_VIEWED", "lifecycle"),
    code("MOE_APP_EXIT", "lifecycle"),
    code("MOE_LOGOUT", "lifecycle"),
    code("TOKEN_EVENT", "lifecycle"),
    code(USER_MERGED, "lifecycle"),
    code(USER_MERGE_EVENT, "lifecycle"),
    code("UPDATE", "lifecycle"),
    code("INSTALL", "lifecycle"),
    code("REINSTALL", "lifecycle"),
    code("Device Uninstall", "lifecycle"),
    code("MOE_USER_REINSTALL", "lifecycle"),
];
