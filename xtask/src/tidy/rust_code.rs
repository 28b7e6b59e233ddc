//! A lexical view of a Rust file: code without comments and literals, the lines that are test code, the functions and
//! their lengths. Not a parser: it knows tokens and brackets, which is all that the rules need.

/// What the rules look at in a Rust file.
pub(super) struct RustCode {
    /// The file with comments and the insides of literals blanked; every line is at its place.
    lines: Vec<String>,
    /// For every line whether it lies in an item under `#[cfg(test)]`.
    is_test: Vec<bool>,
    /// Names of modules declared as `#[cfg(test)] mod name;`, whose files are test code as a whole.
    pub(super) test_modules: Vec<String>,
    /// Every function with a body, in order of its first line.
    pub(super) functions: Vec<Function>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of its `fn`, from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub(super) line_count: usize,
}

impl RustCode {
    /// Reads `text`, which need not compile.
    pub(super) fn new(text: &str) -> Self {
        let code: Vec<char> = blank_comments_and_literals(text);
        let lines: Vec<String> = code.iter().collect::<String>().split('\n').map(str::to_owned).collect();
        let mut view =
            Self { is_test: vec![false; lines.len()], lines, test_modules: Vec::new(), functions: functions(&code) };
        view.mark_tests(&code);
        view
    }

    /// All lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// The lines outside `#[cfg(test)]` items with their numbers, from 1.
    pub(super) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().zip(&self.is_test).filter(|(_, is_test)| !**is_test).map(|(line, _)| line)
    }

    fn mark_tests(&mut self, code: &[char]) {
        let mut from = 0;
        while let Some(start) = find(code, from, "#[cfg(test)]").or_else(|| find(code, from, "#[cfg(all(test,")) {
            let item = skip_attributes(code, start);
            let end = end_of_item(code, item);
            let range = line_index(code, start)..=line_index(code, end);
            self.is_test.get_mut(range).expect("an item lies within its file").fill(true);
            if let Some(name) = declared_module(&code[item..=end]) {
                self.test_modules.push(name);
            }
            from = end + 1;
        }
        if find(code, 0, "#![cfg(test)]").is_some() {
            self.is_test.fill(true);
        }
    }
}

/// Whether `word` stands in `line` as a word of its own.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn blank_comments_and_literals(text: &str) -> Vec<char> {
    let mut code: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < code.len() {
        let end = match code[at] {
            '/' if code.get(at + 1) == Some(&'/') => find(&code, at, "\n").unwrap_or(code.len()),
            '/' if code.get(at + 1) == Some(&'*') => end_of_block_comment(&code, at),
            '"' => end_of_string(&code, at),
            '\'' => end_of_character(&code, at),
            'r' if starts_raw_string(&code, at) => end_of_raw_string(&code, at),
            _ => {
                at += 1;
                continue;
            }
        };
        for character in &mut code[at..end] {
            if *character != '\n' {
                *character = ' ';
            }
        }
        at = end.max(at + 1);
    }
    code
}

