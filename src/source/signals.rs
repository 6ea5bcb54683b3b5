//! What MoEngage's events and flags say about consent and about an address. The list is closed:
//! what is not in it changes nothing, and `docs/consent.md` shows it, each with its source.

use super::codes;

/// What an event says about the e-mail channel. No event about another channel is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The person wants no more; an act, dated by the event.
    OptedOut,
    /// The person had opted out before; when is not known.
    WasOptedOut,
    /// The person wants messages again; an act, which counts only with its date.
    OptedIn,
    /// The address does not exist.
    HardBounce,
    /// The person called a mail spam.
    Complaint,
}

/// Events by their codes.
const BY_CODE: &[(&str, Says)] = &[
    (codes::EMAIL_UNSUBSCRIBE, Says::OptedOut),
    // MoEngage's glossary names it for mails that SendGrid dropped because of an unsubscription.
    (codes::EMAIL_DROPPED_UNSUBSCRIBE, Says::WasOptedOut),
    (codes::EMAIL_SPAM, Says::Complaint),
    (codes::EMAIL_HARD_BOUNCE, Says::HardBounce),
];

/// Events whose codes MoEngage does not publish, by their display names.
const BY_NAME: &[(&str, Says)] = &[(codes::EMAIL_RESUBSCRIBED_NAME, Says::OptedIn)];

/// What an event says, by its code, else by its display name.
pub fn of_event(code: &str, name: Option<&str>) -> Option<Says> {
    let by_code = BY_CODE.iter().find(|(known, _)| *known == code);
    let by_name = || {
        let name = name?.trim();
        BY_NAME.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    by_code.or_else(by_name).map(|(_, says)| *says)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Cells of the page's table with that mark: the first is the signal, the third what it says.
    fn page(table: &str) -> BTreeSet<(String, String)> {
        let page = include_str!("../../docs/consent.md");
        let (_, rest) = page.split_once(&format!("<!-- table: {table} -->")).unwrap();
        let (rows, _) = rest.split_once("<!-- end of the table -->").unwrap();
        let cells = |row: &str| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            (cells[1].clone(), cells[3].clone())
        };
        rows.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
    }

    #[test]
    fn the_page_lists_exactly_the_events_that_count() {
        let words = |says: Says| match says {
            Says::OptedOut => "opted out, dated",
            Says::WasOptedOut => "opted out",
            Says::OptedIn => "opted in, dated",
            Says::HardBounce => "hard bounce",
            Says::Complaint => "complaint",
        };
        let known = BY_CODE.iter().chain(BY_NAME);
        let known: BTreeSet<_> =
            known.map(|(signal, says)| ((*signal).to_owned(), words(*says).to_owned())).collect();
        assert_eq!(page("events"), known);
    }

    #[test]
    fn the_page_lists_exactly_the_attributes_that_are_read() {
        let attribute = |(signal, _): (String, String)| signal.split(':').next().unwrap().to_owned();
        let listed: BTreeSet<_> = page("attributes").into_iter().map(attribute).collect();
        let read: BTreeSet<_> =
            crate::source::flags::ATTRIBUTES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed, read);
    }

    #[test]
    fn no_code_has_two_meanings() {
        let codes: BTreeSet<_> = BY_CODE.iter().map(|(code, _)| code).collect();
        assert_eq!(codes.len(), BY_CODE.len());
        assert!(BY_CODE.iter().all(|(code, _)| codes::published(code).is_some()));
    }
}
