//! The running binary, and words, as a person types them.

/// Its path, relative to the working folder where that is shorter.
pub(crate) fn path() -> String {
    let Ok(path) = std::env::current_exe() else { return "ringpost".to_owned() };
    let folder = std::env::current_dir().ok();
    let relative = folder.and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
    quoted(&relative.unwrap_or(path).display().to_string())
}

/// A word that a shell takes as one.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c));
    if is_plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_shell_would_split_is_quoted() {
        assert_eq!(quoted("target/release/ringpost"), "target/release/ringpost");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