fn end_of_block_comment(code: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at + 1 < code.len() {
        match (code[at], code[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

fn end_of_string(code: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < code.len() {
        match code[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    code.len()
}

/// The end of a character literal, or `start` for a lifetime.
fn end_of_character(code: &[char], start: usize) -> usize {
    match (code.get(start + 1), code.get(start + 2)) {
        (Some('\\'), _) => find(code, start + 3, "'").map_or(code.len(), |quote| quote + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

fn starts_raw_string(code: &[char], at: usize) -> bool {
    let is_prefix = match at.checked_sub(1).map(|before| code[before]) {
        Some('b' | 'c') => at < 2 || !is_name(code[at - 2]),
        Some(before) => !is_name(before),
        None => true,
    };
    let quote = code[at + 1..].iter().find(|character| **character != '#');
    is_prefix && quote == Some(&'"')
}

fn end_of_raw_string(code: &[char], start: usize) -> usize {
    let hash_count = code[start + 1..].iter().take_while(|character| **character == '#').count();
    let closing = format!("\"{}", "#".repeat(hash_count));
    find(code, start + hash_count + 2, &closing).map_or(code.len(), |at| at + closing.len())
}

/// Where `pattern`, which is ASCII, next stands at or after `from`.
fn find(code: &[char], from: usize, pattern: &str) -> Option<usize> {
    let pattern: Vec<char> = pattern.chars().collect();
    let rest = code.get(from..)?;
    rest.windows(pattern.len()).position(|window| window == pattern).map(|offset| from + offset)
}

fn line_index(code: &[char], at: usize) -> usize {
    code[..at].iter().filter(|character| **character == '\n').count()
}

/// The place after the attributes that begin at `start`.
fn skip_attributes(code: &[char], start: usize) -> usize {
    let mut at = start;
    while code.get(at) == Some(&'#') {
        at = end_of_group(code, at + 1) + 1;
        while code.get(at).is_some_and(|character| character.is_whitespace()) {
            at += 1;
        }
    }
    at.min(code.len() - 1)
}

/// The last character of the item at `start`: its `;`, or the brace that closes its body.
fn end_of_item(code: &[char], start: usize) -> usize {
    let mut at = start;
    while at < code.len() {
        match code[at] {
            ';' => return at,
            '{' => return end_of_group(code, at),
            '(' | '[' => at = end_of_group(code, at),
            _ => {}
        }
        at += 1;
    }
    code.len() - 1
}

/// The bracket that closes the one at `start`.
fn end_of_group(code: &[char], start: usize) -> usize {
    let mut depth = 0;
    for (at, character) in code.iter().enumerate().skip(start) {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len() - 1
}

/// `name`, when the item is `mod name;`.
fn declared_module(item: &[char]) -> Option<String> {
    let item: String = item.iter().collect();
    let (before, rest) = item.split_once("mod ")?;
    let visibility_only = before.is_empty() || before.starts_with("pub");
    let name = rest.strip_suffix(';')?.trim();
    (visibility_only && name.chars().all(is_name)).then(|| name.to_owned())
}

fn functions(code: &[char]) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut from = 0;
    while let Some(start) = find(code, from, "fn ") {
        from = start + 3;
        let name: String = code[from..].iter().take_while(|character| is_name(**character)).collect();
        let is_word = start == 0 || !is_name(code[start - 1]);
        let end = end_of_item(code, from);
        if is_word && !name.is_empty() && code[end] == '}' {
            let first = line_index(code, start);
            functions.push(Function { name, line: first + 1, line_count: line_index(code, end) - first + 1 });
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(text: &str) -> String {
        RustCode::new(text).lines.join("\n")
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert!(!visible("// unsafe\nlet a = 1; /* unsafe /* unsafe */ unsafe */").contains("unsafe"));
        assert!(!visible(r##"let a = "unsafe \" unsafe"; let b = r#"unsafe " unsafe"#;"##).contains("unsafe"));
        assert_eq!(visible("let q = '\"'; unsafe").trim_end(), "let q =    ; unsafe");
        assert_eq!(visible("let q = '\\''; unsafe").trim_end(), "let q =     ; unsafe");
    }

    #[test]
    fn lifetimes_and_raw_names_stay_code() {
        let text = "fn f<'a>(x: &'a str, y: &'a str) { r#type(x) }";
        assert_eq!(visible(text), text);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let code = RustCode::new("/* a\nb */\n\"c\nd\"; unsafe");
        assert_eq!(code.lines().find(|(_, line)| has_word(line, "unsafe")).map(|(number, _)| number), Some(4));
    }

    #[test]
    fn a_test_module_is_no_product_code() {
        let code = RustCode::new("fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    { }\n}\nfn b() {}\n");
        let product: Vec<usize> = code.product_lines().map(|(number, _)| number).collect();
        assert_eq!(product, [1, 7, 8]);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_named() {
        let code = RustCode::new("#[cfg(test)]\nmod model;\n#[cfg(test)]\nextern crate std;\nmod other;\n");
        assert_eq!(code.test_modules, ["model"]);
        assert_eq!(code.product_lines().map(|(number, _)| number).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn functions_are_measured_from_their_fn_to_their_brace() {
        let code = RustCode::new(
            "trait T {\n    fn declared(&self, a: [u8; 4]);\n}\nfn long(\n    a: fn(u8) -> u8,\n) {\n    a(1);\n}\n",
        );
        assert_eq!(code.functions, [Function { name: "long".to_owned(), line: 4, line_count: 5 }]);
    }

    #[test]
    fn a_word_is_not_part_of_a_longer_name() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("#![allow(unsafe_code)]", "unsafe"));
    }
}
