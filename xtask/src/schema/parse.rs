//! The part of the FlatBuffers schema language that decides what bytes mean: types, their members with number and form,
//! root type and file identifier. What it does not know is an error, never skipped in silence.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// One schema file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Schema {
    /// By name with namespace.
    pub(super) types: BTreeMap<String, Type>,
    pub(super) root_type: Option<String>,
    pub(super) file_identifier: Option<String>,
}

/// A table, struct, enum or union.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    /// What else decides its bytes: the integer of an enum, attributes.
    pub(super) form: String,
    pub(super) members: Vec<Member>,
    /// From 1.
    pub(super) line: usize,
}

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Struct,
    Enum,
    Union,
}

/// A field, or a value of an enum or union.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The value; for a field its `id`, or its place in the type.
    pub(super) number: u64,
    pub(super) name: String,
    /// Type, default and attributes of a field; empty for a plain value.
    pub(super) form: String,
    /// From 1.
    pub(super) line: usize,
}

impl Schema {
    /// Reads a schema file; an error names the line.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, namespace: String::new(), schema: Self::default() };
        while parser.at < parser.tokens.len() {
            let line = parser.line();
            parser.declaration().with_context(|| format!("line {line}"))?;
        }
        Ok(parser.schema)
    }
}

struct Token {
    text: String,
    line: usize,
}

/// Words, quoted strings and single signs; comments are gone.
fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with("//") {
            let length = match rest.as_bytes() {
                [b'/', b'*', ..] => bail!("line {}: write comments with `//`", index + 1),
                [b'"', after @ ..] => {
                    let quote = after.iter().position(|byte| *byte == b'"');
                    quote.with_context(|| format!("line {}: an open string", index + 1))? + 2
                }
                _ => rest.find(|sign: char| !is_word(sign)).unwrap_or(rest.len()).max(1),
            };
            let (token, after) = rest.split_at_checked(length).with_context(|| format!("line {}", index + 1))?;
            tokens.push(Token { text: token.to_owned(), line: index + 1 });
            rest = after.trim_start();
        }
    }
    Ok(tokens)
}

/// Signs of names with namespaces and of numbers.
fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "._+-".contains(sign)
}

/// Attributes of a type or member: name and, where it has one, value.
type Attributes = BTreeMap<String, String>;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    namespace: String,
    schema: Schema,
}

impl Parser {
    fn declaration(&mut self) -> Result<()> {
        match self.next()?.as_str() {
            "include" | "attribute" | "file_extension" => {
                self.next()?;
            }
            "namespace" => self.namespace = self.next()?,
            "root_type" => self.schema.root_type = Some(self.next()?),
            "file_identifier" => self.schema.file_identifier = Some(self.next()?),
            "table" => return self.fields(Kind::Table),
            "struct" => return self.fields(Kind::Struct),
            "enum" => return self.values(Kind::Enum),
            "union" => return self.values(Kind::Union),
            other => bail!("`{other}` is no declaration that this check knows"),
        }
        self.expect(";")
    }

    fn fields(&mut self, kind: Kind) -> Result<()> {
        let (name, line) = (self.next()?, self.line());
        let form = describe(self.attributes()?);
        self.expect("{")?;
        let mut members = Vec::new();
        while !self.skip("}") {
            let (name, line) = (self.next()?, self.line());
            self.expect(":")?;
            let mut form = self.field_type()?;
            if self.skip("=") {
                form += &format!(" = {}", self.next()?);
            }
            let mut attributes = self.attributes()?;
            let number = match attributes.remove("id") {
                Some(id) => id.parse().with_context(|| format!("`{id}` is no id"))?,
                None => members.len() as u64,
            };
            self.expect(";")?;
            members.push(Member { number, name, form: form + &describe(attributes), line });
        }
        self.add(name, Type { kind, form, members, line })
    }

    fn values(&mut self, kind: Kind) -> Result<()> {
        let (name, line) = (self.next()?, self.line());
        let mut form = if self.skip(":") { self.next()? } else { String::new() };
        form += &describe(self.attributes()?);
        self.expect("{")?;
        let mut members = Vec::new();
        // The value 0 of a union is NONE and never written.
        let mut number = u64::from(kind == Kind::Union);
        while !self.skip("}") {
            let (name, line) = (self.next()?, self.line());
            let form = if self.skip(":") { self.next()? } else { String::new() };
            if self.skip("=") {
                let value = self.next()?;
                number = value.parse().with_context(|| format!("`{value}` is no value that this check knows"))?;
            }
            members.push(Member { number, name, form: form + &describe(self.attributes()?), line });
            number += 1;
            if !self.skip(",") {
                self.expect("}")?;
                break;
            }
        }
        self.add(name, Type { kind, form, members, line })
    }

