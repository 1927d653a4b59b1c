//! Kinds of JSON values, for bodies that are not objects.

/// A kind of JSON value that is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Array,
    Boolean,
    Integer,
    Float,
    String,
    Null,
}

impl JsonKind {
    /// With its article, as in "not an array".
    pub(crate) const fn with_article(self) -> &'static str {
        match self {
            Self::Array => "an array",
            Self::Boolean => "a boolean",
            Self::Integer | Self::Float => "a number",
            Self::String => "a string",
            Self::Null => "null",
        }
    }
}
