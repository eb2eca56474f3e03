//! What the tree does not hold: comments and blank lines, by place.

use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentKind {
    /// `// …`
    Line,
    /// `/// …`, on the next declaration or statement
    Doc,
    /// `//! …`, on the file
    FileDoc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    pub span: Span,
    pub kind: CommentKind,
    /// Whether nothing but blanks stands before it on its line.
    pub own_line: bool,
}

/// Comments and blank lines of a file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trivia {
    pub comments: Vec<Comment>,
    /// Where each blank line starts.
    pub blank_lines: Vec<u32>,
}