    fn add(&mut self, name: String, declared: Type) -> Result<()> {
        let name = if self.namespace.is_empty() { name } else { format!("{}.{name}", self.namespace) };
        match self.schema.types.insert(name.clone(), declared) {
            Some(_) => bail!("{name} is declared twice"),
            None => Ok(()),
        }
    }

    /// A name, `[name]` or `[name:count]`.
    fn field_type(&mut self) -> Result<String> {
        if !self.skip("[") {
            return self.next();
        }
        let mut element = self.next()?;
        if self.skip(":") {
            element += &format!(":{}", self.next()?);
        }
        self.expect("]")?;
        Ok(format!("[{element}]"))
    }

    fn attributes(&mut self) -> Result<Attributes> {
        let mut attributes = Attributes::new();
        if !self.skip("(") {
            return Ok(attributes);
        }
        while !self.skip(")") {
            let name = self.next()?;
            let value = if self.skip(":") { self.next()? } else { String::new() };
            attributes.insert(name, value);
            self.skip(",");
        }
        Ok(attributes)
    }

    fn next(&mut self) -> Result<String> {
        let token = self.tokens.get(self.at).context("the file ends in the middle of a declaration")?;
        self.at += 1;
        Ok(token.text.clone())
    }

    fn skip(&mut self, sign: &str) -> bool {
        let is_next = self.tokens.get(self.at).is_some_and(|token| token.text == sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        let (line, found) = (self.line(), self.next()?);
        if found == sign { Ok(()) } else { bail!("line {line}: `{found}` where `{sign}` was expected") }
    }

    /// The line of the next token, or of the last one at the end.
    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }
}

/// The attributes that decide bytes. `deprecated` does not: the field keeps its place.
fn describe(attributes: Attributes) -> String {
    let telling = attributes.into_iter().filter(|(name, _)| name != "deprecated");
    telling
        .map(|(name, value)| if value.is_empty() { format!(" ({name})") } else { format!(" ({name}: {value})") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str, name: &str) -> Vec<(u64, String, String)> {
        let schema = Schema::parse(text).expect("the fixture is well formed");
        schema.types[name].members.iter().map(|m| (m.number, m.name.clone(), m.form.clone())).collect()
    }

    #[test]
    fn fields_have_place_type_default_and_attributes() {
        let text =
            "namespace a.b; // c\ntable T {\n  x:[ubyte:16] (required); y : a.E = Two;\n  z:[T] (deprecated);\n}";
        let field = |number, name: &str, form: &str| (number, name.to_owned(), form.to_owned());
        assert_eq!(
            members(text, "a.b.T"),
            [field(0, "x", "[ubyte:16] (required)"), field(1, "y", "a.E = Two"), field(2, "z", "[T]")]
        );
    }

    #[test]
    fn an_id_decides_over_the_place() {
        let numbers: Vec<u64> = members("table T { b:int (id: 1); a:int (id: 0); }", "T").iter().map(|m| m.0).collect();
        assert_eq!(numbers, [1, 0]);
    }

    #[test]
    fn values_count_on_from_the_last_one() {
        let numbers = |text| members(text, "E").iter().map(|member| member.0).collect::<Vec<_>>();
        assert_eq!(numbers("enum E : ubyte (bit_flags) { A, B = 4, C }"), [0, 4, 5]);
        assert_eq!(numbers("union E { A, B = 6, C, }"), [1, 6, 7]);
    }

    #[test]
    fn root_type_and_file_identifier_are_read() {
        let schema = Schema::parse("include \"b.fbs\";\nroot_type T;\nfile_identifier \"RP01\";\n");
        let schema = schema.expect("the fixture is well formed");
        assert_eq!((schema.root_type.as_deref(), schema.file_identifier.as_deref()), (Some("T"), Some("\"RP01\"")));
    }

    #[test]
    fn what_it_does_not_know_is_an_error_with_its_line() {
        let complaint = |text| format!("{:#}", Schema::parse(text).expect_err("the fixture is not well formed"));
        assert!(complaint("\nrpc_service S {}").starts_with("line 2: `rpc_service`"));
        assert!(complaint("table T {\n x int; }").ends_with("line 2: `int` where `:` was expected"));
        assert!(complaint("table T {").contains("the file ends"));
        assert!(complaint("/* x */").starts_with("line 1"));
    }
}
