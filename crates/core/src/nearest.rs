//! "Did you mean …": the known name that a person most likely meant. Pure.

/// More names are not compared.
const MAX_NAMES: usize = 10_000;

/// The nearest of `known`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    let allowed = match folded.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let contains = |known: &str| folded.len() > 2 && known.to_lowercase().contains(&folded);
    known
        .into_iter()
        .take(MAX_NAMES)
        .filter_map(|known| {
            // `shop:api` is also known as `api`.
            let own = known.rsplit_once(':').map_or(known, |(_, own)| own);
            let far =
                [known, own].map(|it| strsim::damerau_levenshtein(&folded, &it.to_lowercase()));
            let distance = far.into_iter().min()?;
            (distance <= allowed || contains(known)).then_some((distance, known))
        })
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_a_stranger_is_none() {
        let known = ["blog", "shop:api", "shop:admin", "wiki"];
        for (name, meant) in [
            ("blgo", Some("blog")),
            ("apy", Some("shop:api")),
            ("Blog", Some("blog")),
            ("admi", Some("shop:admin")),
            ("mail-archive", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }
}
