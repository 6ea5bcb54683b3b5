//! The transactional blocklist: who gets no transactional mail. It is another one than
//! `emailBlacklisted`, which holds for campaigns.

use serde::Serialize;
use serde_json::{Value, json};

use super::Brevo;
use super::account::Account;
use super::contacts::Identifier;
use super::mail::SENDER;
use super::query::{Filters, Page};
use crate::clock::{Millis, rfc3339};
use crate::http::{Reply, Request};

/// Why an address is blocked (brevo: `reason.code` of `GET /smtp/blockedContacts`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum BlockReason {
    #[serde(rename = "unsubscribedViaMA")]
    UnsubscribedViaMa,
    #[serde(rename = "unsubscribedViaEmail")]
    UnsubscribedViaEmail,
    #[serde(rename = "adminBlocked")]
    AdminBlocked,
    #[serde(rename = "unsubscribedViaApi")]
    UnsubscribedViaApi,
    #[serde(rename = "hardBounce")]
    HardBounce,
    #[serde(rename = "contactFlaggedAsSpam")]
    ContactFlaggedAsSpam,
}

/// An address that gets no transactional mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionalBlock {
    /// As written.
    pub email: String,
    /// Sender whose mail is blocked.
    pub sender: String,
    /// Why.
    pub reason: BlockReason,
    /// Host time.
    pub at: Millis,
}

/// Blocks beside those that contacts carry in `smtpBlacklistSender`.
#[derive(Debug, Default)]
pub(super) struct Blocklist(Vec<TransactionalBlock>);

impl Blocklist {
    /// Brevo forgets the blocks of a contact that is deleted (help.brevo.com 5313915904914). That
    /// this holds for transactional ones is not said; it is the reading that is worst for the person.
    pub(super) fn forget(&mut self, email: &str) {
        self.0.retain(|block| !block.email.eq_ignore_ascii_case(email));
    }
}

impl Account {
    /// All blocks, the oldest first.
    pub(super) fn blocks(&self) -> Vec<TransactionalBlock> {
        let of_contacts = self.contacts.all().flat_map(|contact| {
            let email = contact.email.clone().into_iter();
            email.flat_map(move |email| {
                contact.smtp_blacklist_sender.iter().map(move |sender| TransactionalBlock {
                    email: email.clone(),
                    sender: sender.clone(),
                    reason: BlockReason::UnsubscribedViaApi,
                    at: contact.modified_at,
                })
            })
        });
        let mut blocks: Vec<_> = self.blocklist.0.iter().cloned().chain(of_contacts).collect();
        blocks.sort_by_key(|block| block.at);
        blocks
    }

    /// Whether this address gets no transactional mail of this sender.
    pub(super) fn is_blocked(&self, email: &str, sender: &str) -> bool {
        let contact = self.contacts.find(&Identifier::Email(email.to_lowercase()));
        let senders =
            contact.and_then(|id| self.contacts.get(id)).map(|contact| &contact.smtp_blacklist_sender);
        let mut listed = self.blocklist.0.iter().filter(|block| block.email.eq_ignore_ascii_case(email));
        listed.any(|block| block.sender.eq_ignore_ascii_case(sender))
            || senders.into_iter().flatten().any(|blocked| blocked.eq_ignore_ascii_case(sender))
    }

    pub(super) fn list_blocked(&self, request: &Request) -> Reply {
        let page = match Page::read(request, 50, 100, &["startDate", "endDate", "senders"]) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let filters = Filters(request);
        // No longest range is documented, and without dates everything is listed.
        let (from, to) = match filters.days(request.at, 36_500, 36_500) {
            Ok(range) => range,
            Err(reply) => return reply,
        };
        let senders: Vec<&str> = filters.text("senders").map_or(Vec::new(), |all| all.split(',').collect());
        let blocks: Vec<TransactionalBlock> = self
            .blocks()
            .into_iter()
            .filter(|block| (from..to).contains(&block.at))
            .filter(|block| senders.is_empty() || senders.contains(&block.sender.as_str()))
            .collect();
        let rows = page.of(blocks.iter().map(row));
        Reply::json(200, &json!({"count": blocks.len(), "contacts": rows}))
    }
}

fn row(block: &TransactionalBlock) -> Value {
    let message = match block.reason {
        BlockReason::UnsubscribedViaMa => "Unsubscribed via MA",
        BlockReason::UnsubscribedViaEmail => "Unsubscribed via email",
        BlockReason::AdminBlocked => "Admin blocked",
        BlockReason::UnsubscribedViaApi => "Unsubscribed via API",
        BlockReason::HardBounce => "Hard bounce",
        BlockReason::ContactFlaggedAsSpam => "Contact flagged as spam",
    };
    json!({
        "blockedAt": rfc3339(block.at), "email": block.email, "senderEmail": block.sender,
        "reason": {"code": block.reason, "message": message},
    })
}

impl Brevo {
    /// An address gets no transactional mail of the account's sender from now on.
    pub fn block_transactional(&self, email: &str, reason: BlockReason) {
        let block =
            TransactionalBlock { email: email.to_owned(), sender: SENDER.to_owned(), reason, at: self.now() };
        self.held(|account| account.blocklist.0.push(block));
    }

    /// Who gets no transactional mail, the oldest block first.
    pub fn transactional_blocks(&self) -> Vec<TransactionalBlock> {
        self.held(|account| account.blocks())
    }
}
