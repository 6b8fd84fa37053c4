//! Choosing shows from a catalog: search, kind, order, pages.

use std::{cmp::Reverse, str::FromStr};

use crate::{
    catalog::{Catalog, Show},
    fold::fold,
    limits::{SEARCH_CHARS_MAX, SHOWS_PER_PAGE_MAX},
};

/// Films or series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Films.
    Movie,
    /// Series.
    Series,
}

/// The order of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sort {
    /// Best match first; by title where nothing is searched.
    #[default]
    Best,
    /// By title, articles aside.
    Title,
    /// Newest first.
    Added,
    /// Newest year first.
    Year,
}

/// What was asked that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Not a kind.
    #[error("kind is \"{0}\": neither \"movie\" nor \"series\"")]
    Kind(String),
    /// Not an order.
    #[error("sort is \"{0}\": none of \"best\", \"title\", \"added\", \"year\"")]
    Sort(String),
    /// Not a number, or out of bounds.
    #[error("limit is \"{0}\": not a number from 1 to {SHOWS_PER_PAGE_MAX}")]
    Limit(String),
    /// Not one that we gave.
    #[error("cursor is \"{0}\": not one that an answer gave")]
    Cursor(String),
}

impl FromStr for Kind {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        match text {
            "movie" => Ok(Self::Movie),
            "series" => Ok(Self::Series),
            other => Err(QueryError::Kind(other.to_owned())),
        }
    }
}

impl FromStr for Sort {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        match text {
            "best" => Ok(Self::Best),
            "title" => Ok(Self::Title),
            "added" => Ok(Self::Added),
            "year" => Ok(Self::Year),
            other => Err(QueryError::Sort(other.to_owned())),
        }
    }
}

/// What is asked of the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    search: Option<String>,
    kind: Option<Kind>,
    sort: Sort,
    limit: usize,
    after: Option<(usize, String)>,
}

/// Some shows, and where the rest begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// In the order asked for.
    pub shows: Vec<&'a Show>,
    /// For the next page; `None` at the end.
    pub next: Option<String>,
    /// How many match, over all pages.
    pub total: usize,
}

impl Query {
    /// Reads the words of an address; absent ones are `None`.
    ///
    /// # Errors
    /// [`QueryError`] names the value.
    pub fn parse(
        search: Option<&str>,
        kind: Option<&str>,
        sort: Option<&str>,
        limit: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Self, QueryError> {
        let search = search
            .map(|words| fold(&words.chars().take(SEARCH_CHARS_MAX).collect::<String>()))
            .filter(|words| !words.is_empty());
        let limit = match limit {
            None => SHOWS_PER_PAGE_MAX,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=SHOWS_PER_PAGE_MAX).contains(n))
                .ok_or_else(|| QueryError::Limit(text.to_owned()))?,
        };
        let after = match cursor {
            None => None,
            Some(text) => {
                let (place, id) = text.split_once('.').ok_or_else(|| QueryError::Cursor(text.to_owned()))?;
                let place = place.parse().map_err(|_| QueryError::Cursor(text.to_owned()))?;
                Some((place, id.to_owned()))
            }
        };
        Ok(Self {
            search,
            kind: kind.map(str::parse).transpose()?,
            sort: sort.map(str::parse).transpose()?.unwrap_or_default(),
            limit,
            after,
        })
    }

    /// Chooses.
    #[must_use]
    pub fn run<'a>(&self, catalog: &'a Catalog) -> Page<'a> {
        let mut hits: Vec<(usize, &Show)> = catalog
            .shows()
            .iter()
            .zip(&catalog.folded)
            .filter(|(show, _)| match self.kind {
                None => true,
                Some(Kind::Movie) => matches!(show, Show::Movie(_)),
                Some(Kind::Series) => matches!(show, Show::Series(_)),
            })
            .filter_map(|(show, folded)| match &self.search {
                None => Some((0, show)),
                Some(words) => rank(words, folded).map(|rank| (rank, show)),
            })
            .collect();
        // The catalog is in the order of titles and these sorts are stable.
        match self.sort {
            Sort::Best => hits.sort_by_key(|(rank, _)| *rank),
            Sort::Title => {}
            Sort::Added => hits.sort_by_key(|(_, show)| Reverse(show.added())),
            Sort::Year => hits.sort_by_key(|(_, show)| Reverse(show.year())),
        }
        let start = match &self.after {
            None => 0,
            // The show that ended the last page may be gone since: then its place is the next best.
            Some((place, id)) => hits
                .iter()
                .position(|(_, show)| show.id() == id)
                .map_or((*place).min(hits.len()), |at| at + 1),
        };
        let end = start.saturating_add(self.limit).min(hits.len());
        let shows: Vec<&Show> =
            hits.get(start..end).unwrap_or_default().iter().map(|(_, show)| *show).collect();
        let next = shows.last().filter(|_| end < hits.len()).map(|last| format!("{end}.{}", last.id()));
        Page { shows, next, total: hits.len() }
    }
}

/// How well a folded title answers folded words, 0 best; `None` if a word is missing.
fn rank(words: &str, title: &str) -> Option<usize> {
    if title == words {
        return Some(0);
    }
    if !words.split(' ').all(|word| title.contains(word)) {
        return None;
    }
    let at_word_start = |word: &str| title.starts_with(word) || title.contains(&format!(" {word}"));
    Some(if title.starts_with(words) {
        1
    } else if at_word_start(words) {
        2
    } else if words.split(' ').all(at_word_start) {
        3
    } else {
        4
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scan::Scanner;

    fn catalog(names: &[&str]) -> Catalog {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let roots = [dir.path().to_owned()];
        Catalog::build(&roots, Scanner::default().scan(&roots))
    }

    fn titles(catalog: &Catalog, search: &str) -> Vec<String> {
        let query = Query::parse(Some(search), None, None, None, None).unwrap();
        query.run(catalog).shows.iter().map(|s| s.title().to_owned()).collect()
    }

    #[test]
    fn search_is_blind_to_case_and_accents_and_ranks() {
        let catalog = catalog(&["Amélie.mkv", "The Amelie Story.mkv", "Gamelier.mkv", "Alien.mkv"]);
        assert_eq!(titles(&catalog, "AMELIE"), ["Amélie", "The Amelie Story", "Gamelier"]);
        assert_eq!(titles(&catalog, "story améli"), ["The Amelie Story"]);
        assert_eq!(titles(&catalog, "zzz"), [""; 0]);
        assert_eq!(titles(&catalog, "!!").len(), 4);
    }

    #[test]
    fn pages_join_without_a_gap_or_a_repeat() {
        let catalog = catalog(&["a.mkv", "b.mkv", "c.mkv", "d.mkv", "e.mkv"]);
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let query = Query::parse(None, None, None, Some("2"), cursor.as_deref()).unwrap();
            let page = query.run(&catalog);
            assert_eq!(page.total, 5);
            seen.extend(page.shows.iter().map(|s| s.title().to_owned()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn kind_narrows() {
        let catalog = catalog(&["a.mkv", "Show S01E01.mkv"]);
        let query = Query::parse(None, Some("series"), None, None, None).unwrap();
        assert_eq!(query.run(&catalog).shows[0].title(), "Show");
    }

    #[test]
    fn nonsense_is_named() {
        for (kind, sort, limit, cursor) in [
            (Some("film"), None, None, None),
            (None, Some("size"), None, None),
            (None, None, Some("0"), None),
            (None, None, Some("-1"), None),
            (None, None, None, Some("x")),
        ] {
            assert!(Query::parse(None, kind, sort, limit, cursor).is_err());
        }
    }
}
