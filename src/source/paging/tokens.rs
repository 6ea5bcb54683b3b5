//! Reading a list by an opaque cursor: each page names the next one.

use super::super::{digest, page};
use super::{EMPTY_PAGES, End, MOST_EMPTY, MOST_PAGES, Repeating, Seen, TOO_MANY_PAGES};
use crate::json::{Object, to_json};

/// Longest cursor that is taken. MoEngage's samples have 60 bytes, and ours has to hold it.
const LONGEST: usize = 1_500;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The cursor that the next page is asked with; none is the first page.
    token: Option<String>,
    seen: Seen,
    empty: u32,
    pages: u32,
}

/// What an answer says of the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Whether there is more, where it says so.
    pub more: Option<bool>,
    /// The cursor of the next page, where there is one.
    pub token: Option<String>,
}

/// Why no next page can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The cursor was there before.
    Repeating,
    /// There is more, and no cursor for it.
    NoToken,
    /// The cursor is longer than any that can be kept.
    TooLong,
}

impl From<Repeating> for Broken {
    fn from(_: Repeating) -> Self {
        Self::Repeating
    }
}

impl Tokens {
    /// The cursor to ask with.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Takes in an answer: how many rows it had, and what it says of the next page. Nothing means
    /// that there is more.
    pub fn turn(&mut self, rows: usize, onward: Onward) -> Result<Option<End>, Broken> {
        self.pages += 1;
        let token = onward.token.filter(|token| !token.is_empty());
        if onward.more == Some(false) || (onward.more.is_none() && token.is_none()) {
            return Ok(Some(End::Complete));
        }
        let token = token.ok_or(Broken::NoToken)?;
        if token.len() > LONGEST {
            return Err(Broken::TooLong);
        }
        if self.seen.again(digest::of(token.as_bytes())) {
            return Err(Broken::Repeating);
        }
        self.token = Some(token);
        self.empty = if rows == 0 { self.empty + 1 } else { 0 };
        Ok(if self.empty > MOST_EMPTY {
            Some(End::Truncated(EMPTY_PAGES))
        } else {
            (self.pages >= MOST_PAGES).then_some(End::Truncated(TOO_MANY_PAGES))
        })
    }

    /// Writes it as JSON.
    pub fn write(&self) -> String {
        let Self { token, seen, empty, pages } = self;
        format!(r#"{{"token":{},{},"empty":{empty},"pages":{pages}}}"#, to_json(token), seen.write())
    }

    /// Reads what was written; what isn't there has its default.
    pub fn read(object: &Object<'_>) -> Option<Self> {
        Some(Self {
            token: page::text(object, "token")?.filter(|token| token.len() <= LONGEST),
            seen: Seen::read(object)?,
            empty: page::value(object, "empty")?,
            pages: page::value(object, "pages")?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn onward(token: &str) -> Onward {
        Onward { more: Some(true), token: Some(token.to_owned()) }
    }

    #[test]
    fn the_end_is_said_and_never_guessed() {
        let end = |onward| Tokens::default().turn(1, onward);
        assert_eq!(end(Onward { more: Some(false), token: Some("a".into()) }), Ok(Some(End::Complete)));
        assert_eq!(end(Onward { more: None, token: None }), Ok(Some(End::Complete)));
        assert_eq!(end(Onward { more: None, token: Some("a".into()) }), Ok(None));
        assert_eq!(end(Onward { more: Some(true), token: None }), Err(Broken::NoToken));
        assert_eq!(end(Onward { more: Some(true), token: Some(String::new()) }), Err(Broken::NoToken));
        assert_eq!(end(onward(&"a".repeat(LONGEST + 1))), Err(Broken::TooLong));
    }

    #[test]
    fn n24_empty_pages_with_a_next_one_are_bounded() {
        let mut tokens = Tokens::default();
        for n in 0..MOST_EMPTY {
            assert_eq!(tokens.turn(0, onward(&n.to_string())), Ok(None));
        }
        assert_eq!(tokens.turn(0, onward("last")), Ok(Some(End::Truncated(EMPTY_PAGES))));
        let mut tokens = Tokens::default();
        for n in 0..20 {
            assert_eq!(tokens.turn(n % 2, onward(&n.to_string())), Ok(None), "rows in between count");
        }
    }

    #[test]
    fn n25_a_list_without_end_is_cut_short() {
        let mut tokens = Tokens::default();
        for n in 1..MOST_PAGES {
            assert_eq!(tokens.turn(1, onward(&n.to_string())), Ok(None));
        }
        assert_eq!(tokens.turn(1, onward("last")), Ok(Some(End::Truncated(TOO_MANY_PAGES))));
    }

    proptest! {
        #[test]
        fn n21_tokens_that_go_round_are_known_after_three_rounds(lead in 0..80_u32, round in 1..80_u32) {
            let mut tokens = Tokens::default();
            let mut asked = 0;
            loop {
                let n = if asked < lead { asked } else { lead + (asked - lead) % round };
                asked += 1;
                match tokens.turn(1, onward(&format!("t{n}"))) {
                    Ok(None) => prop_assert!(asked < 3 * (lead + round) + 3),
                    other => {
                        prop_assert_eq!(other, Err(Broken::Repeating));
                        prop_assert!(asked > lead + round);
                        break;
                    }
                }
                let state = tokens.write();
                prop_assert!(state.len() < 2_000);
                prop_assert_eq!(Tokens::read(&Object::parse(&state).unwrap()), Some(tokens.clone()));
            }
        }
    }
}
