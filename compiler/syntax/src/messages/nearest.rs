//! The word that was probably meant.

/// The candidate nearest to a word that is none of them, if it is near enough: a third of the letters may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if !(2..=40).contains(&length) {
        return None;
    }
    let lower = word.to_lowercase();
    let distances = candidates.into_iter().map(|candidate| (strsim::osa_distance(&lower, candidate), candidate));
    let allowed = (length / 3).max(1);
    let best = distances.min_by_key(|(distance, _)| *distance)?;
    (best.0 <= allowed && best.0 < length).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use crate::words;

    #[test]
    fn misspelled_words() {
        assert_eq!(nearest("recrod", words::statement_words()), Some("record"));
        assert_eq!(nearest("nueron", words::declaration_words()), Some("neuron"));
        assert_eq!(nearest("evry", words::clause_words()), Some("every"));
        assert_eq!(nearest("Neuron", words::declaration_words()), Some("neuron"));
        assert_eq!(nearest("banana", words::statement_words()), None);
        assert_eq!(nearest("x", words::statement_words()), None);
    }
}
