//! Rust source line by line, code apart from comments: enough of the language's lexing for the checks not to be misled by
//! strings and comments.

/// A line: its code with the contents of strings blanked, and its comments.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Line {
    pub(crate) code: String,
    pub(crate) comment: String,
}

impl Line {
    /// Whether the line holds a comment and no code.
    pub(crate) fn is_comment(&self) -> bool {
        self.code.trim().is_empty() && !self.comment.is_empty()
    }

    /// Where `word` stands in the code as a whole word: what follows it.
    pub(crate) fn after_word<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.code.match_indices(word).filter_map(move |(at, _)| {
            let rest = &self.code[at + word.len()..];
            let free = !self.code[..at].ends_with(is_word) && !rest.starts_with(is_word);
            free.then_some(rest)
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

enum State {
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    RawText(usize),
}

/// Splits a source.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let line = lines.last_mut().expect("never empty");
        if c == '\n' {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            lines.push(Line::default());
            at += 1;
            continue;
        }
        let next = chars.get(at + 1).copied();
        at += match state {
            State::Code if c == '/' && next == Some('/') => {
                state = State::LineComment;
                0
            }
            State::Code if c == '/' && next == Some('*') => {
                state = State::BlockComment(1);
                line.comment.push_str("/*");
                2
            }
            State::Code if c == '"' => {
                state = State::Text;
                line.code.push(c);
                1
            }
            State::Code if c == '\'' => {
                // A character, or a lifetime.
                let len = match next {
                    Some('\\') => chars.iter().skip(at + 3).position(|&c| c == '\'').map_or(1, |end| end + 4),
                    Some(_) if chars.get(at + 2) == Some(&'\'') => 3,
                    _ => 1,
                };
                line.code.push('\'');
                len
            }
            State::Code => {
                let raw = if line.code.ends_with(is_word) { None } else { raw_string(&chars[at..]) };
                match raw {
                    Some((len, hashes)) => {
                        state = State::RawText(hashes);
                        line.code.push('"');
                        len
                    }
                    None => {
                        line.code.push(c);
                        1
                    }
                }
            }
            State::LineComment => {
                line.comment.push(c);
                1
            }
            State::BlockComment(depth) => {
                let (change, len) = match (c, next) {
                    ('*', Some('/')) => (-1, 2),
                    ('/', Some('*')) => (1, 2),
                    _ => (0, 1),
                };
                line.comment.extend(&chars[at..at + len]);
                state = match depth.saturating_add_signed(change) {
                    0 => State::Code,
                    depth => State::BlockComment(depth),
                };
                len
            }
            State::Text if c == '\\' && next != Some('\n') => 2,
            State::Text => {
                if c == '"' {
                    state = State::Code;
                    line.code.push(c);
                }
                1
            }
            State::RawText(hashes) => {
                let closes = c == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
                if closes {
                    state = State::Code;
                    line.code.push('"');
                    1 + hashes
                } else {
                    1
                }
            }
        };
    }
    lines
}

/// Length of the opening of a raw string that begins here, and its number of hashes.
fn raw_string(chars: &[char]) -> Option<(usize, usize)> {
    let prefix = match chars {
        ['r', ..] => 1,
        ['b' | 'c', 'r', ..] => 2,
        _ => return None,
    };
    let hashes = chars[prefix..].iter().take_while(|&&c| c == '#').count();
    (chars.get(prefix + hashes) == Some(&'"')).then_some((prefix + hashes + 1, hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(codes("a // unsafe\nb"), ["a ", "b"]);
        assert_eq!(codes("a /* x /* y */\n z */ b"), ["a ", " b"]);
        assert_eq!(codes(r#"f("unsafe \" //", 1)"#), [r#"f("", 1)"#]);
        assert_eq!(codes("f(r#\"a\" // b\"#, br\"\\\")"), ["f(\"\", \"\")"]);
        assert_eq!(codes("x = \"a\nb\"; y"), ["x = \"", "\"; y"]);
    }

    #[test]
    fn characters_and_lifetimes() {
        assert_eq!(codes(r#"'"' '\'' '\u{41}' &'a str"#), ["' ' ' &'a str"]);
        assert_eq!(codes("for_r\"x\""), ["for_r\"\""]);
    }

    #[test]
    fn whole_words() {
        let line = &lines("unsafe_code unsafe { not_unsafe }")[0];
        assert_eq!(line.after_word("unsafe").collect::<Vec<_>>(), [" { not_unsafe }"]);
    }
}
