//! Brevo's API as this host uses it: one file for each family of calls, plain values in and out.
//! What the calls mean for a person stands in `delivery`.

pub mod account;
pub mod attributes;
pub mod campaigns;
pub mod contacts;
pub mod crm;
pub mod errors;
pub mod events;
pub mod imports;
pub mod lists;
pub mod mail_log;
pub mod mails;
pub mod objects;
pub mod products;
pub mod texts;
pub mod windows;
