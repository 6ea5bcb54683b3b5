//! Event codes and display names of the Streams page and the export glossary.

/// moengage: MD:api/data/moengage-streams.mdx, and MD:user-guide/data/exports/events/
/// data-export-glossary.mdx for the last four. Code, display name, channel.
pub(super) const DOCUMENTED: &[(&str, &str, &str)] = &[
    ("MOE_EMAIL_SENT", "Email Sent", "EMAIL"),
    ("MOE_EMAIL_DEFERRED", "Email Deferred", "EMAIL"),
    ("MOE_EMAIL_DELIVERED", "Email Delivered", "EMAIL"),
    ("MOE_EMAIL_DROP", "Email Dropped", "EMAIL"),
    ("MOE_EMAIL_SOFT_BOUNCE", "Email Soft Bounced", "EMAIL"),
    ("MOE_EMAIL_OPEN", "Email Opened", "EMAIL"),
    ("MOE_EMAIL_CLICK", "Email Clicked", "EMAIL"),
    ("SMS_SENT", "SMS Sent", "SMS"),
    ("SMS_DELIVERED", "SMS Delivered", "SMS"),
    ("NOTIFICATION_RECEIVED_MOE", "Notification Received Android", "PUSH"),
    ("NOTIFICATION_CLICKED_MOE", "Notification Clicked Android", "PUSH"),
    ("n_i_s", "Notification Sent iOS", "PUSH"),
    ("NOTIFICATION_CLICKED_IOS_MOE", "Notification Clicked iOS", "PUSH"),
    ("MOE_IN_APP_SHOWN", "Mobile In-App Shown", "INAPP"),
    ("MOE_ONSITE_MESSAGE_CLICKED", "On-site Message Clicked", "ONSITE"),
    ("MOE_CARD_SENT", "Card Sent", "CARDS"),
    ("USER_ENTERED_FLOW", "User Entered Flow", ""),
    ("USER_EXITED_FLOW", "User Exited Flow", ""),
    ("MOE_EMAIL_VIB", "Viewed in Browser", "EMAIL"),
    ("MOE_APP_OPENED", "App/Site Opened", ""),
    ("MOE_PAGE_VIEWED", "Viewed Web Page", ""),
    ("Device Uninstall", "Device Uninstall", ""),
];

/// Each of these raises a flag of the person. Code, display name, flag.
pub(super) const FLAGGING: &[(&str, &str, &str)] = &[
    ("MOE_EMAIL_UNSUBSCRIBE", "Email Unsubscribed", "moe_unsubscribe"),
    ("MOE_EMAIL_HARD_BOUNCE", "Email Bounced", "moe_hard_bounce"),
    ("MOE_EMAIL_SPAM", "Email Spam Complained", "moe_spam"),
];

/// Codes that a customer made up: raw names, as tracked.
pub(super) const CUSTOM: &[&str] =
    &["VIEW_RADAR", "order_placed", "Checkout Step 2", "wishlist.add", "Prämie eingelöst"];

/// Of the person that stays. moengage: data-export-glossary.mdx. Code and display name.
pub(super) const MERGED: (&str, &str) = ("MOE_USER_MERGED", "User Merged");
/// Of the person that goes into another. Both as a dashboard lists them; neither page says what
/// attributes they have.
pub(super) const MERGED_AWAY: (&str, &str) = ("MOE_USER_MERGE_EVENT", "User merged");

/// moengage: MD:user-guide/campaigns-and-channels/email/getting-started-with-email/
/// bot-detection-for-email-opens-and-clicks.mdx names these three rules; how the attribute spells
/// them is not documented.
pub(super) const MACHINE_REASONS: &[&str] =
    &["Apple Mail Privacy Protection", "Bot user-agent", "IP address"];
