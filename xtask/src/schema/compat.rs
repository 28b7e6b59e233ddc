//! Whether today's schema still reads and is read by what a landed one wrote. Stricter than `flatc --conform`, which lets
//! pass a removed last member of a union, a grown struct, a changed file identifier and a new field that is required.

use super::parse::{Kind, Member, Schema, Type};

/// One incompatible change: the line of today's schema nearest to it, from 1, and what happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Every incompatible change from `landed` to `today`. Appending optional fields to tables and values to enums and unions,
/// new types and `deprecated` are compatible; everything else is not. A new name for an old number counts as reuse.
pub(super) fn breaches(landed: &Schema, today: &Schema) -> Vec<Breach> {
    let mut found = Vec::new();
    for (what, was, is) in [
        ("file identifier", &landed.file_identifier, &today.file_identifier),
        ("root type", &landed.root_type, &today.root_type),
    ] {
        if was != is {
            let name = |value: &Option<String>| value.clone().unwrap_or("none".to_owned());
            found.push(Breach { line: 1, message: format!("the {what} was {} and is {}", name(was), name(is)) });
        }
    }
    for (name, was) in &landed.types {
        match today.types.get(name) {
            Some(is) => compare(name, was, is, &mut found),
            None => found.push(Breach { line: 1, message: format!("{name} is gone") }),
        }
    }
    found
}

fn compare(name: &str, was: &Type, is: &Type, found: &mut Vec<Breach>) {
    let mut report = |line, message| found.push(Breach { line, message });
    if (was.kind, &was.form) != (is.kind, &is.form) {
        report(is.line, format!("{name} was {:?} `{}` and is {:?} `{}`", was.kind, was.form, is.kind, is.form));
    }
    for old in &was.members {
        let Member { number, name: member, form, .. } = old;
        match is.members.iter().find(|new| new.number == *number) {
            None => report(is.line, format!("{name}.{member} (number {number}) is gone")),
            Some(new) if new.name != *member => {
                report(new.line, format!("number {number} of {name} was {member} and is {}", new.name));
            }
            Some(new) if new.form != *form => {
                report(new.line, format!("{name}.{member} was `{form}` and is `{}`", new.form));
            }
            Some(_) => {}
        }
    }
    if was.kind == Kind::Struct && is.members.len() > was.members.len() {
        report(is.line, format!("struct {name} has grown; a struct never changes"));
    }
    let is_new = |member: &&Member| was.members.iter().all(|old| old.number != member.number);
    for new in is.members.iter().filter(is_new).filter(|new| new.form.contains("(required)")) {
        report(new.line, format!("{name}.{} is new and required, and what was written before lacks it", new.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANDED: &str = "namespace n;\n\
        enum E : ubyte { A = 0, B = 1 }\n\
        struct S { a:ulong; }\n\
        table T { a:ulong; b:string; }\n\
        table V { a:E; }\n\
        union U { T = 1, V = 2 }\n\
        root_type T;\nfile_identifier \"RP01\";\n";

    fn after(from: &str, to: &str) -> Vec<String> {
        assert!(LANDED.contains(from), "the fixture has what the test changes");
        let parse = |text: &str| Schema::parse(text).expect("the fixture is well formed");
        let found = breaches(&parse(LANDED), &parse(&LANDED.replace(from, to)));
        found.into_iter().map(|breach| format!("{}: {}", breach.line, breach.message)).collect()
    }

    #[test]
    fn compatible_changes_pass() {
        assert_eq!(after("b:string;", "b:string (deprecated); c:[S];"), [""; 0]);
        assert_eq!(after("B = 1", "B = 1, C = 2"), [""; 0]);
        assert_eq!(after("V = 2", "V = 2, W = 9"), [""; 0]);
        assert_eq!(after("root_type", "table W {}\nroot_type"), [""; 0]);
    }

    #[test]
    fn a_removed_last_union_member_is_found() {
        assert_eq!(after(", V = 2", ""), ["6: n.U.V (number 2) is gone"]);
    }

    #[test]
    fn a_grown_struct_is_found() {
        assert_eq!(after("{ a:ulong; }", "{ a:ulong; b:ulong; }"), ["3: struct n.S has grown; a struct never changes"]);
    }

    #[test]
    fn a_changed_file_identifier_is_found() {
        assert_eq!(after("RP01", "RP02"), ["1: the file identifier was \"RP01\" and is \"RP02\""]);
        assert_eq!(after("file_identifier \"RP01\";", "").len(), 1);
        assert_eq!(after("root_type T", "root_type V"), ["1: the root type was T and is V"]);
    }

    #[test]
    fn a_removed_field_is_found() {
        assert_eq!(after(" b:string;", ""), ["4: n.T.b (number 1) is gone"]);
        assert_eq!(after("a:ulong; b:string;", "b:string;").len(), 2);
        assert_eq!(after("table V { a:E; }\n", ""), ["1: n.V is gone"]);
    }

    #[test]
    fn a_new_field_that_is_required_is_found() {
        let found = ["4: n.T.c is new and required, and what was written before lacks it"];
        assert_eq!(after("b:string;", "b:string; c:string (required);"), found);
        assert_eq!(after("root_type", "table W { c:string (required); }\nroot_type"), [""; 0]);
    }

    #[test]
    fn a_changed_type_is_found() {
        assert_eq!(after("b:string", "b:[ubyte]"), ["4: n.T.b was `string` and is `[ubyte]`"]);
        assert_eq!(after("b:string", "b:string (required)").len(), 1);
        assert_eq!(after("a:E;", "a:E = B;").len(), 1);
        assert_eq!(after("E : ubyte", "E : ushort"), ["2: n.E was Enum `ubyte` and is Enum `ushort`"]);
        assert_eq!(after("struct S", "table S").len(), 1);
    }

    #[test]
    fn a_reused_number_is_found() {
        assert_eq!(after("V = 2", "W = 2"), ["6: number 2 of n.U was V and is W"]);
        assert_eq!(after("b:string", "c:string"), ["4: number 1 of n.T was b and is c"]);
        assert_eq!(after("A = 0, B = 1", "A = 0, C = 1, B = 2"), ["2: number 1 of n.E was B and is C"]);
    }
}
